/**
 * Reads the JSON of a workflow definition, in any of its forms: `tasks` for one graph, `stages` for a
 * chain of them, `machine` for an XState config, or the whole as it is stored.
 *
 * @module
 */

import { z } from "zod";
import {
  defineStatechart,
  defineWorkflow,
  type WorkflowDefinition,
} from "../../actors/define-workflow.ts";
import { normalMachine } from "../../actors/machine-config.ts";
import type { Json } from "../../machines/error-code.ts";
import { whenFullPolicies } from "../../machines/flow-options.ts";
import { RequestError } from "../system.ts";

/** Of a definition's JSON, so that no walk over it can exhaust the stack. */
const maxDepth = 200;
const maxBytes = 16 * 1024 * 1024;
const maxStages = 1_000;
/** Ten years: approvals and timers may wait long. */
const maxMs = 3_650 * 86_400_000;

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
const id = name.regex(/^[a-z][a-z0-9-]*$/, "must be lower case letters, digits and hyphens");
const title = z
  .string()
  .max(200)
  .refine((text) => !text.includes("\u0000"), "must not hold U+0000");
const action = z
  .string()
  .max(121)
  .regex(/^[A-Z][A-Z0-9-]*\.[a-z][a-z0-9_]*$/, "must look like AGENT.action");
const ms = z.int().min(1).max(maxMs);
const value = z.json();
/** A reference or a list; what it refers to is checked with the rest of the definition. */
const items = z.union([z.array(value).max(10_000), z.record(z.string(), value)], {
  error: "must be a list, or a reference to one",
});
const signal = z.string().min(1).max(200);

const retry = z.strictObject({
  attempts: z.int().min(1).max(1_000).optional(),
  backoff: z.enum(["fixed", "exponential"]).optional(),
  initialMs: z.int().min(0).max(86_400_000).optional(),
  maxMs: z.int().min(0).max(86_400_000).optional(),
  jitter: z.number().min(0).max(1).optional(),
  totalMs: ms.optional(),
  nonRetryable: z.array(z.string().min(1).max(100)).max(100).optional(),
});
const timeouts = z.strictObject({
  scheduleToStartMs: ms.optional(),
  startToCloseMs: ms.optional(),
  scheduleToCloseMs: ms.optional(),
  heartbeatMs: ms.optional(),
});
const task = z.strictObject({
  do: action.optional(),
  workflow: id.optional(),
  signal: signal.optional(),
  approval: z.strictObject({ title }).optional(),
  sleepMs: z
    .union([z.int().min(0).max(maxMs), z.record(z.string(), value)], {
      error: "must be whole milliseconds, or a reference to them",
    })
    .optional(),
  title: title.optional(),
  after: z.array(z.string().max(100)).max(20_000).optional(),
  with: z.record(z.string(), value).optional(),
  when: z.record(z.string(), value).optional(),
  forEach: items.optional(),
  window: z.int().min(1).max(10_000).optional(),
  priority: z
    .union([z.literal(1), z.literal(2), z.literal(3), z.literal(4), z.literal(5)])
    .optional(),
  retry: retry.optional(),
  timeouts: timeouts.optional(),
  graceMs: z.int().min(0).max(600_000).optional(),
  onFailure: z
    .union(
      [
        z.enum(["fail", "skip", "rollback", "escalate"]),
        z.strictObject({ run: z.string().max(100) }),
      ],
      { error: 'must be "fail", "skip", "rollback", "escalate" or { "run": TASK }' },
    )
    .optional(),
  compensate: z
    .union([z.boolean(), action], { error: "must be true, false or AGENT.action" })
    .optional(),
  delivery: z.enum(["atLeastOnce", "atMostOnce"]).optional(),
  local: z.boolean().optional(),
  concurrencyKey: value.optional(),
  concurrencyLimit: z.int().min(1).max(100_000).optional(),
});
const mode = z.enum(["parallel", "sequential", "pipeline"]);
const graph = {
  mode: mode.optional(),
  tasks: z.record(name, task),
  items: items.optional(),
  buffer: z.int().min(1).max(10_000).optional(),
};

