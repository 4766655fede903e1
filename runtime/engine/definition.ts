/**
 * A workflow definition for the engine: checked whole, hashed, and compiled for its core.
 *
 * @module
 */

import { createHash } from "node:crypto";
import type { AgentCard } from "../../actors/define-agent.ts";
import type { TaskDefinition, WorkflowDefinition } from "../../actors/define-workflow.ts";
import { toJsonb } from "../../db/jsonb.ts";
import type { Json } from "../../machines/error-code.ts";
import {
  createPlan,
  defaultPriority,
  defaultStartToCloseMs,
  type PlanTask,
  type RunPlan,
} from "../../machines/run-plan.ts";
import { RequestError } from "../system.ts";
import { refsOf } from "./input-refs.ts";
import { checkInputTypes } from "./workflow-input.ts";

/** Tasks of one definition at most. */
const maxTasks = 20_000;

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

export type FindAgent = (name: string) => AgentCard | undefined;

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
        priority: value.priority ?? defaultPriority,
        maxFailures: value.retry?.attempts ?? 5,
        backoff: {
          kind: value.retry?.backoff ?? "exponential",
          initialMs: value.retry?.initialMs ?? 500,
          maxMs: value.retry?.maxMs ?? 30_000,
        },
        startToCloseMs: value.timeouts?.startToCloseMs ?? defaultStartToCloseMs,
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
    ...checkInputTypes(definition, input, findAgent),
    ...checkStatechart(definition),
    ...checkTasks(definition, findAgent),
    ...checkCycles(definition),
  ];
  if (fields.length > 0) {
    const count = fields.length === 1 ? "1 mistake" : `${fields.length} mistakes`;
    const isInput = fields.every(({ pointer }) => pointer.startsWith("/input"));
    throw new RequestError(
      "INVALID",
      `Cannot start workflow "${definition.id}": ${count} in its ${isInput ? "input" : "definition or input"}`,
      fields,
    );
  }
}

function checkInput(
  definition: WorkflowDefinition,
  input: Readonly<Record<string, Json>>,
): Field[] {
  const missing = definition.params
    .filter((key) => !Object.hasOwn(input, key))
    .map((key) => ({ pointer: `/input/${key}`, detail: "is required" }));
  const unknown = Object.keys(input)
    .filter((key) => !definition.params.includes(key))
    .map((key) => ({
      pointer: `/input/${key}`,
      detail: `is not an input of "${definition.id}"; inputs are ${definition.params.join(", ") || "none"}`,
    }));
  const unstorable = Object.entries(input)
    .filter(([, value]) => toJsonb(value) !== JSON.stringify(value))
    .map(([key]) => ({
      pointer: `/input/${key}`,
      detail: "holds U+0000 or half a surrogate pair, which the database cannot store",
    }));
  return [...missing, ...unknown, ...unstorable];
}

