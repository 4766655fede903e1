/**
 * Reads a workflow definition: checks it whole, hashes it, and compiles it for the engine's core.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { z } from "zod";
import type { AgentDefinition } from "../../actors/define-agent.ts";
import type { WorkflowDefinition } from "../../actors/define-workflow.ts";
import type { Json } from "../../machines/error-code.ts";
import { createPlan, type PlanTask, type RunPlan } from "../../machines/run-plan.ts";
import { RequestError } from "../system.ts";

/** Tasks of one definition at most. */
const maxTasks = 20_000;

const name = z.string().min(1).max(100);
const retry = z.strictObject({
  attempts: z.int().min(1).max(1_000).optional(),
  backoff: z.enum(["fixed", "exponential"]).optional(),
  initialMs: z.int().min(0).max(86_400_000).optional(),
  maxMs: z.int().min(0).max(86_400_000).optional(),
});
const task = z.strictObject({
  do: z.string().regex(/^[A-Z][A-Z0-9-]*\.[a-z][a-z0-9_]*$/, "must look like AGENT.action"),
  title: z.string().max(200),
  after: z.array(name).max(1_000).optional(),
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
const stage = z.strictObject({ title: z.string().max(200), tasks: z.record(name, task) });
const place = z.strictObject({
  type: z.literal("final").optional(),
  invoke: z.strictObject({ src: name, id: name, onDone: name, onError: name }).optional(),
});
const definitionSchema = z.strictObject({
  id: name.regex(/^[a-z][a-z0-9-]*$/, "must be lower case letters, digits and hyphens"),
  title: z.string().max(200),
  params: z.array(name).max(100),
  maxParallel: z.int().min(1).max(10_000),
  statechart: z.strictObject({ initial: name, states: z.record(name, place) }),
  stages: z.record(name, stage),
});
/** The short form for the API: tasks without stages. */
const dagSchema = z.strictObject({
  id: definitionSchema.shape.id,
  title: z.string().max(200).optional(),
  params: z.array(name).max(100).optional(),
  maxParallel: z.int().min(1).max(10_000).optional(),
  tasks: z.record(name, task.extend({ title: z.string().max(200).optional() })),
});

interface Field {
  readonly pointer: string;
  readonly detail: string;
}

/** A checked definition with what the engine derives from it. */
export interface CompiledDefinition {
  readonly definition: WorkflowDefinition;
  /** sha256 of the canonical JSON. */
  readonly hash: string;
  readonly plan: RunPlan;
}

export type FindAgent = (name: string) => AgentDefinition | undefined;

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
      parsed.error.issues.map((issue) => ({
        pointer: `/workflow/${issue.path.join("/")}`,
        detail: issue.message,
      })),
    );
  }
  if (!("tasks" in parsed.data)) return parsed.data as WorkflowDefinition;
  const short = parsed.data;
  const title = short.title ?? short.id;
  const tasks = Object.fromEntries(
    Object.entries(short.tasks).map(([key, value]) => [
      key,
      { ...value, title: value.title ?? key },
    ]),
  );
  return {
    id: short.id,
    title,
    params: short.params ?? [],
    maxParallel: short.maxParallel ?? 8,
    statechart: {
      initial: "main",
      states: {
        main: { invoke: { src: "main", id: "main", onDone: "completed", onError: "failed" } },
        completed: { type: "final" },
        failed: { type: "final" },
      },
    },
    stages: { main: { title, tasks: tasks as WorkflowDefinition["stages"][string]["tasks"] } },
  };
}

