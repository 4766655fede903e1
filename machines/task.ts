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
 * ready ─open→ running: what is no action of an agent (a child run, a signal, a person, time)
 * any open state, failed, cancelled ─park→ parked ─repeat→ ready, ─settle→ succeeded | failed, ─skip→ skipped
 * succeeded, failed, cancelled, parked ─undo→ compensating ─undone→ compensated ─reset→ blocked
 *                         compensating ─undo→ compensating (again), ─cancel→ cancelled
 *                         compensating ─park→ parked ─undone→ compensated
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
  | { readonly type: "reset" }
  | { readonly type: "open" }
  /** Nothing goes on without an operator. */
  | { readonly type: "park" }
  | { readonly type: "repeat" }
  | { readonly type: "settle"; readonly as: "succeeded" | "failed" }
  | { readonly type: "undo" }
  | { readonly type: "undone"; readonly attempt: number };

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
    isSuccess: ({ event }) => event.type === "settle" && event.as === "succeeded",
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
        open: { target: "running", actions: "countAttempt" },
        fail: { guard: "isCurrent", target: "failed", actions: "countFailure" },
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
        park: "parked",
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
        park: "parked",
        cancel: "cancelled",
        skip: "skipped",
      },
    },
    retrying: {
      on: {
        due: { guard: "isCurrent", target: "ready" },
        fail: { guard: "isCurrent", target: "failed" },
        cancel: "cancelled",
        skip: "skipped",
        park: "parked",
      },
    },
    failed: {
      on: {
        reset: { target: "blocked", actions: "forgetFailures" },
        skip: "skipped",
        park: "parked",
        undo: { target: "compensating", actions: ["countAttempt", "forgetFailures"] },
      },
    },
    cancelled: {
      on: {
        reset: { target: "blocked", actions: "forgetFailures" },
        undo: { target: "compensating", actions: ["countAttempt", "forgetFailures"] },
        park: "parked",
      },
    },
    succeeded: {
      on: { undo: { target: "compensating", actions: ["countAttempt", "forgetFailures"] } },
    },
    parked: {
      on: {
        repeat: { target: "ready", actions: "forgetFailures" },
        settle: [{ guard: "isSuccess", target: "succeeded" }, { target: "failed" }],
        skip: "skipped",
        cancel: "cancelled",
        undone: { guard: "isCurrent", target: "compensated" },
        undo: { target: "compensating", actions: ["countAttempt", "forgetFailures"] },
      },
    },
    compensating: {
      on: {
        undone: { guard: "isCurrent", target: "compensated" },
        undo: { target: "compensating", actions: "countAttempt" },
        fail: { guard: "isCurrent", target: "compensating", actions: "countFailure" },
        park: "parked",
        cancel: "cancelled",
      },
    },
    compensated: { on: { reset: { target: "blocked", actions: "forgetFailures" } } },
    skipped: {},
  },
});

export type TaskStatus = StateValueFrom<typeof taskMachine>;

/** A task as stored: its columns are the whole snapshot. */
export interface TaskSnapshot extends TaskContext {
  readonly status: TaskStatus;
}

/** What the statechart does to a task, whatever its numbers are; null sets a number to 0. */
interface Move {
  readonly status: TaskStatus;
  readonly attempt: number;
  readonly failures: number | null;
  readonly deaths: number | null;
}

/** Each move that the statechart was asked for: there are a few hundred, and XState takes 0.1 ms for one. */
const moves = new Map<string, Move>();

/** The next snapshot; the same object when the event does not apply (a stale attempt, a finished task). */
export function nextTask(task: TaskSnapshot, event: TaskEvent): TaskSnapshot {
  const isCurrent = "attempt" in event && event.attempt === task.attempt;
  const key = `${task.status} ${event.type} ${isCurrent} ${"as" in event && event.as} ${
    "mayRepeat" in event && event.mayRepeat
  } ${"died" in event && event.died}`;
  const move = moves.get(key) ?? ask(task.status, event, isCurrent);
  moves.set(key, move);
  const { attempt, deaths, failures, status } = move;
  if (status === task.status && attempt === 0 && failures === 0) return task;
  return {
    status,
    attempt: task.attempt + attempt,
    failures: failures === null ? 0 : task.failures + failures,
    deaths: deaths === null ? 0 : task.deaths + deaths,
  };
}

/** Takes a task whose numbers are all 1 through the statechart. */
function ask(status: TaskStatus, event: TaskEvent, isCurrent: boolean): Move {
  const from = taskMachine.resolveState({
    value: status,
    context: { attempt: 1, failures: 1, deaths: 1 },
  });
  const asked = "attempt" in event ? { ...event, attempt: isCurrent ? 1 : 0 } : event;
  const [to] = transition(taskMachine, from, asked);
  const { attempt, deaths, failures } = to.context;
  return {
    status: to.value,
    attempt: attempt - 1,
    failures: failures === 0 ? null : failures - 1,
    deaths: deaths === 0 ? null : deaths - 1,
  };
}

const open: ReadonlySet<TaskStatus> = new Set([
  "blocked",
  "ready",
  "dispatched",
  "running",
  "retrying",
  "parked",
  "compensating",
]);

/** True while something may still happen to the task: by itself, or when it is parked, by an operator. */
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
