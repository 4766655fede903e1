/**
 * A workflow definition as the engine's core sees it: stages of tasks with their dependencies, and
 * the statechart that orders them.
 *
 * @module
 */

import type { AnyStateMachine } from "xstate";
import { buildChart, type Statechart } from "./chart-machine.ts";
import { type Condition, refsOf } from "./values.ts";

/** How long an attempt may take when its task does not say. */
export const defaultStartToCloseMs = 600_000;
/** Of tasks and of runs; 1 is background, 5 is critical. */
export const defaultPriority = 3;

/** What a task waits for: an agent, a child run, a signal, a person, or time. */
export type TaskKind = "action" | "workflow" | "signal" | "approval" | "sleep";

export interface RetryPlan {
  /** Failed attempts after which the task fails; from 1. */
  readonly maxFailures: number;
  readonly kind: "fixed" | "exponential";
  readonly initialMs: number;
  readonly maxMs: number;
  /** Part of the delay that chance may take away, 0 to 1. */
  readonly jitter: number;
  /** No attempt begins later than this after the task was first ready; null: no limit. */
  readonly totalMs: number | null;
  /** Error codes that no attempt repeats. */
  readonly nonRetryable: readonly string[];
}

/** Temporal's four; null: no limit. */
export interface Timeouts {
  /** From ready to started, of each attempt. */
  readonly scheduleToStartMs: number | null;
  /** From the start of an attempt to its end. */
  readonly startToCloseMs: number;
  /** From first ready to the end, over all attempts. */
  readonly scheduleToCloseMs: number | null;
  /** Between two heartbeats of an attempt. */
  readonly heartbeatMs: number | null;
}

/** What a final failure means for the run. */
export type FailureStrategy =
  | { readonly type: "fail" | "skip" | "rollback" | "escalate" }
  /** The other task takes its place. */
  | { readonly type: "alternative"; readonly task: string };

export interface PlanTask {
  readonly key: string;
  readonly stage: string;
  readonly kind: TaskKind;
  /** Empty unless the kind is `action`. */
  readonly agent: string;
  readonly action: string;
  readonly after: readonly string[];
  /** 1 (background) to 5 (critical). */
  readonly priority: number;
  readonly retry: RetryPlan;
  readonly timeouts: Timeouts;
  /** From an abort to the end of its thread; null: as its agent says. */
  readonly graceMs: number | null;
  readonly onFailure: FailureStrategy;
  /** What undoes it: `AGENT.action`, or its own action's `compensate`; null: nothing. */
  readonly compensate: { readonly agent: string; readonly action: string } | null;
  /** An attempt of unknown outcome is parked, never repeated. */
  readonly atMostOnce: boolean;
  /** Runs on the node that owns the run, without the queue. */
  readonly local: boolean;
  /** Skipped unless it holds when the task could begin; null: always. */
  readonly when: Condition | null;
  /** A list, of which each item gets an instance of the task. */
  readonly forEach: unknown;
  /** Items on their way through the task's group at once; see `PlanGroup`. */
  readonly group: string | null;
  /** Set for the task that takes another's place. */
  readonly alternativeTo: string | null;
  /** Input of a child run, payload filter of nothing else: what `with` says. */
  readonly input: unknown;
  /** Registered workflow of kind `workflow`. */
  readonly workflow: string | null;
  /** Name of the signal of kind `signal`. */
  readonly signal: string | null;
  /** Milliseconds of kind `sleep`: a number or a reference. */
  readonly sleepMs: unknown;
}

/**
 * Tasks that are instantiated together for each item of a list: one task with `forEach`, or a
 * pipeline whose items stream from task to task.
 */
export interface PlanGroup {
  readonly key: string;
  readonly items: unknown;
  /** Items that have begun and not left the group, at most. */
  readonly window: number;
  /** In an order that respects `after`. */
  readonly tasks: readonly string[];
}

/** A limit in the run's own units (`wallMs`, `tasks`, or any name that agents spend). */
export interface BudgetLimit {
  readonly soft: number | null;
  readonly hard: number | null;
}

