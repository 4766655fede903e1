/**
 * Finds every mistake of a workflow definition before its first task runs, and fills in what depends on
 * the agents that there are.
 *
 * @module
 */

import type { WorkflowDefinition } from "../../actors/define-workflow.ts";
import { toJsonb } from "../../db/jsonb.ts";
import type { Json } from "../../machines/error-code.ts";
import { RequestError } from "../system.ts";
import { checkChart } from "./check-chart.ts";
import { checkHandoffs } from "./check-handoffs.ts";
import {
  checkTasks,
  compensates,
  type FindAgent,
  type FindWorkflow,
  findAction,
} from "./check-tasks.ts";
import type { Field } from "./check-values.ts";
import { taskGraph } from "./task-graph.ts";
import { checkInputTypes } from "./workflow-input.ts";

export type { FindAgent, FindWorkflow } from "./check-tasks.ts";

/**
 * Finds every mistake before the first task runs.
 * @throws {RequestError} `INVALID` with the path of each.
 */
export function checkDefinition(
  definition: WorkflowDefinition,
  input: Readonly<Record<string, Json>>,
  findAgent: FindAgent,
  findWorkflow: FindWorkflow = () => undefined,
): void {
  const graph = taskGraph(definition);
  const fields: Field[] = distinct([
    ...checkInput(definition, input),
    ...checkInputTypes(definition, input, findAgent),
    ...checkChart(definition),
    ...checkTasks(graph, findAgent, findWorkflow),
    ...checkHandoffs(graph, input, findAgent),
    ...checkBudget(definition),
  ]);
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

function distinct(fields: readonly Field[]): Field[] {
  return [...new Map(fields.map((one) => [`${one.pointer} ${one.detail}`, one])).values()];
}

/** What a definition leaves to its agents: an action that can be undone is undone by a rollback, unless its task says not. */
export function completeDefinition(
  definition: WorkflowDefinition,
  findAgent: FindAgent,
): WorkflowDefinition {
  const stages = Object.entries(definition.stages).map(([name, stage]) => {
    const tasks = Object.entries(stage.tasks).map(([key, task]) => {
      if (task.do === undefined || task.compensate !== undefined) return [key, task];
      const { found } = findAction(task.do, findAgent);
      const can = found !== undefined && compensates(found);
      return [key, can ? { ...task, compensate: true } : task];
    });
    return [name, { ...stage, tasks: Object.fromEntries(tasks) }];
  });
  return { ...definition, stages: Object.fromEntries(stages) };
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

function checkBudget({ budget = {}, onBudget }: WorkflowDefinition): Field[] {
  const fields: Field[] = Object.entries(budget).flatMap(([unit, { hard, soft }]) => {
    const pointer = `/workflow/budget/${unit}`;
    const details: string[] = [];
    if (!/^[a-z][A-Za-z0-9_]*$/.test(unit)) {
      details.push("is no unit: it must be wallMs, tasks, or a word that agents spend, as tokens");
    }
    if (hard === undefined && soft === undefined) details.push("has no limit: say soft or hard");
    if (hard !== undefined && soft !== undefined && soft >= hard) {
      details.push(`warns at ${soft}, which must be below its hard limit ${hard}`);
    }
    const isCounted = unit === "wallMs" || unit === "tasks";
    if (isCounted && [hard, soft].some((one) => one !== undefined && !Number.isInteger(one))) {
      details.push("must be whole numbers");
    }
    return details.map((detail) => ({ pointer, detail }));
  });
  if (onBudget !== undefined && Object.values(budget).every(({ hard }) => hard === undefined)) {
    const detail = "has no effect: no unit of the budget has a hard limit";
    fields.push({ pointer: "/workflow/onBudget", detail });
  }
  return fields;
}
