/**
 * Compiles a workflow definition for the engine's core.
 *
 * @module
 */

import { createHash } from "node:crypto";
import type {
  StageDefinition,
  TaskDefinition,
  WorkflowDefinition,
} from "../../actors/define-workflow.ts";
import type { Statechart } from "../../machines/run/chart-machine.ts";
import {
  createPlan,
  defaultPriority,
  defaultStartToCloseMs,
  type FailureStrategy,
  type PlanGroup,
  type PlanTask,
  type RetryPlan,
  type RunPlan,
  type TaskKind,
} from "../../machines/run/plan.ts";

/** Items of a pipeline that are under way at once, unless its stage says otherwise. */
const defaultBuffer = 16;

/** A definition with what the engine derives from it. */
export interface CompiledDefinition {
  readonly definition: WorkflowDefinition;
  /** sha256 of the canonical JSON. */
  readonly hash: string;
  readonly plan: RunPlan;
}

/** `AGENT.action`, or two empty names for what is no action. */
export function actionOf(task: Pick<TaskDefinition, "do">): {
  readonly agent: string;
  readonly action: string;
} {
  const [agent = "", action = ""] = (task.do ?? "").split(".");
  return { agent, action };
}

/** Does not check: for a stored definition, which was checked before. */
export function compileDefinition(definition: WorkflowDefinition): CompiledDefinition {
  const tasks: PlanTask[] = [];
  const groups: PlanGroup[] = [];
  for (const [name, stage] of Object.entries(definition.stages)) {
    const alternatives = alternativesOf(stage);
    for (const [key, task] of Object.entries(stage.tasks)) {
      const group = stage.items !== undefined ? name : task.forEach === undefined ? null : key;
      tasks.push(planTask(key, name, stage, task, group, alternatives.get(key) ?? null));
      if (task.forEach !== undefined && stage.items === undefined) {
        const window = task.window ?? definition.maxParallel;
        groups.push({ key, items: task.forEach, window, tasks: [key] });
      }
    }
    if (stage.items !== undefined) {
      const window = stage.buffer ?? defaultBuffer;
      groups.push({ key: name, items: stage.items, window, tasks: Object.keys(stage.tasks) });
    }
  }
  const hash = createHash("sha256").update(canonical(definition)).digest("hex");
  const budget = Object.fromEntries(
    Object.entries(definition.budget ?? {}).map(([unit, { soft, hard }]) => [
      unit,
      { soft: soft ?? null, hard: hard ?? null },
    ]),
  );
  const plan = createPlan(tasks, definition.statechart as Statechart, definition.maxParallel, {
    groups,
    budget,
    onBudget: definition.onBudget ?? "pause",
    ...(definition.output === undefined ? {} : { output: definition.output }),
  });
  return { definition, hash, plan };
}

/** Which task each alternative stands in for. */
function alternativesOf(stage: StageDefinition): ReadonlyMap<string, string> {
  return new Map(
    Object.entries(stage.tasks).flatMap(([key, { onFailure }]) =>
      typeof onFailure === "object" ? [[onFailure.run, key] as const] : [],
    ),
  );
}

function planTask(
  key: string,
  stageName: string,
  stage: StageDefinition,
  task: TaskDefinition,
  group: string | null,
  alternativeTo: string | null,
): PlanTask {
  const { agent, action } = actionOf(task);
  const { scheduleToStartMs, startToCloseMs, scheduleToCloseMs, heartbeatMs } = task.timeouts ?? {};
  return {
    key,
    stage: stageName,
    kind: kindOf(task),
    agent,
    action,
    after: stage.items === undefined ? (task.after ?? []) : pipelineOrder(key, stage),
    priority: task.priority ?? defaultPriority,
    retry: retryPlan(task),
    timeouts: {
      scheduleToStartMs: scheduleToStartMs ?? null,
      startToCloseMs: startToCloseMs ?? defaultStartToCloseMs,
      scheduleToCloseMs: scheduleToCloseMs ?? null,
      heartbeatMs: heartbeatMs ?? null,
    },
    graceMs: task.graceMs ?? null,
    onFailure: strategyOf(task),
    compensate: compensationOf(task),
    atMostOnce: task.delivery === "atMostOnce",
    local: task.local ?? false,
    when: task.when ?? null,
    forEach: task.forEach,
    group,
    alternativeTo,
    input: task.with,
    workflow: task.workflow ?? null,
    signal: task.signal ?? null,
    sleepMs: task.sleepMs,
  };
}

/** In a pipeline each task takes what the one before it has finished. */
function pipelineOrder(key: string, stage: StageDefinition): readonly string[] {
  const keys = Object.keys(stage.tasks);
  const before = keys[keys.indexOf(key) - 1];
  return [
    ...new Set([...(stage.tasks[key]?.after ?? []), ...(before === undefined ? [] : [before])]),
  ];
}

export function kindOf(task: TaskDefinition): TaskKind {
  if (task.workflow !== undefined) return "workflow";
  if (task.signal !== undefined) return "signal";
  if (task.approval !== undefined) return "approval";
  return task.sleepMs === undefined ? "action" : "sleep";
}

function retryPlan({ retry }: TaskDefinition): RetryPlan {
  return {
    maxFailures: retry?.attempts ?? 5,
    kind: retry?.backoff ?? "exponential",
    initialMs: retry?.initialMs ?? 500,
    maxMs: retry?.maxMs ?? 30_000,
    jitter: retry?.jitter ?? 0.5,
    totalMs: retry?.totalMs ?? null,
    nonRetryable: retry?.nonRetryable ?? [],
  };
}

function strategyOf({ onFailure = "fail" }: TaskDefinition): FailureStrategy {
  return typeof onFailure === "object"
    ? { type: "alternative", task: onFailure.run }
    : { type: onFailure };
}

function compensationOf(task: TaskDefinition): PlanTask["compensate"] {
  if (task.compensate === undefined || task.compensate === false) return null;
  return task.compensate === true ? actionOf(task) : actionOf({ do: task.compensate });
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
