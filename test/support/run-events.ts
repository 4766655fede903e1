/**
 * Plans and events for tests of a run's turns, in as few words as possible.
 *
 * @module
 */

import {
  createPlan,
  type PlanOptions,
  type PlanTask,
  type RunPlan,
} from "../../machines/run/plan.ts";
import type { RunEvent, RunState, TaskState } from "../../machines/run/state.ts";

export type TaskOptions = Partial<
  Omit<PlanTask, "key" | "stage" | "retry" | "timeouts" | "onFailure">
> & {
  readonly maxFailures?: number;
  readonly retry?: Partial<PlanTask["retry"]>;
  readonly timeouts?: Partial<PlanTask["timeouts"]>;
  /** A word, or the key of the task that takes its place. */
  readonly onFailure?: string;
};
export type Stages = Readonly<Record<string, Readonly<Record<string, TaskOptions>>>>;

/** A chain of stages, as `defineStatechart` makes it. */
export function planOf(stages: Stages, options: PlanOptions = {}): RunPlan {
  const names = Object.keys(stages);
  const states: Record<string, object> = {
    completed: { type: "final" },
    failed: { type: "final" },
  };
  for (const [index, name] of names.entries()) {
    const onDone = names[index + 1] ?? "completed";
    states[name] = { invoke: { src: name, id: name, onDone, onError: "failed" } };
  }
  return chartPlanOf(stages, { initial: names[0] ?? "completed", states }, options);
}

/** The same with a chart of one's own. */
export function chartPlanOf(
  stages: Stages,
  chart: { readonly initial: string; readonly states: Readonly<Record<string, object>> },
  options: PlanOptions = {},
): RunPlan {
  return createPlan(tasksOf(stages), chart, 8, options);
}

function tasksOf(stages: Stages): PlanTask[] {
  return Object.entries(stages).flatMap(([stage, tasks]) =>
    Object.entries(tasks).map(([key, options]) => planTask(key, stage, options)),
  );
}

const words = new Set(["fail", "skip", "rollback", "escalate"]);

function planTask(key: string, stage: string, options: TaskOptions): PlanTask {
  const { maxFailures = 1, retry, timeouts, onFailure = "fail", ...rest } = options;
  return {
    key,
    stage,
    kind: "action",
    agent: "A",
    action: "do",
    after: [],
    priority: 3,
    retry: {
      maxFailures,
      kind: "fixed",
      initialMs: 1,
      maxMs: 1,
      jitter: 0,
      totalMs: null,
      nonRetryable: [],
      ...retry,
    },
    timeouts: {
      scheduleToStartMs: null,
      startToCloseMs: 1_000,
      scheduleToCloseMs: null,
      heartbeatMs: null,
      ...timeouts,
    },
    graceMs: null,
    onFailure: words.has(onFailure)
      ? { type: onFailure as "fail" }
      : { type: "alternative", task: onFailure },
    compensate: null,
    atMostOnce: false,
    local: false,
    when: null,
    forEach: undefined,
    group: null,
    alternativeTo: null,
    input: undefined,
    workflow: null,
    signal: null,
    sleepMs: undefined,
    ...rest,
  };
}

const who = { by: "test", atMs: 1 };
const boom = (retryable: boolean) =>
  ({
    type: "failed",
    error: { name: "Error", message: "boom", code: "BOOM", retryable },
  }) as const;
const done = { type: "succeeded", output: { ok: true } } as const;

export const event = {
  start: { ...who, type: "run.start", paused: false },
  pause: { ...who, type: "run.pause", reason: null },
  resume: { ...who, type: "run.resume", reason: null },
  cancel: { ...who, type: "run.cancel", reason: "why" },
  retry: (taskKey: string | null): RunEvent => ({
    ...who,
    type: "run.retry",
    reason: null,
    taskKey,
  }),
  dispatch: (taskKey: string): RunEvent => ({ ...who, type: "task.dispatch", taskKey }),
  started: (taskKey: string, attempt: number): RunEvent => ({
    ...who,
    type: "task.started",
    taskKey,
    attempt,
    node: "n",
  }),
  succeeded: (taskKey: string, attempt: number): RunEvent => ({
    ...who,
    type: "task.finished",
    taskKey,
    attempt,
    outcome: done,
  }),
  failed: (taskKey: string, attempt: number, retryable = false): RunEvent => ({
    ...who,
    type: "task.finished",
    taskKey,
    attempt,
    outcome: boom(retryable),
  }),
  lost: (taskKey: string, attempt: number): RunEvent => ({
    ...who,
    type: "task.lost",
    taskKey,
    attempt,
    reason: "died",
  }),
  due: (taskKey: string, attempt: number): RunEvent => ({
    ...who,
    type: "retry.due",
    taskKey,
    attempt,
  }),
} as const;

export function task(state: RunState, key: string): TaskState {
  const found = state.tasks.get(key);
  if (found === undefined) throw new Error(`no task ${key}`);
  return found;
}