function checkStatechart({ statechart, stages }: WorkflowDefinition): Field[] {
  const fields: Field[] = [];
  const { initial, states } = statechart;
  if (!Object.hasOwn(states, initial)) {
    fields.push({
      pointer: "/workflow/statechart/initial",
      detail: `names no state: "${initial}"`,
    });
  }
  const reachable = new Set([initial]);
  for (const state of reachable) {
    const config = Object.hasOwn(states, state) ? states[state] : undefined;
    const pointer = `/workflow/statechart/states/${state}`;
    if (config === undefined) continue;
    if (config.type === "final") {
      if (state !== "completed" && state !== "failed") {
        fields.push({
          pointer,
          detail: 'is a final state: its name must be "completed" or "failed"',
        });
      }
      continue;
    }
    if (config.invoke === undefined) {
      fields.push({ pointer, detail: "is a dead end: neither final nor invoking a stage" });
      continue;
    }
    if (!Object.hasOwn(stages, config.invoke.src)) {
      fields.push({
        pointer: `${pointer}/invoke/src`,
        detail: `names no stage: "${config.invoke.src}"`,
      });
    }
    for (const target of [config.invoke.onDone, config.invoke.onError]) {
      if (!Object.hasOwn(states, target)) {
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
    if (statesAfter(statechart, state).has(state)) {
      const detail = "leads back to itself; each stage runs once";
      fields.push({ pointer: `/workflow/statechart/states/${state}`, detail });
    }
  }
  return fields;
}

/** States that the chart can be in after it has left `state`. */
function statesAfter(
  { states }: WorkflowDefinition["statechart"],
  state: string,
): ReadonlySet<string> {
  const next = (from: string): string[] => {
    const invoke = Object.hasOwn(states, from) ? states[from]?.invoke : undefined;
    return invoke === undefined ? [] : [invoke.onDone, invoke.onError];
  };
  const after = new Set(next(state));
  for (const one of after) for (const target of next(one)) after.add(target);
  return after;
}

/** Tells whether a task of stage `late` can begin after stage `early` has ended. */
function stageOrder({ statechart }: WorkflowDefinition): (early: string, late: string) => boolean {
  const later = new Map<string, ReadonlySet<string>>();
  const stageOf = (state: string) => statechart.states[state]?.invoke?.src;
  return (early, late) => {
    const known =
      later.get(early) ??
      new Set(
        Object.keys(statechart.states)
          .filter((state) => stageOf(state) === early)
          .flatMap((state) => [...statesAfter(statechart, state)])
          .map((state) => stageOf(state) ?? ""),
      );
    later.set(early, known);
    return known.has(late);
  };
}

function allTasks(definition: WorkflowDefinition) {
  return Object.entries(definition.stages).flatMap(([stageName, { tasks }]) =>
    Object.entries(tasks).map(([key, value]) => ({
      key,
      stage: stageName,
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
    } else if (!Object.hasOwn(agent.capabilities, action)) {
      const actions = Object.keys(agent.capabilities).join(", ");
      fields.push({
        pointer: `${pointer}/do`,
        detail: `${agentName} has no action "${action}"; it has ${actions}`,
      });
    }
    for (const { kind, name } of refsOf(value.with ?? {})) {
      if (kind === "param" && !definition.params.includes(name)) {
        const detail = `reads no input of the workflow: "${name}"`;
        fields.push({ pointer: `${pointer}/with`, detail });
      }
    }
  }
  return [...fields, ...checkOrder(definition)];
}

/** What a task waits for, and whose output it reads, must be able to end before it begins. */
function checkOrder(definition: WorkflowDefinition): Field[] {
  const all = allTasks(definition);
  const byKey = new Map(all.map((entry) => [entry.key, entry]));
  const precedes = stageOrder(definition);
  const fields: Field[] = [];
  for (const { stage, task: value, pointer } of all) {
    for (const dependency of value.after ?? []) {
      const other = byKey.get(dependency);
      if (other === undefined) {
        fields.push({ pointer: `${pointer}/after`, detail: `names no task: "${dependency}"` });
      } else if (other.stage !== stage && !precedes(other.stage, stage)) {
        const detail = `waits for "${dependency}", whose stage "${other.stage}" does not come before`;
        fields.push({ pointer: `${pointer}/after`, detail });
      }
    }
    let before: ReadonlySet<string> | undefined;
    for (const { kind, name } of refsOf(value.with ?? {})) {
      if (kind !== "output") continue;
      const other = byKey.get(name);
      if (other === undefined) {
        fields.push({
          pointer: `${pointer}/with`,
          detail: `reads the output of no task: "${name}"`,
        });
      } else if (!value.after?.includes(name) && !precedes(other.stage, stage)) {
        before ??= tasksBefore(value.after ?? [], byKey);
        if (before.has(name)) continue;
        const detail = `reads the output of "${name}" without waiting for it`;
        fields.push({ pointer: `${pointer}/with`, detail });
      }
    }
  }
  return fields;
}

/** The tasks that a task waits for, at any distance. */
function tasksBefore(
  after: readonly string[],
  byKey: ReadonlyMap<string, { readonly task: TaskDefinition }>,
): ReadonlySet<string> {
  const before = new Set(after);
  for (const key of before) for (const next of byKey.get(key)?.task.after ?? []) before.add(next);
  return before;
}

/** Kahn: what is left when nothing more can be taken away stands on a cycle, or waits for one. */
function checkCycles(definition: WorkflowDefinition): Field[] {
  const all = allTasks(definition);
  const keys = new Set(all.map(({ key }) => key));
  const open = new Map(
    all.map(({ key, task: value }) => [key, new Set(value.after?.filter((one) => keys.has(one)))]),
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