/** Compiles without checking against the agents: for a stored definition, which was checked before. */
export function compileDefinition(definition: WorkflowDefinition): CompiledDefinition {
  const tasks: PlanTask[] = [];
  for (const [stageName, { tasks: stageTasks }] of Object.entries(definition.stages)) {
    for (const [key, value] of Object.entries(stageTasks)) {
      const [agent = "", action = ""] = value.do.split(".");
      tasks.push({
        key,
        stage: stageName,
        agent,
        action,
        after: value.after ?? [],
        priority: value.priority ?? 3,
        maxFailures: value.retry?.attempts ?? 3,
        backoff: {
          kind: value.retry?.backoff ?? "exponential",
          initialMs: value.retry?.initialMs ?? 200,
          maxMs: value.retry?.maxMs ?? 30_000,
        },
        startToCloseMs: value.timeouts?.startToCloseMs ?? 600_000,
        onFailure: value.onFailure ?? "fail",
      });
    }
  }
  const hash = createHash("sha256").update(canonical(definition)).digest("hex");
  return {
    definition,
    hash,
    plan: createPlan(tasks, definition.statechart, definition.maxParallel),
  };
}

/** JSON with sorted keys, so that equal definitions have equal hashes. */
function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? "null";
  const entries = Object.entries(value)
    .filter(([, entry]) => entry !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, entry]) => `${JSON.stringify(key)}:${canonical(entry)}`);
  return `{${entries.join(",")}}`;
}

/**
 * Finds every mistake before the first task runs.
 * @throws {RequestError} `INVALID` with the path of each.
 */
export function checkDefinition(
  definition: WorkflowDefinition,
  input: Readonly<Record<string, Json>>,
  findAgent: FindAgent,
): void {
  const fields: Field[] = [
    ...checkInput(definition, input),
    ...checkStatechart(definition),
    ...checkTasks(definition, findAgent),
    ...checkCycles(definition),
  ];
  if (fields.length > 0) {
    const first = fields[0];
    throw new RequestError(
      "INVALID",
      `Cannot start workflow "${definition.id}": ${first?.pointer}: ${first?.detail}${fields.length > 1 ? ` (and ${fields.length - 1} more)` : ""}`,
      fields,
    );
  }
}

function checkInput(
  definition: WorkflowDefinition,
  input: Readonly<Record<string, Json>>,
): Field[] {
  const missing = definition.params
    .filter((key) => !(key in input))
    .map((key) => ({ pointer: `/input/${key}`, detail: "is required" }));
  const unknown = Object.keys(input)
    .filter((key) => !definition.params.includes(key))
    .map((key) => ({
      pointer: `/input/${key}`,
      detail: `is not an input of "${definition.id}"; inputs are ${definition.params.join(", ") || "none"}`,
    }));
  return [...missing, ...unknown];
}

function checkStatechart({ statechart, stages }: WorkflowDefinition): Field[] {
  const fields: Field[] = [];
  const { initial, states } = statechart;
  if (states[initial] === undefined) {
    fields.push({
      pointer: "/workflow/statechart/initial",
      detail: `names no state: "${initial}"`,
    });
  }
  const reachable = new Set([initial]);
  for (const state of reachable) {
    const config = states[state];
    const pointer = `/workflow/statechart/states/${state}`;
    if (config === undefined || config.type === "final") continue;
    if (config.invoke === undefined) {
      fields.push({ pointer, detail: "is a dead end: neither final nor invoking a stage" });
      continue;
    }
    if (stages[config.invoke.src] === undefined) {
      fields.push({
        pointer: `${pointer}/invoke/src`,
        detail: `names no stage: "${config.invoke.src}"`,
      });
    }
    for (const target of [config.invoke.onDone, config.invoke.onError]) {
      if (states[target] === undefined) {
        fields.push({ pointer: `${pointer}/invoke`, detail: `leads to no state: "${target}"` });
      } else {
        reachable.add(target);
      }
    }
  }
  for (const state of Object.keys(states)) {
    // Failure states may be unreachable in a chart that cannot fail; anything else is a mistake.
    if (!reachable.has(state) && states[state]?.type !== "final") {
      fields.push({ pointer: `/workflow/statechart/states/${state}`, detail: "cannot be reached" });
    }
  }
  return fields;
}

