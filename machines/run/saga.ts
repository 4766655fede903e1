/**
 * Rollback: what finished is undone in reverse order, one task after another, durably.
 * What may have happened (it was stopped, lost, or timed out) is undone like what did.
 *
 * A task that started a run is undone by the action that it names, or by the rollback of that run,
 * which may have ended long ago (`run.undo`, answered by `child.undone`).
 *
 * @module
 */

import type { ErrorRecord } from "../error-code.ts";
import { isOpen } from "../task.ts";
import type { Draft } from "./draft.ts";
import { retryDelayMs } from "./retry.ts";
import { finish } from "./stages.ts";
import { isUndoneByChild, type RunEvent, type TaskState } from "./state.ts";
import { cancelTask, commandChild, refuse } from "./tasks.ts";

type EventOf<T extends RunEvent["type"]> = Extract<RunEvent, { type: T }>;

/**
 * Stops what is open, and begins to undo. The run ends as `then` when nothing is left to undo.
 *
 * @param forParent The run's parent waits for the end of it.
 */
export function beginRollback(
  draft: Draft,
  cause: ErrorRecord,
  then: "failed" | "cancelled",
  event: RunEvent,
  forParent = false,
): void {
  if (draft.run().rollback !== null) return;
  const rollback = { cause, then, ...(forParent ? { forParent } : {}) };
  draft.set({ error: draft.run().error ?? cause, rollback: { ...rollback, queue: [] } });
  for (const key of draft.keys()) {
    if (isOpen(draft.task(key).status)) cancelTask(draft, key, event);
  }
  const queue = draft
    .keys()
    .map((key) => draft.task(key))
    .filter((task) => isUndoable(draft, task))
    // What ended last is undone first; of what ended in one moment, what stands last in the plan.
    .reverse()
    .sort(
      (a, b) =>
        (b.finishedAtMs ?? 0) - (a.finishedAtMs ?? 0) ||
        (b.startedAtMs ?? 0) - (a.startedAtMs ?? 0),
    )
    .map(({ key }) => key);
  draft.set({ rollback: { ...rollback, queue } });
  draft.record(event, "run.rolling-back", { code: cause.code, tasks: queue });
  continueRollback(draft, event);
}

function isUndoable(draft: Draft, task: TaskState): boolean {
  const planned = draft.planned(task);
  if (planned.compensate === null || task.left !== null) return false;
  if (isUndoneByChild(planned) && task.childId === null) return false;
  return task.status === "succeeded" || task.unknownOutcome;
}

/** Undoes the next task, once the attempt of it that was told to stop has stopped. */
export function continueRollback(draft: Draft, event: RunEvent): void {
  const { rollback, status: runStatus } = draft.run();
  if (rollback === null || runStatus !== "running") return;
  const [key, ...rest] = rollback.queue;
  if (key === undefined) {
    draft.set({ rollback: null });
    return finish(draft, rollback.then, event, rollback.forParent);
  }
  const { status, stopping, unknownOutcome } = draft.task(key);
  if (status === "compensating" || status === "parked" || stopping) return;
  const isDone = status === "compensated" || status === "skipped";
  // An operator has said that nothing of it is left to undo.
  const isGivenUp = status === "failed" && !unknownOutcome;
  if (isDone || isGivenUp) {
    draft.set({ rollback: { ...rollback, queue: rest } });
    return continueRollback(draft, event);
  }
  undo(draft, key, event);
}

function undo(draft: Draft, key: string, event: RunEvent): void {
  if (!draft.move(key, { type: "undo" }, { node: null, error: null })) return;
  const task = draft.task(key);
  const { attempt, childId } = task;
  if (isUndoneByChild(draft.planned(task)) && childId !== null) {
    commandChild(draft, childId, "run.undo", event);
    return draft.record(event, "task.compensating", { task: key, attempt, childId });
  }
  draft.effect({ type: "dispatch", taskKey: key, attempt, undo: true });
  draft.record(event, "task.compensating", { task: key, attempt });
}

