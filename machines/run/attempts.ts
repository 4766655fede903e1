/**
 * What becomes of attempts: they are dispatched, begin, end, are lost, stop, and run out of time.
 *
 * @module
 */

import type { ErrorRecord } from "../error-code.ts";
import { isInFlight, isOpen } from "../task.ts";
import type { Draft } from "./draft.ts";
import type { RunEvent } from "./state.ts";
import {
  ambiguous,
  announceReady,
  closeAsFailed,
  failAttempt,
  park,
  refuse,
  stopAttempt,
  succeed,
} from "./tasks.ts";

type EventOf<T extends RunEvent["type"]> = Extract<RunEvent, { type: T }>;

export function dispatch(draft: Draft, event: EventOf<"task.dispatch">): void {
  const { taskKey } = event;
  if (draft.run().status !== "running" || !draft.has(taskKey)) return;
  const task = draft.task(taskKey);
  if (task.status !== "ready" || draft.planned(task).kind !== "action") return;
  if (!draft.rules.affords(draft, event)) return;
  draft.move(taskKey, { type: "dispatch" }, { node: null, stopping: false });
  const { attempt } = draft.task(taskKey);
  draft.rules.spend(draft, { tasks: 1 }, event);
  draft.record(event, "task.dispatched", { task: taskKey, attempt });
  const { node } = event;
  if (node === undefined || !draft.planned(task).local) {
    return draft.effect({ type: "dispatch", taskKey, attempt });
  }
  draft.effect({ type: "dispatch", taskKey, attempt, local: true });
  started(draft, { ...event, type: "task.started", attempt, node });
}

export function started(draft: Draft, event: EventOf<"task.started">): void {
  const { taskKey, attempt, node } = event;
  const patch = { node, startedAtMs: event.atMs, finishedAtMs: null };
  if (!draft.move(taskKey, { type: "start", attempt }, patch)) {
    const { status, unknownOutcome, ...task } = draft.task(taskKey);
    // It began just before it was told to stop: what it does may have happened.
    const hasEnded = status === "cancelled" || status === "failed" || status === "skipped";
    if (task.attempt === attempt && hasEnded && unknownOutcome && task.node === null) {
      draft.update(taskKey, { node, stopping: true });
    }
    return refuse(draft, event);
  }
  draft.clearTimer(`schedule-to-start/${taskKey}`);
  draft.record(event, "task.started", { task: taskKey, attempt, node });
}

/** Applies the end of an attempt; one that is not in flight any more is journalled and changes nothing. */
export function finishAttempt(draft: Draft, event: EventOf<"task.finished">): void {
  const { taskKey, attempt, outcome } = event;
  const task = draft.task(taskKey);
  if (attempt !== task.attempt) return refuse(draft, event);
  if (task.status === "compensating") return draft.rules.undoFinished(draft, event);
  // Once for each attempt, whatever becomes of its result: what is spent is spent.
  const counts = isInFlight(task.status) || task.stopping;
  if (counts && outcome.spent !== undefined) draft.rules.spend(draft, outcome.spent, event);
  if (task.stopping) draft.update(taskKey, { stopping: false });
  const isTaken =
    outcome.type === "succeeded"
      ? succeed(draft, taskKey, attempt, outcome.output, event)
      : failAttempt(draft, taskKey, attempt, outcome.error, event);
  if (!isTaken) refuse(draft, event);
}

export function lost(draft: Draft, event: EventOf<"task.lost">): void {
  const { taskKey, attempt, reason } = event;
  const task = draft.task(taskKey);
  if (task.attempt === attempt && task.stopping) {
    draft.update(taskKey, { stopping: false });
    draft.record(event, "task.stopped", { task: taskKey, attempt, how: reason, afterMs: 0 });
    return;
  }
  if (task.attempt === attempt && task.status === "compensating") {
    return draft.rules.undoLost(draft, event);
  }
  const mayHaveRun = event.begun !== false;
  const isCurrent = task.attempt === attempt && isInFlight(task.status);
  if (isCurrent && mayHaveRun && draft.planned(task).atMostOnce) {
    const cause = { name: "Error", code: "ATTEMPT_LOST", message: reason, retryable: true };
    return void park(draft, taskKey, ambiguous(taskKey, cause), event, true);
  }
  const unknownOutcome = task.unknownOutcome || mayHaveRun;
  const patch = { readyAtMs: event.atMs, startedAtMs: null, node: null, unknownOutcome };
  if (!draft.move(taskKey, { type: "lose", attempt }, patch)) return refuse(draft, event);
  draft.record(event, "task.lost", { task: taskKey, attempt, reason });
  announceReady(draft, taskKey, event);
}

export function stopped(draft: Draft, event: EventOf<"task.stopped">): void {
  const { taskKey, attempt, how, afterMs, spent } = event;
  const task = draft.task(taskKey);
  if (task.attempt === attempt && task.stopping) {
    draft.update(taskKey, { stopping: false });
    if (spent !== undefined) draft.rules.spend(draft, spent, event);
  }
  draft.record(event, "task.stopped", { task: taskKey, attempt, how, afterMs });
}

export function retryDue(draft: Draft, event: EventOf<"retry.due">): void {
  const { taskKey, attempt } = event;
  if (!draft.move(taskKey, { type: "due", attempt }, { readyAtMs: event.atMs })) return;
  draft.clearTimer(`retry/${taskKey}`);
  announceReady(draft, taskKey, event);
}

/**
 * A limit in time was reached. Those that count from the schedule are final: the one is the queue's,
 * the other the task's last word. Start-to-close is the runner's own; here it comes due only when the
 * runner did not see to it, and is repeated like any failure.
 */
export function timeoutDue(draft: Draft, event: EventOf<"timeout.due">): void {
  const { taskKey, limit, attempt } = event;
  const task = draft.task(taskKey);
  if (limit !== "start-to-close") draft.clearTimer(`${limit}/${taskKey}`);
  const error = timeoutError(taskKey, limit);
  switch (limit) {
    case "start-to-close":
      if (task.attempt !== attempt || task.status !== "running") return;
      if (failAttempt(draft, taskKey, attempt, error, event)) stopAttempt(draft, task, event);
      return;
    case "schedule-to-start":
      if (task.status === "ready" || task.status === "dispatched") {
        closeAsFailed(draft, taskKey, error, event);
      }
      return;
    case "schedule-to-close": {
      if (!isOpen(task.status)) return;
      const mayHaveRun = task.status === "running" && draft.planned(task).kind === "action";
      if (mayHaveRun && draft.planned(task).atMostOnce) {
        if (park(draft, taskKey, ambiguous(taskKey, error), event, true))
          stopAttempt(draft, task, event);
        return;
      }
      closeAsFailed(draft, taskKey, error, event);
      return;
    }
    default:
      limit satisfies never;
  }
}

function timeoutError(key: string, limit: EventOf<"timeout.due">["limit"]): ErrorRecord {
  const code = `${limit.replaceAll("-", "_").toUpperCase()}_TIMEOUT`;
  const message = `Cannot finish "${key}" in time: its ${limit} limit has passed`;
  return { name: "TimeoutError", code, message, retryable: limit === "start-to-close" };
}