interface Graph {
  readonly mode?: "parallel" | "sequential" | "pipeline" | undefined;
  readonly items?: unknown;
}

function itemsFit({ mode: said, items: given }: Graph): boolean {
  return said === undefined || (said === "pipeline") === (given !== undefined);
}

const itemsProblem = {
  path: ["items"],
  error: ({ input }: { readonly input?: unknown }) =>
    (input as Graph).mode === "pipeline"
      ? "is required by a pipeline"
      : 'is for the mode "pipeline" only',
};
const stage = z.strictObject({ title: title.optional(), ...graph }).refine(itemsFit, itemsProblem);

const target = z.string().min(1).max(1_000);
const guard = z.strictObject({ type: z.literal("when"), params: z.record(z.string(), value) });
const effect = z.strictObject({ type: z.literal("set"), params: z.record(z.string(), value) });
const effects = z.union([effect, z.array(effect).max(100)], {
  error: 'must be { "type": "set", "params": { … } }, or a list of them',
});
const transition = z.strictObject({
  target: z.union([target, z.array(target).max(100)]).optional(),
  guard: guard.optional(),
  actions: effects.optional(),
  reenter: z.boolean().optional(),
});
/** Each form has a schema of its own, so that a mistake inside is told with its path. */
const transitions = z.union([target, transition, z.array(z.union([target, transition])).max(100)]);
const invoke = z.strictObject({
  src: name,
  id: name,
  onDone: transitions.optional(),
  onError: transitions.optional(),
});
const inner = {
  id: name.optional(),
  initial: z.string().max(100).optional(),
  invoke: z.union([invoke, z.array(invoke).max(100)]).optional(),
  on: z.record(signal, transitions).optional(),
  after: z.record(z.string().max(20), transitions).optional(),
  always: transitions.optional(),
  onDone: transitions.optional(),
  entry: effects.optional(),
  exit: effects.optional(),
};
const place: z.ZodType = z.strictObject({
  ...inner,
  type: z.enum(["final", "parallel", "history", "atomic", "compound"]).optional(),
  history: z.enum(["shallow", "deep"]).optional(),
  target: target.optional(),
  states: z.lazy(() => z.record(name, place)).optional(),
});
const statechart = z.strictObject({
  ...inner,
  type: z.literal("parallel").optional(),
  context: value.optional(),
  states: z.record(name, place),
});

const run = {
  id,
  title: title.optional(),
  params: z.array(name).max(100).optional(),
  maxParallel: z.int().min(1).max(10_000).optional(),
  output: value.optional(),
  budget: z
    .record(
      z.string().min(1).max(100),
      z.strictObject({
        soft: z.number().positive().optional(),
        hard: z.number().positive().optional(),
      }),
    )
    .optional(),
  onBudget: z.enum(["pause", "fail"]).optional(),
  concurrency: z
    .strictObject({
      key: value.optional(),
      limit: z.int().min(1).max(100_000).optional(),
      whenFull: z.enum(whenFullPolicies).optional(),
    })
    .optional(),
};
const stages = z
  .record(name, stage)
  .refine((all) => Object.keys(all).length <= maxStages, `has more than ${maxStages} stages`);
const forms = {
  /** One graph of tasks. */
  tasks: z.strictObject({ ...run, ...graph }).refine(itemsFit, itemsProblem),
  /** A chain of them. */
  stages: z.strictObject({
    ...run,
    stages: stages.refine(
      (all) => !("completed" in all || "failed" in all),
      'cannot have a stage called "completed" or "failed": these are the ends of the chain',
    ),
  }),
  /** An XState config, whose own shape is checked once it is a statechart. */
  machine: z.strictObject({
    ...run,
    machine: z.record(z.string(), value),
    stages: stages.optional(),
  }),
  whole: z.strictObject({ ...run, statechart, stages }),
};

