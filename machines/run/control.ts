/**
 * What operators do to a run: pause, resume, cancel, retry, priorities, budgets.
 *
 * @module
 */

import type { ErrorRecord } from "../error-code.ts";
import { isInFlight, isOpen } from "../task.ts";
import { retryDue } from "./attempts.ts";
import { armWallTime, hardLimit, wallMs } from "./budget.ts";
import type { Draft } from "./draft.ts";
import { isActive, stageOf, tasksOf } from "./lookup.ts";
import { endOfPause, pauseRun, resumeRun } from "./pause.ts";
import { beginRollback } from "./saga.ts";
import { finish, settleStage, startChart, startClocks } from "./stages.ts";
import type { RunEvent, RunFields } from "./state.ts";
import { ambiguous, park, unblock } from "./tasks.ts";

type EventOf<T extends RunEvent["type"]> = Extract<RunEvent, { type: T }>;

/** Starts no further task; clocks stand still unless they are told to run on; children pause too. */
export function pause(draft: Draft, event: EventOf<"run.pause">): void {
  const { status, pause: before } = draft.run();
  // An operator's pause outlasts the raise of the limit that paused the run.
  if (status === "paused" && before?.budget !== undefined) {
    const { budget: _, ...kept } = before;
    draft.set({ pause: kept });
    return draft.record(event, "run.paused", { reason: event.reason, inFlight: draft.inFlight() });
  }
  if (status === "running") {
    pauseRun(draft, { clocks: event.clocks ?? "stop" }, event.reason, event);
  }
}

export function resume(draft: Draft, event: EventOf<"run.resume">): void {
  if (draft.run().status !== "paused") return;
  resumeRun(draft, event.reason, event);
  armWallTime(draft, event);
}

/**
 * Ends the run; with `rollback` after undoing what it did. Without, a rollback that is under way is
 * given up.
 */
export function cancel(draft: Draft, event: EventOf<"run.cancel">): void {
  const { status, rollback } = draft.run();
  if (status !== "pending" && status !== "running" && status !== "paused") return;
  const undoes = event.rollback ?? false;
  draft.record(event, "run.cancelling", { reason: event.reason, rollback: undoes });
  if (!undoes || status === "pending") {
    draft.set({ rollback: null });
    return finish(draft, "cancelled", event);
  }
  if (status === "paused") goOn(draft, event);
  if (rollback !== null) return draft.set({ rollback: { ...rollback, then: "cancelled" } });
  beginRollback(draft, wasCancelled("The run was cancelled"), "cancelled", event);
}

/** Undoes what the run did because its parent rolls back, also when it has ended. */
export function undoRun(draft: Draft, event: EventOf<"run.undo">): void {
  const { status, rollback, finishedAtMs } = draft.run();
  if (status === "parked") return;
  draft.record(event, "run.undoing", { reason: event.reason });
  if (status === "paused") goOn(draft, event);
  if (finishedAtMs !== null) draft.set(reopened(draft, event));
  if (status === "pending") draft.set({ status: "running", startedAtMs: event.atMs });
  if (rollback !== null) return draft.set({ rollback: { ...rollback, forParent: true } });
  const cause = wasCancelled("The run that started this one was rolled back");
  draft.set({ error: null });
  beginRollback(draft, cause, "cancelled", event, true);
}

/** Ends a pause in order to undo: nothing but the rollback begins again. */
function goOn(draft: Draft, event: RunEvent): void {
  draft.set({ status: "running", ...endOfPause(draft.run(), event.atMs) });
  startClocks(draft, event.atMs);
}

function wasCancelled(message: string): ErrorRecord {
  return { name: "Error", code: "CANCELLED", message, retryable: false };
}

/** A run that had ended goes on; the time between does not count. */
function reopened(draft: Draft, { atMs }: RunEvent): Partial<RunFields> {
  const { finishedAtMs, stoodMs } = draft.run();
  const stood = finishedAtMs === null ? 0 : Math.max(0, atMs - finishedAtMs);
  return { status: "running", finishedAtMs: null, output: null, stoodMs: stoodMs + stood };
}

