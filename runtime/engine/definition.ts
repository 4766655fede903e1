/**
 * Finds every mistake of a workflow definition before its first task runs.
 *
 * @module
 */

import type { AgentCard } from "../../actors/define-agent.ts";
import type { TaskDefinition, WorkflowDefinition } from "../../actors/define-workflow.ts";
import { toJsonb } from "../../db/jsonb.ts";
import type { Json } from "../../machines/error-code.ts";
import { refsOf } from "../../machines/run/values.ts";
import { RequestError } from "../system.ts";
import { checkChart, stageOrder } from "./check-chart.ts";
import { actionOf } from "./compile-definition.ts";
import { checkInputTypes } from "./workflow-input.ts";

/** Tasks of one definition at most. */
const maxTasks = 20_000;

interface Field {
  readonly pointer: string;
  readonly detail: string;
}

export type FindAgent = (name: string) => AgentCard | undefined;

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
    ...checkChart(definition),
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
    const { agent: agentName, action } = actionOf(value);
    const agent = findAgent(agentName);
    if (value.do === undefined) {
      // A child run, a signal, a person, or time.
    } else if (agent === undefined) {
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
