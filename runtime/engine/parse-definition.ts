/**
 * Reads the JSON of a workflow definition, in its whole form or as a plain list of tasks.
 *
 * @module
 */

import { z } from "zod";
import type { WorkflowDefinition } from "../../actors/define-workflow.ts";
import type { Json } from "../../machines/error-code.ts";
import { RequestError } from "../system.ts";

const defaultMaxParallel = 8;

/**
 * Keys of tasks, stages, states and params. They become parts of queue ids, XState targets and
 * JSON pointers, which give `:`, `.` and `/` meanings of their own.
 */
const name = z
  .string()
  .min(1)
  .max(100)
  .regex(
    /^[A-Za-z0-9][A-Za-z0-9_-]*$/,
    "may hold letters, digits, _ and -, and begins with no sign",
  );
const title = z
  .string()
  .max(200)
  .refine((text) => !text.includes("\u0000"), "must not hold U+0000");
const retry = z.strictObject({
  attempts: z.int().min(1).max(1_000).optional(),
  backoff: z.enum(["fixed", "exponential"]).optional(),
  initialMs: z.int().min(0).max(86_400_000).optional(),
  maxMs: z.int().min(0).max(86_400_000).optional(),
});
const task = z.strictObject({
  do: z.string().regex(/^[A-Z][A-Z0-9-]*\.[a-z][a-z0-9_]*$/, "must look like AGENT.action"),
  title,
  after: z.array(z.string().max(100)).max(1_000).optional(),
  with: z.record(z.string(), z.json()).optional(),
  priority: z
    .union([z.literal(1), z.literal(2), z.literal(3), z.literal(4), z.literal(5)])
    .optional(),
  retry: retry.optional(),
  timeouts: z
    .strictObject({
      startToCloseMs: z
        .int()
        .min(1)
        .max(7 * 86_400_000)
        .optional(),
    })
    .optional(),
  onFailure: z.enum(["fail", "skip"]).optional(),
});
const stage = z.strictObject({ title, tasks: z.record(name, task) });
const target = z.string().min(1).max(100);
const place = z.strictObject({
  type: z.literal("final").optional(),
  invoke: z.strictObject({ src: target, id: name, onDone: target, onError: target }).optional(),
});
const definitionSchema = z.strictObject({
  id: name.regex(/^[a-z][a-z0-9-]*$/, "must be lower case letters, digits and hyphens"),
  title,
  params: z.array(name).max(100),
  maxParallel: z.int().min(1).max(10_000),
  statechart: z.strictObject({ initial: target, states: z.record(name, place) }),
  stages: z.record(name, stage),
});
/** The short form for the API: tasks without stages. */
const dagSchema = z.strictObject({
  id: definitionSchema.shape.id,
  title: title.optional(),
  params: z.array(name).max(100).optional(),
  maxParallel: z.int().min(1).max(10_000).optional(),
  tasks: z.record(name, task.extend({ title: title.optional() })),
});

/**
 * Parses the JSON of a definition (stages and statechart, or the short form with `tasks`).
 * @throws {RequestError} `INVALID` with the path of every mistake of the shape.
 */
export function parseDefinition(body: Json): WorkflowDefinition {
  const isShort = typeof body === "object" && body !== null && "tasks" in body;
  const parsed = isShort ? dagSchema.safeParse(body) : definitionSchema.safeParse(body);
  if (!parsed.success) {
    throw new RequestError(
      "INVALID",
      "Cannot accept the workflow: its definition is malformed",
      parsed.error.issues.map(fieldOf),
    );
  }
  if (!("tasks" in parsed.data)) return parsed.data as WorkflowDefinition;
  const short = parsed.data;
  const shown = short.title ?? short.id;
  const tasks = Object.fromEntries(
    Object.entries(short.tasks).map(([key, value]) => [
      key,
      { ...value, title: value.title ?? key },
    ]),
  );
  return {
    id: short.id,
    title: shown,
    params: short.params ?? [],
    maxParallel: short.maxParallel ?? defaultMaxParallel,
    statechart: {
      initial: "main",
      states: {
        main: { invoke: { src: "main", id: "main", onDone: "completed", onError: "failed" } },
        completed: { type: "final" },
        failed: { type: "final" },
      },
    },
    stages: {
      main: { title: shown, tasks: tasks as WorkflowDefinition["stages"][string]["tasks"] },
    },
  };
}

function fieldOf(issue: z.core.$ZodIssue): { pointer: string; detail: string } {
  const steps = issue.path.map((step) => String(step).replaceAll("~", "~0").replaceAll("/", "~1"));
  // What is wrong with a key is said one level deeper.
  const detail =
    issue.code === "invalid_key" ? (issue.issues[0]?.message ?? issue.message) : issue.message;
  return { pointer: ["/workflow", ...steps].join("/"), detail };
}