function allTasks(definition: WorkflowDefinition) {
  return Object.entries(definition.stages).flatMap(([stageName, { tasks }]) =>
    Object.entries(tasks).map(([key, value]) => ({
      key,
      task: value,
      pointer: `/workflow/stages/${stageName}/tasks/${key}`,
    })),
  );
}

function checkTasks(definition: WorkflowDefinition, findAgent: FindAgent): Field[] {
  const fields: Field[] = [];
  const all = allTasks(definition);
  const keys = new Set(all.map(({ key }) => key));
  if (all.length === 0 || all.length > maxTasks) {
    fields.push({
      pointer: "/workflow/stages",
      detail: `has ${all.length} tasks; 1 to ${maxTasks} are possible`,
    });
  }
  if (keys.size !== all.length) {
    fields.push({ pointer: "/workflow/stages", detail: "has the same task key in two stages" });
  }
  for (const { task: value, pointer } of all) {
    const [agentName = "", action = ""] = value.do.split(".");
    const agent = findAgent(agentName);
    if (agent === undefined) {
      fields.push({ pointer: `${pointer}/do`, detail: `names no agent: "${agentName}"` });
    } else if (agent.capabilities[action] === undefined) {
      const actions = Object.keys(agent.capabilities).join(", ");
      fields.push({
        pointer: `${pointer}/do`,
        detail: `${agentName} has no action "${action}"; it has ${actions}`,
      });
    }
    for (const dependency of value.after ?? []) {
      if (!keys.has(dependency)) {
        fields.push({ pointer: `${pointer}/after`, detail: `names no task: "${dependency}"` });
      }
    }
    for (const reference of refsOf(value.with ?? {})) {
      if (reference.kind === "param" && !definition.params.includes(reference.name)) {
        fields.push({
          pointer: `${pointer}/with`,
          detail: `reads no input of the workflow: "${reference.name}"`,
        });
      }
      if (reference.kind === "output" && !keys.has(reference.name)) {
        fields.push({
          pointer: `${pointer}/with`,
          detail: `reads the output of no task: "${reference.name}"`,
        });
      }
    }
  }
  return fields;
}

/** Kahn: what is left when nothing more can be taken away stands on a cycle, or waits for one. */
function checkCycles(definition: WorkflowDefinition): Field[] {
  const open = new Map(
    allTasks(definition).map(({ key, task: value }) => [key, new Set(value.after ?? [])]),
  );
  const dependents = new Map<string, string[]>();
  for (const [key, after] of open) {
    for (const dependency of after) {
      dependents.set(dependency, [...(dependents.get(dependency) ?? []), key]);
    }
  }
  const free = [...open].filter(([, after]) => after.size === 0).map(([key]) => key);
  for (let key = free.pop(); key !== undefined; key = free.pop()) {
    open.delete(key);
    for (const dependent of dependents.get(key) ?? []) {
      const after = open.get(dependent);
      after?.delete(key);
      if (after?.size === 0) free.push(dependent);
    }
  }
  const stuck = [...open].filter(([, after]) =>
    [...after].some((dependency) => open.has(dependency)),
  );
  if (stuck.length === 0) return [];
  return [
    {
      pointer: "/workflow/stages",
      detail: `has a cycle among ${stuck.map(([key]) => key).join(", ")}`,
    },
  ];
}

export interface InputRef {
  readonly kind: "param" | "output";
  readonly name: string;
  readonly path: string | undefined;
}

/** The reference that `value` is, if it is one. */
export function asRef(value: unknown): InputRef | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const { $param, $output, path } = value as Record<string, unknown>;
  if (typeof $param === "string") return { kind: "param", name: $param, path: undefined };
  if (typeof $output === "string") {
    return { kind: "output", name: $output, path: typeof path === "string" ? path : undefined };
  }
  return undefined;
}

/** All references inside a task's `with`, however deep. */
export function refsOf(value: unknown): InputRef[] {
  const reference = asRef(value);
  if (reference !== undefined) return [reference];
  if (typeof value !== "object" || value === null) return [];
  return Object.values(value).flatMap(refsOf);
}