export interface RunPlan {
  readonly tasks: ReadonlyMap<string, PlanTask>;
  /** Keys of the tasks that wait for this one, by key: readiness costs O(out-degree). */
  readonly dependents: ReadonlyMap<string, readonly string[]>;
  readonly stages: ReadonlyMap<string, readonly string[]>;
  readonly groups: ReadonlyMap<string, PlanGroup>;
  /** The task that takes another's place, by that one's key. */
  readonly alternatives: ReadonlyMap<string, string>;
  /** Tasks whose outputs decisions of the run read: the only ones that its owner keeps in memory. */
  readonly observed: ReadonlySet<string>;
  readonly maxParallel: number;
  readonly budget: Readonly<Record<string, BudgetLimit>>;
  /** What a hard limit of the budget does. */
  readonly onBudget: "pause" | "fail";
  /** Filled when the run completes; undefined: the run has no output. */
  readonly output: unknown;
  readonly statechart: Statechart;
  readonly chart: AnyStateMachine;
}

export interface PlanOptions {
  readonly groups?: readonly PlanGroup[];
  readonly budget?: Readonly<Record<string, BudgetLimit>>;
  readonly onBudget?: "pause" | "fail";
  readonly output?: unknown;
}

export function createPlan(
  tasks: readonly PlanTask[],
  statechart: Statechart,
  maxParallel: number,
  options: PlanOptions = {},
): RunPlan {
  const byKey = new Map<string, PlanTask>();
  const stages = new Map<string, string[]>();
  const substitutes = tasks.filter(({ alternativeTo }) => alternativeTo !== null);
  for (const task of tasks) {
    byKey.set(task.key, withAlternatives(task, substitutes));
    const stage = stages.get(task.stage) ?? [];
    stage.push(task.key);
    stages.set(task.stage, stage);
  }
  const dependents = new Map<string, string[]>();
  for (const task of byKey.values()) {
    for (const dependency of task.after) {
      const list = dependents.get(dependency) ?? [];
      list.push(task.key);
      dependents.set(dependency, list);
    }
  }
  const groups = options.groups ?? [];
  return {
    tasks: byKey,
    dependents,
    stages,
    groups: new Map(groups.map((group) => [group.key, group])),
    alternatives: new Map(
      tasks.flatMap(({ key, alternativeTo }) =>
        alternativeTo === null ? [] : [[alternativeTo, key] as const],
      ),
    ),
    observed: observedBy(tasks, groups, statechart, options.output),
    maxParallel,
    budget: options.budget ?? {},
    onBudget: options.onBudget ?? "pause",
    output: options.output,
    statechart,
    chart: buildChart(statechart),
  };
}

/** Who waits for a task waits for what takes its place too: that one is skipped when it is not needed. */
function withAlternatives(task: PlanTask, substitutes: readonly PlanTask[]): PlanTask {
  const stands = substitutes
    .filter(({ alternativeTo, key }) => {
      return alternativeTo !== null && key !== task.key && task.after.includes(alternativeTo);
    })
    .map(({ key }) => key);
  const primary = task.alternativeTo === null ? [] : [task.alternativeTo];
  return { ...task, after: [...new Set([...task.after, ...stands, ...primary])] };
}

function observedBy(
  tasks: readonly PlanTask[],
  groups: readonly PlanGroup[],
  statechart: Statechart,
  output: unknown,
): ReadonlySet<string> {
  const templates: unknown[] = [groups.map(({ items }) => items), statechart, output];
  for (const task of tasks) {
    templates.push(task.when, task.forEach, task.sleepMs);
    // A local task's input is filled from its owner's memory.
    if (task.kind !== "action" || task.local) templates.push(task.input);
  }
  const refs = refsOf(templates);
  const read = new Set(refs.flatMap(({ kind, name }) => (kind === "output" ? [name] : [])));
  for (const { key, alternativeTo } of tasks) {
    if (alternativeTo !== null && read.has(alternativeTo)) read.add(key);
  }
  // What the chart reads of an event is the output of what it invoked.
  const whole = refs.some(({ kind }) => kind === "event") ? tasks : [];
  return new Set([...read, ...whole.map(({ key }) => key)]);
}