/** The end of an attempt to undo. After its last failure the task waits, parked, for an operator. */
export function undoFinished(draft: Draft, event: EventOf<"task.finished">): void {
  const { taskKey, attempt, outcome } = event;
  // While it waits to be undone again, this is the same end once more.
  if (draft.timer(`undo/${taskKey}`) !== undefined) return refuse(draft, event);
  if (outcome.spent !== undefined) draft.rules.spend(draft, outcome.spent, event);
  if (outcome.type === "succeeded") return undone(draft, taskKey, event);
  const { error } = outcome;
  const { retry } = draft.planned(draft.task(taskKey));
  draft.move(taskKey, { type: "fail", attempt, mayRepeat: true }, { error });
  const { failures } = draft.task(taskKey);
  const payload = { task: taskKey, attempt, code: error.code, message: error.message };
  const mayRepeat = error.retryable && !retry.nonRetryable.includes(error.code);
  if (!mayRepeat || failures >= retry.maxFailures) return parkUndo(draft, taskKey, error, event);
  const delayMs = error.retryAfterMs ?? retryDelayMs(retry, failures, draft.random());
  armUndo(draft, taskKey, event.atMs + delayMs);
  draft.record(event, "task.compensation-retrying", { ...payload, delayMs });
}

function parkUndo(draft: Draft, key: string, error: ErrorRecord, event: RunEvent): void {
  const { attempt } = draft.task(key);
  if (!draft.move(key, { type: "park" }, { error })) return;
  const { code, message } = error;
  draft.record(event, "task.parked", { task: key, attempt, code, message });
}

function undone(draft: Draft, key: string, event: RunEvent): void {
  const { attempt } = draft.task(key);
  const patch = { finishedAtMs: event.atMs, unknownOutcome: false, error: null };
  if (!draft.move(key, { type: "undone", attempt }, patch)) return;
  draft.record(event, "task.compensated", { task: key, attempt });
}

function armUndo(draft: Draft, taskKey: string, dueAtMs: number): void {
  const { attempt } = draft.task(taskKey);
  draft.setTimer(`undo/${taskKey}`, { type: "undo.due", taskKey, attempt, by: "timer" }, dueAtMs);
}

/** The attempt to undo is gone: it is made again. */
export function undoLost(draft: Draft, event: EventOf<"task.lost">): void {
  const { taskKey, attempt, reason } = event;
  draft.record(event, "task.lost", { task: taskKey, attempt, reason });
  if (draft.timer(`undo/${taskKey}`) === undefined) undoWhenRunning(draft, taskKey, event);
}

export function undoDue(draft: Draft, event: EventOf<"undo.due">): void {
  const { taskKey } = event;
  draft.clearTimer(`undo/${taskKey}`);
  const { status, attempt } = draft.task(taskKey);
  if (status === "compensating" && attempt === event.attempt) {
    undoWhenRunning(draft, taskKey, event);
  }
}

/** Nothing begins while the run stands still: its timer waits for the end of the pause. */
function undoWhenRunning(draft: Draft, taskKey: string, event: RunEvent): void {
  if (draft.run().status === "running") return undo(draft, taskKey, event);
  armUndo(draft, taskKey, event.atMs);
  const timer = draft.timer(`undo/${taskKey}`);
  if (timer !== undefined) {
    draft.replaceTimer(`undo/${taskKey}`, { ...timer, dueAtMs: null, remainingMs: 0 });
  }
}

/** An operator's decision about a task that could not be undone. */
export function resolveUndo(draft: Draft, event: EventOf<"task.resolve">): void {
  const { taskKey, as } = event;
  switch (as) {
    case "retry":
      // It counts as not undone yet, and the rollback begins with it again.
      if (draft.run().status === "running") return undo(draft, taskKey, event);
      draft.move(taskKey, { type: "undo" }, { node: null, error: null });
      return undoWhenRunning(draft, taskKey, event);
    case "succeeded":
      return undone(draft, taskKey, event);
    case "skip":
    case "failed":
      draft.move(taskKey, { type: "settle", as: "failed" }, { unknownOutcome: false });
      return draft.record(event, "task.not-compensated", { task: taskKey, reason: event.reason });
    default:
      as satisfies never;
  }
}

/** A child run has undone what it did. */
export function childUndone(draft: Draft, event: EventOf<"child.undone">): void {
  const { taskKey, childId } = event;
  if (draft.task(taskKey).childId === childId) undone(draft, taskKey, event);
}

/** A child run that was asked to undo has ended otherwise: an operator gave its rollback up. */
export function childNotUndone(draft: Draft, key: string, error: ErrorRecord, event: RunEvent) {
  parkUndo(draft, key, error, event);
}