/** Runs failed and cancelled tasks again where the run stopped; with a key only that failed task. */
export function retry(draft: Draft, event: EventOf<"run.retry">): void {
  const { status } = draft.run();
  if (status !== "failed" && status !== "cancelled") return;
  draft.set({ ...reopened(draft, event), error: null });
  draft.record(event, "run.retried", { reason: event.reason, task: event.taskKey });
  startClocks(draft, event.atMs);
  armWallTime(draft, event);
  reopen(draft, event);
  const { chart } = draft.run();
  if (chart === null) return startChart(draft, event);
  const stages = Object.values(chart.invoked);
  for (const stage of stages)
    for (const { key } of tasksOf(draft, stage)) unblock(draft, key, event);
  for (const stage of stages) settleStage(draft, stage, event);
}

/** Puts tasks back, but for those of stages that the chart has left for good. */
function reopen(draft: Draft, event: EventOf<"run.retry">): void {
  const back = {
    error: null,
    finishedAtMs: null,
    startedAtMs: null,
    scheduledAtMs: null,
    items: null,
    left: null,
    admitted: null,
    inside: null,
    stopping: false,
    childId: null,
  };
  for (const key of draft.keys()) {
    const task = draft.task(key);
    const isAhead = draft.run().chart?.entered[draft.planned(task).stage] === undefined;
    if (!isAhead && !isActive(draft, stageOf(draft, task))) continue;
    if (event.taskKey !== null && key !== event.taskKey && task.status === "failed") continue;
    // Nobody knows whether it took effect: it is not repeated with the rest, unless it is asked for.
    const isUnknown = draft.planned(task).atMostOnce && task.unknownOutcome;
    if (isUnknown && key !== event.taskKey && task.left === null) {
      const cause = wasCancelled(`"${key}" was stopped, or lost, when the run ended`);
      park(draft, key, ambiguous(key, task.error ?? cause), event);
      continue;
    }
    draft.move(key, { type: "reset" }, back);
  }
}

export function setPriority(draft: Draft, event: EventOf<"run.priority">): void {
  draft.set({ priority: event.priority });
  draft.record(event, "run.priority", { priority: event.priority, reason: event.reason });
}

export function setTaskPriority(draft: Draft, event: EventOf<"task.priority">): void {
  const { taskKey, priority } = event;
  draft.update(taskKey, { priority });
  draft.record(event, "task.priority", { task: taskKey, priority, reason: event.reason });
}

/** Lifts every limit but its agent's own from a task, and ends its pause between attempts. */
export function runNow(draft: Draft, event: EventOf<"task.run-now">): void {
  const { taskKey } = event;
  const task = draft.task(taskKey);
  if (!isOpen(task.status) || isInFlight(task.status)) return;
  draft.update(taskKey, { urgent: true });
  draft.record(event, "task.urgent", { task: taskKey, reason: event.reason });
  if (task.status === "retrying") {
    retryDue(draft, { ...event, type: "retry.due", attempt: task.attempt });
  }
}

/** Raises hard limits; a run that such a limit paused goes on when it has room again. */
export function raiseBudget(draft: Draft, event: EventOf<"run.budget">): void {
  draft.set({ raised: { ...draft.run().raised, ...event.limits } });
  draft.record(event, "budget.raised", { limits: event.limits, reason: event.reason });
  const { status, pause: paused, spent } = draft.run();
  const unit = paused?.budget;
  if (status === "paused" && unit !== undefined) {
    const used = unit === "wallMs" ? wallMs(draft.run(), event.atMs) : (spent[unit] ?? 0);
    if (used < (hardLimit(draft, unit) ?? 0)) resumeRun(draft, event.reason, event);
  }
  if (isActiveRun(draft)) armWallTime(draft, event);
}

function isActiveRun(draft: Draft): boolean {
  const { status } = draft.run();
  return status === "running" || status === "paused";
}
