/**
 * The statechart of one task. One small machine per task: a single parallel machine for a whole
 * graph is quadratic in XState.
 *
 * ```
 * blocked ─unblock→ ready ─dispatch→ dispatched ─start→ running ─succeed→ succeeded
 *                     ↑                  │  │              │ │
 *                     ├──────lose────────┘  │              │ └─fail, may repeat→ retrying ─due→ ready
 *                     └──────lose───────────┼──────────────┘
 *                                           └─fail, may not repeat→ failed ─reset→ blocked
 * any open state ─cancel→ cancelled ─reset→ blocked        any open state ─skip→ skipped
 * ```
 *
 * Events that carry an attempt are ignored unless it is the current one: that is the fence against
 * a zombie attempt.
 *
 * @module
 */

import { assign, type StateValueFrom, setup, transition } from "xstate";

export interface TaskContext {
  /** Number of the newest dispatched attempt, 0 before the first. */
  readonly attempt: number;
  /** Attempts that failed by their own fault; a lost attempt (node died) does not count. */
  readonly failures: number;
  /** Threads that died of it. They are failures too. */
  readonly deaths: number;
}

export type TaskEvent =
  | { readonly type: "unblock" }
  | { readonly type: "dispatch" }
  | { readonly type: "start"; readonly attempt: number }
  | { readonly type: "succeed"; readonly attempt: number }
  | {
      readonly type: "fail";
      readonly attempt: number;
      readonly mayRepeat: boolean;
      /** The attempt took its thread along. */
      readonly died?: boolean;
    }
  | { readonly type: "lose"; readonly attempt: number }
  | { readonly type: "due"; readonly attempt: number }
  | { readonly type: "cancel" }
  | { readonly type: "skip" }
  | { readonly type: "reset" };

export const taskMachine = setup({
  types: {
    context: {} as TaskContext,
    events: {} as TaskEvent,
    input: {} as Partial<TaskContext>,
  },
  guards: {
    isCurrent: ({ context, event }) => "attempt" in event && event.attempt === context.attempt,
    mayRepeat: ({ context, event }) =>
      event.type === "fail" && event.attempt === context.attempt && event.mayRepeat,
  },
  actions: {
    countAttempt: assign({ attempt: ({ context }) => context.attempt + 1 }),
    countFailure: assign(({ context, event }) => ({
      failures: context.failures + 1,
      deaths: context.deaths + (event.type === "fail" && event.died === true ? 1 : 0),
    })),
    forgetFailures: assign({ failures: 0, deaths: 0 }),
  },
}).createMachine({
  id: "task",
  context: ({ input }) => ({
    attempt: input.attempt ?? 0,
    failures: input.failures ?? 0,
    deaths: input.deaths ?? 0,
  }),
  initial: "blocked",
  states: {
    blocked: { on: { unblock: "ready", cancel: "cancelled", skip: "skipped" } },
    ready: {
      on: {
        dispatch: { target: "dispatched", actions: "countAttempt" },
        cancel: "cancelled",
        skip: "skipped",
      },
    },
    dispatched: {
      on: {
        start: { guard: "isCurrent", target: "running" },
        succeed: { guard: "isCurrent", target: "succeeded" },
        fail: [
          { guard: "mayRepeat", target: "retrying", actions: "countFailure" },
          { guard: "isCurrent", target: "failed", actions: "countFailure" },
        ],
        lose: { guard: "isCurrent", target: "ready" },
        cancel: "cancelled",
        skip: "skipped",
      },
    },
    running: {
      on: {
        succeed: { guard: "isCurrent", target: "succeeded" },
        fail: [
          { guard: "mayRepeat", target: "retrying", actions: "countFailure" },
          { guard: "isCurrent", target: "failed", actions: "countFailure" },
        ],
        lose: { guard: "isCurrent", target: "ready" },
        cancel: "cancelled",
        skip: "skipped",
      },
    },
    retrying: {
      on: { due: { guard: "isCurrent", target: "ready" }, cancel: "cancelled", skip: "skipped" },
    },
    failed: { on: { reset: { target: "blocked", actions: "forgetFailures" }, skip: "skipped" } },
    cancelled: { on: { reset: { target: "blocked", actions: "forgetFailures" } } },
    succeeded: {},
    skipped: {},
  },
});

export type TaskStatus = StateValueFrom<typeof taskMachine>;

/** A task as stored: its columns are the whole snapshot. */
export interface TaskSnapshot extends TaskContext {
  readonly status: TaskStatus;
}

/** The next snapshot; the same object when the event does not apply (a stale attempt, a finished task). */
export function nextTask(task: TaskSnapshot, event: TaskEvent): TaskSnapshot {
  const from = taskMachine.resolveState({
    value: task.status,
    context: { attempt: task.attempt, failures: task.failures, deaths: task.deaths },
  });
  const [to] = transition(taskMachine, from, event);
  if (to.value === task.status && to.context.attempt === task.attempt) return task;
  return { status: to.value, ...to.context };
}

const open: ReadonlySet<TaskStatus> = new Set([
  "blocked",
  "ready",
  "dispatched",
  "running",
  "retrying",
]);

/** True while something may still happen to the task without an operator. */
export function isOpen(status: TaskStatus): boolean {
  return open.has(status);
}

/** True while an attempt may be in an agent's hands. */
export function isInFlight(status: TaskStatus): boolean {
  return status === "dispatched" || status === "running";
}

/** True when what comes after the task may run. */
export function isSatisfied(status: TaskStatus): boolean {
  return status === "succeeded" || status === "skipped";
}