/**
 * Parses the JSON of a definition, in whichever form.
 * @throws {RequestError} `INVALID` with the path of every mistake of the shape.
 */
export function parseDefinition(body: Json): WorkflowDefinition {
  const size = sizeProblem(body);
  if (size !== undefined) throw malformed([{ pointer: "/workflow", detail: size }]);
  const form = formOf(body);
  if (form === "machine") return parseMachine(body);
  const parsed = forms[form].safeParse(body);
  if (!parsed.success) throw malformed(parsed.error.issues.flatMap((issue) => fieldsOf(issue)));
  // What zod has accepted is what the types say, but for the literals that JSON cannot have.
  const data = parsed.data as never;
  return form === "whole" ? defineStatechart(data) : defineWorkflow(data);
}

function formOf(body: Json): keyof typeof forms {
  if (typeof body !== "object" || body === null || Array.isArray(body)) return "whole";
  if ("tasks" in body) return "tasks";
  if ("machine" in body) return "machine";
  return "stages" in body && !("statechart" in body) ? "stages" : "whole";
}

function parseMachine(body: Json): WorkflowDefinition {
  const parsed = forms.machine.safeParse(body);
  if (!parsed.success) throw malformed(parsed.error.issues.flatMap((issue) => fieldsOf(issue)));
  const { problems } = normalMachine(parsed.data.machine, Object.keys(parsed.data.stages ?? {}));
  if (problems.length > 0) {
    throw malformed(
      problems.map(({ path, detail }) => ({
        pointer: ["/workflow/machine", ...path.map(pointerStep)].join("/"),
        detail,
      })),
    );
  }
  const whole = defineStatechart(parsed.data as never);
  const checked = statechart.safeParse(whole.statechart);
  if (checked.success) return whole;
  throw malformed(checked.error.issues.flatMap((issue) => fieldsOf(issue, ["machine"])));
}

function malformed(fields: readonly { pointer: string; detail: string }[]): RequestError {
  return new RequestError(
    "INVALID",
    "Cannot accept the workflow: its definition is malformed",
    fields,
  );
}

function sizeProblem(body: Json): string | undefined {
  let level: Json[] = [body];
  for (let depth = 0; level.length > 0; depth += 1) {
    if (depth > maxDepth) return `is nested more than ${maxDepth} levels deep`;
    level = level.flatMap((one) =>
      typeof one === "object" && one !== null ? (Object.values(one) as Json[]) : [],
    );
  }
  const isLarge = (JSON.stringify(body)?.length ?? 0) > maxBytes;
  return isLarge ? `is larger than ${maxBytes / 1024 / 1024} MB` : undefined;
}

function pointerStep(step: PropertyKey): string {
  return String(step).replaceAll("~", "~0").replaceAll("/", "~1");
}

interface Field {
  readonly pointer: string;
  readonly detail: string;
}

function fieldsOf(issue: z.core.$ZodIssue, path: readonly PropertyKey[] = []): Field[] {
  const at = [...path, ...issue.path];
  // Of a union, what is wrong with the form that was meant: the one whose problems lie deepest.
  if (issue.code === "invalid_union" && issue.message === "Invalid input") {
    const deepest = [...issue.errors].sort((a, b) => depthOf(b) - depthOf(a))[0] ?? [];
    if (depthOf(deepest) > 0) return deepest.flatMap((one) => fieldsOf(one, at));
  }
  // What is wrong with a key is said one level deeper.
  const detail =
    issue.code === "invalid_key" ? (issue.issues[0]?.message ?? issue.message) : issue.message;
  return [{ pointer: ["/workflow", ...at.map(pointerStep)].join("/"), detail }];
}

function depthOf(issues: readonly z.core.$ZodIssue[]): number {
  return Math.max(
    -1,
    ...issues.map(({ code, path }) => path.length + (code === "unrecognized_keys" ? 1 : 0)),
  );
}
