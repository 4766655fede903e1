/**
 * What operators do to a run: pause, resume, cancel, retry, priorities, budgets.
 *
 * @module
 */

import { isInFlight, isOpen } from "../task.ts";
import { armWallTime } from "./budget.ts";
import type { Draft } from "./draft.ts";
import { isActive, stageOf, tasksOf } from "./lookup.ts";
import { beginRollback } from "./saga.ts";
import { finish, settleStage, startChart, startClocks, stopClocks } from "./stages.ts";
import type { RunEvent } from "./state.ts";
import { retryDue, unblock } from "./tasks.ts";
import { commandChildren } from "./waits.ts";

type EventOf<T extends RunEvent["type"]> = Extract<RunEvent, { type: T }>;

/** Starts no further task; clocks stand still unless they are told to run on; children pause too. */
export function pause(draft: Draft, event: EventOf<"run.pause">): void {
  if (draft.run().status !== "running") return;
  const clocks = event.clocks ?? "stop";
  const inFlight = draft.inFlight();
  draft.set({ status: "paused", pause: { atMs: event.atMs, clocks, drained: inFlight === 0 } });
  if (clocks === "stop") stopClocks(draft, event.atMs);
  draft.record(event, "run.paused", { reason: event.reason, clocks, inFlight });
  commandChildren(draft, "run.pause", event);
}

export function resume(draft: Draft, event: EventOf<"run.resume">): void {
  if (draft.run().status !== "paused") return;
  draft.set({ status: "running", pause: null });
  startClocks(draft, event.atMs);
  draft.record(event, "run.resumed", { reason: event.reason });
  commandChildren(draft, "run.resume", event);
}

/** Ends the run; with `rollback` after undoing what it did. */
export function cancel(draft: Draft, event: EventOf<"run.cancel">): void {
  const { status } = draft.run();
  if (status !== "pending" && status !== "running" && status !== "paused") return;
  draft.record(event, "run.cancelling", {
    reason: event.reason,
    rollback: event.rollback ?? false,
  });
  if (event.rollback !== true || draft.run().rollback !== null)
    return finish(draft, "cancelled", event);
  if (status === "paused") draft.set({ status: "running", pause: null });
  const message = "The run was cancelled";
  beginRollback(
    draft,
    { name: "Error", code: "CANCELLED", message, retryable: false },
    "cancelled",
    event,
  );
}

/** Runs failed and cancelled tasks again where the run stopped; with a key only that failed task. */
export function retry(draft: Draft, event: EventOf<"run.retry">): void {
  const { status } = draft.run();
  if (status !== "failed" && status !== "cancelled") return;
  draft.set({ status: "running", finishedAtMs: null, error: null });
  draft.record(event, "run.retried", { reason: event.reason, task: event.taskKey });
  startClocks(draft, event.atMs);
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
    left: null,
    admitted: null,
    stopping: false,
  };
  for (const key of draft.keys()) {
    const task = draft.task(key);
    const isAhead = draft.run().chart?.entered[draft.planned(task).stage] === undefined;
    if (!isAhead && !isActive(draft, stageOf(draft, task))) continue;
    if (event.taskKey !== null && key !== event.taskKey && task.status === "failed") continue;
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

/** Raises hard limits; a run that such a limit paused is resumed by its operator. */
export function raiseBudget(draft: Draft, event: EventOf<"run.budget">): void {
  draft.set({ raised: { ...draft.run().raised, ...event.limits } });
  draft.record(event, "budget.raised", { limits: event.limits, reason: event.reason });
  if (event.limits["wallMs"] !== undefined) armWallTime(draft, event);
}
