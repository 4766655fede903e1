/**
 * Rollback: what finished is undone in reverse order, one task after another, durably.
 * What may have happened (it was stopped, lost, or timed out) is undone like what did.
 *
 * @module
 */

import type { ErrorRecord } from "../error-code.ts";
import { isOpen } from "../task.ts";
import type { Draft } from "./draft.ts";
import { retryDelayMs } from "./retry.ts";
import { finish } from "./stages.ts";
import type { RunEvent, TaskState } from "./state.ts";
import { cancelTask } from "./tasks.ts";

type EventOf<T extends RunEvent["type"]> = Extract<RunEvent, { type: T }>;

/** Stops what is open, and begins to undo. The run ends as `then` when nothing is left to undo. */
export function beginRollback(
  draft: Draft,
  cause: ErrorRecord,
  then: "failed" | "cancelled",
  event: RunEvent,
): void {
  if (draft.run().rollback !== null) return;
  draft.set({ error: draft.run().error ?? cause, rollback: { cause, queue: [], then } });
  for (const key of draft.keys()) {
    if (isOpen(draft.task(key).status)) cancelTask(draft, key, event);
  }
  const queue = draft
    .keys()
    .map((key) => draft.task(key))
    .filter((task) => isUndoable(draft, task))
    .sort(
      (a, b) =>
        (b.finishedAtMs ?? 0) - (a.finishedAtMs ?? 0) ||
        (b.startedAtMs ?? 0) - (a.startedAtMs ?? 0),
    )
    .map(({ key }) => key);
  draft.set({ rollback: { cause, queue, then } });
  draft.record(event, "run.rolling-back", { code: cause.code, tasks: queue });
  continueRollback(draft, event);
}

function isUndoable(draft: Draft, task: TaskState): boolean {
  if (draft.planned(task).compensate === null || task.left !== null) return false;
  return task.status === "succeeded" || task.unknownOutcome;
}

/** Undoes the next task, once the attempt of it that was told to stop has stopped. */
export function continueRollback(draft: Draft, event: RunEvent): void {
  const { rollback } = draft.run();
  if (rollback === null) return;
  const [key, ...rest] = rollback.queue;
  if (key === undefined) {
    draft.set({ rollback: null });
    return finish(draft, rollback.then, event);
  }
  const { status, stopping } = draft.task(key);
  if (status === "compensating" || status === "parked" || stopping) return;
  if (status === "compensated" || status === "skipped") {
    draft.set({ rollback: { ...rollback, queue: rest } });
    return continueRollback(draft, event);
  }
  undo(draft, key, event);
}

function undo(draft: Draft, key: string, event: RunEvent): void {
  if (!draft.move(key, { type: "undo" }, { node: null, error: null })) return;
  const { attempt } = draft.task(key);
  draft.effect({ type: "dispatch", taskKey: key, attempt, undo: true });
  draft.record(event, "task.compensating", { task: key, attempt });
}

/** The end of an attempt to undo. After its last failure the task waits, parked, for an operator. */
export function undoFinished(draft: Draft, event: EventOf<"task.finished">): void {
  const { taskKey, attempt, outcome } = event;
  if (outcome.type === "succeeded") {
    draft.move(
      taskKey,
      { type: "undone", attempt },
      { finishedAtMs: event.atMs, unknownOutcome: false },
    );
    draft.record(event, "task.compensated", { task: taskKey, attempt });
    return continueRollback(draft, event);
  }
  const { error } = outcome;
  const { retry } = draft.planned(draft.task(taskKey));
  draft.move(taskKey, { type: "fail", attempt, mayRepeat: true }, { error });
  const { failures } = draft.task(taskKey);
  const payload = { task: taskKey, attempt, code: error.code, message: error.message };
  if (!error.retryable || failures >= retry.maxFailures) {
    draft.move(taskKey, { type: "park" });
    return draft.record(event, "task.parked", payload);
  }
  const delayMs = error.retryAfterMs ?? retryDelayMs(retry, failures, draft.random());
  const due = { type: "undo.due", taskKey, attempt, by: "timer" };
  draft.setTimer(`undo/${taskKey}`, due, event.atMs + delayMs);
  draft.record(event, "task.compensation-retrying", { ...payload, delayMs });
}

/** The attempt to undo is gone, or an operator wants another: it is made again. */
export function undoLost(draft: Draft, event: EventOf<"task.lost">): void {
  draft.record(event, "task.lost", {
    task: event.taskKey,
    attempt: event.attempt,
    reason: event.reason,
  });
  undo(draft, event.taskKey, event);
}

export function undoDue(draft: Draft, event: EventOf<"undo.due">): void {
  draft.clearTimer(`undo/${event.taskKey}`);
  const { status, attempt } = draft.task(event.taskKey);
  if (status === "compensating" && attempt === event.attempt) undo(draft, event.taskKey, event);
}
