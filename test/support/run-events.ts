/**
 * Plans and events for tests of a run's turns, in as few words as possible.
 *
 * @module
 */

import { createPlan, type PlanTask, type RunPlan } from "../../machines/run-plan.ts";
import type { RunEvent, RunState, TaskState } from "../../machines/run-turn.ts";

export type TaskOptions = Partial<Pick<PlanTask, "after" | "maxFailures" | "onFailure">>;
export type Stages = Readonly<Record<string, Readonly<Record<string, TaskOptions>>>>;

/** A chain of stages, as `defineStatechart` makes it. */
export function planOf(stages: Stages): RunPlan {
  const names = Object.keys(stages);
  const states: Record<string, object> = {
    completed: { type: "final" },
    failed: { type: "final" },
  };
  for (const [index, name] of names.entries()) {
    const onDone = names[index + 1] ?? "completed";
    states[name] = { invoke: { src: name, id: name, onDone, onError: "failed" } };
  }
  return createPlan(tasksOf(stages), { initial: names[0] ?? "completed", states }, 8);
}

function tasksOf(stages: Stages): PlanTask[] {
  return Object.entries(stages).flatMap(([stage, tasks]) =>
    Object.entries(tasks).map(([key, options]) => ({
      key,
      stage,
      agent: "A",
      action: "do",
      after: [],
      priority: 3,
      maxFailures: 1,
      backoff: { kind: "fixed", initialMs: 1, maxMs: 1 },
      startToCloseMs: 1_000,
      onFailure: "fail",
      ...options,
    })),
  );
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
