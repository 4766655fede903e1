/**
 * What tasks do: they become ready, are tried, fail, wait, and end.
 *
 * @module
 */

import { type ErrorRecord, type Json, toErrorRecord } from "../error-code.ts";
import { deathLimit, isDeath, poisoned } from "../poison.ts";
import { isInFlight, isOpen } from "../task.ts";
import type { Draft } from "./draft.ts";
import { dependencyOf, isActive, isReleased, stageOf } from "./lookup.ts";
import type { PlanTask } from "./plan.ts";
import { retryDelayMs } from "./retry.ts";
import type { RunEvent, TaskState } from "./state.ts";
import { taskInstance } from "./state.ts";
import { holds } from "./values.ts";

/** Lets a blocked task begin when all that it waits for is there. */
export function unblock(draft: Draft, key: string, event: RunEvent): void {
  const task = draft.task(key);
  if (task.status !== "blocked" || task.index !== null) return;
  const planned = draft.planned(task);
  if (planned.group !== null) return draft.rules.expand(draft, task, event);
  if (!isReleased(draft, task)) return;
  begin(draft, task, event);
}

/** Decides about a task that nothing holds any more: it is skipped, waits for something, or is ready. */
export function begin(draft: Draft, task: TaskState, event: RunEvent): void {
  const { key } = task;
  const planned = draft.planned(task);
  const stoodInFor =
    planned.alternativeTo === null ? undefined : dependencyOf(draft, task, planned.alternativeTo);
  // Its primary is skipped with an error only after a final failure.
  if (stoodInFor !== undefined && (stoodInFor.status !== "skipped" || stoodInFor.error === null)) {
    return skip(draft, key, { reason: `"${stoodInFor.key}" needed no alternative` }, event);
  }
  try {
    if (planned.when !== null && !holds(planned.when, draft.scope(task))) {
      return skip(draft, key, { reason: "its condition does not hold" }, event);
    }
  } catch (error) {
    return failAtOnce(draft, key, toErrorRecord(error), event);
  }
  makeReady(draft, key, event);
}

function makeReady(draft: Draft, key: string, event: RunEvent): void {
  const task = draft.task(key);
  const { timeouts, kind } = draft.planned(task);
  const patch = { readyAtMs: event.atMs, scheduledAtMs: task.scheduledAtMs ?? event.atMs };
  if (!draft.move(key, { type: "unblock" }, patch)) return;
  if (kind === "action" && timeouts.scheduleToCloseMs !== null) {
    setTimeout_(draft, key, "schedule-to-close", event.atMs + timeouts.scheduleToCloseMs);
  }
  announceReady(draft, key, event);
}

/** A task is ready, for the first time or again. What no agent carries begins at once, unless the run is paused. */
export function announceReady(draft: Draft, key: string, event: RunEvent): void {
  const { kind } = draft.planned(draft.task(key));
  armScheduleToStart(draft, key, event);
  draft.record(event, "task.ready", { task: key });
  if (kind !== "action" && draft.run().status === "running") {
    draft.rules.openWait(draft, key, event);
  }
}

function armScheduleToStart(draft: Draft, key: string, event: RunEvent): void {
  const { timeouts, kind } = draft.planned(draft.task(key));
  if (kind !== "action" || timeouts.scheduleToStartMs === null) return;
  setTimeout_(draft, key, "schedule-to-start", event.atMs + timeouts.scheduleToStartMs);
}

function setTimeout_(
  draft: Draft,
  taskKey: string,
  limit: "schedule-to-start" | "schedule-to-close",
  dueAtMs: number,
): void {
  const { attempt } = draft.task(taskKey);
  const event = { type: "timeout.due", limit, taskKey, attempt, by: "timer" };
  draft.setTimer(`${limit}/${taskKey}`, event, dueAtMs);
}

/** Forgets every timer of a task: it has ended. */
export function clearTimers(draft: Draft, key: string): void {
  for (const name of ["retry", "schedule-to-start", "schedule-to-close", "sleep"]) {
    draft.clearTimer(`${name}/${key}`);
  }
}

export function skip(
  draft: Draft,
  key: string,
  why: { readonly [key: string]: Json },
  event: RunEvent,
): void {
  const before = draft.task(key);
  if (!draft.move(key, { type: "skip" }, { finishedAtMs: event.atMs })) return;
  const members = draft.plan.groups.get(draft.planned(before).group ?? "")?.tasks.length ?? 0;
  const streams = before.left !== null && members > 1;
  if (!streams) stopWork(draft, before, event);
  clearTimers(draft, key);
  draft.record(event, "task.skipped", { task: key, ...why });
  // The next task of the pipeline gets the items.
  for (let index = 0; streams && index < (before.items ?? 0); index += 1) {
    skip(draft, taskInstance(before.plan, before.iteration, index), why, event);
  }
  satisfied(draft, key, event);
}

/** What comes after a task that succeeded or was skipped. */
export function satisfied(draft: Draft, key: string, event: RunEvent): void {
  const task = draft.task(key);
  if (task.index !== null) return draft.rules.instanceSatisfied(draft, task, event);
  const stage = stageOf(draft, task);
  for (const name of draft.plan.dependents.get(task.plan) ?? []) {
    const dependent = taskInstance(name, task.iteration);
    // Tasks of later stages look at their dependencies when their stage is entered.
    if (draft.plan.tasks.get(name)?.stage === draft.planned(task).stage && draft.has(dependent)) {
      if (isActive(draft, stage)) unblock(draft, dependent, event);
    }
  }
  draft.rules.settleStage(draft, stage, event);
}

export function succeed(
  draft: Draft,
  key: string,
  attempt: number,
  output: Json,
  event: RunEvent,
): boolean {
  const patch = { finishedAtMs: event.atMs, error: null, unknownOutcome: false };
  if (!draft.move(key, { type: "succeed", attempt }, patch)) return false;
  draft.setOutput(key, output);
  clearTimers(draft, key);
  draft.record(event, "task.succeeded", { task: key, attempt });
  satisfied(draft, key, event);
  return true;
}

/** Codes after which nobody knows how far the attempt came. */
const unknownOutcomes: ReadonlySet<string> = new Set([
  "START_TO_CLOSE_TIMEOUT",
  "HEARTBEAT_TIMEOUT",
  "AGENT_DIED",
  "POISONED",
]);

/** A failed attempt: it is repeated, parked, or the task has failed. False when it is not in flight any more. */
export function failAttempt(
  draft: Draft,
  key: string,
  attempt: number,
  given: ErrorRecord,
  event: RunEvent,
): boolean {
  const task = draft.task(key);
  const planned = draft.planned(task);
  // The end of an attempt that was lost, or the same end once more, says nothing about the next one.
  if (attempt !== task.attempt || !isInFlight(task.status)) return false;
  const died = isDeath(given);
  const error = died && task.deaths + 1 >= deathLimit ? poisoned(`"${key}"`, given) : given;
  const isUnknown = unknownOutcomes.has(error.code);
  if (planned.atMostOnce && isUnknown) {
    return park(draft, key, ambiguous(key, error), event, true);
  }
  const delayMs = mayRepeat(planned, task, error, event.atMs, draft.random());
  const mayGoOn = delayMs !== null;
  const patch = {
    error,
    unknownOutcome: task.unknownOutcome || isUnknown,
    ...(mayGoOn ? {} : { finishedAtMs: event.atMs }),
  };
  if (!draft.move(key, { type: "fail", attempt, mayRepeat: mayGoOn, died }, patch)) return false;
  const payload = { task: key, attempt, code: error.code, message: error.message };
  if (mayGoOn) {
    const due = { type: "retry.due", taskKey: key, attempt, by: "timer" };
    draft.setTimer(`retry/${key}`, due, event.atMs + delayMs);
    draft.clearTimer(`schedule-to-start/${key}`);
    draft.record(event, "task.retrying", { ...payload, delayMs });
    return true;
  }
  clearTimers(draft, key);
  draft.record(event, "task.failed", payload);
  failed(draft, key, error, event);
  return true;
}

/** Milliseconds until the next attempt; null when there is none. */
function mayRepeat(
  planned: PlanTask,
  task: TaskState,
  error: ErrorRecord,
  atMs: number,
  random: number,
): number | null {
  const { retry } = planned;
  if (!error.retryable || retry.nonRetryable.includes(error.code)) return null;
  if (task.failures + 1 >= retry.maxFailures) return null;
  const delayMs = error.retryAfterMs ?? retryDelayMs(retry, task.failures + 1, random);
  const spentMs = atMs - (task.scheduledAtMs ?? atMs);
  return retry.totalMs !== null && spentMs + delayMs > retry.totalMs ? null : delayMs;
}

export function ambiguous(key: string, cause: ErrorRecord): ErrorRecord {
  const message = `Cannot know whether "${key}" took effect, and it must not run twice: decide how it ended`;
  return { name: "Error", code: "AMBIGUOUS", message, retryable: false, cause };
}

/** Keeps a task until an operator decides about it. */
export function park(
  draft: Draft,
  key: string,
  error: ErrorRecord,
  event: RunEvent,
  isUnknown = false,
): boolean {
  const unknownOutcome = draft.task(key).unknownOutcome || isUnknown;
  if (!draft.move(key, { type: "park" }, { error, unknownOutcome })) return false;
  clearTimers(draft, key);
  draft.record(event, "task.parked", { task: key, code: error.code, message: error.message });
  return true;
}

/** A task that cannot even begin: its condition or its list cannot be read. */
export function failAtOnce(draft: Draft, key: string, error: ErrorRecord, event: RunEvent): void {
  if (draft.task(key).status === "blocked")
    draft.move(key, { type: "unblock" }, { readyAtMs: event.atMs });
  closeAsFailed(draft, key, error, event);
}

/** Fails an open task without another attempt; what it has begun is stopped. False when it has ended. */
export function closeAsFailed(
  draft: Draft,
  key: string,
  error: ErrorRecord,
  event: RunEvent,
): boolean {
  const before = draft.task(key);
  const { attempt } = before;
  const patch = { error, finishedAtMs: event.atMs };
  if (!draft.move(key, { type: "fail", attempt, mayRepeat: false }, patch)) return false;
  stopWork(draft, before, event);
  clearTimers(draft, key);
  const { code, message } = error;
  draft.record(event, "task.failed", { task: key, attempt, code, message });
  failed(draft, key, error, event);
  return true;
}

/** What a final failure means: by the task's strategy. */
function failed(draft: Draft, key: string, error: ErrorRecord, event: RunEvent): void {
  const task = draft.task(key);
  const { onFailure, group } = draft.planned(task);
  const isInstance = task.index !== null;
  switch (onFailure.type) {
    case "alternative":
      // Of one item only when the other task works on items of the same group.
      if (isInstance && draft.plan.tasks.get(onFailure.task)?.group !== group) {
        return draft.rules.instanceFailed(draft, task, error, event);
      }
      return passOver(draft, key, error, event);
    case "skip":
      return passOver(draft, key, error, event);
    case "escalate":
      return void park(draft, key, error, event);
    case "rollback":
      return draft.rules.beginRollback(draft, error, "failed", event);
    case "fail":
      if (isInstance) return draft.rules.instanceFailed(draft, task, error, event);
      return closeStage(draft, task, error, event);
  }
}

/** Goes on without a failed task. The error stays on it: that is how its alternative knows that it is wanted. */
export function passOver(draft: Draft, key: string, error: ErrorRecord, event: RunEvent): void {
  if (!draft.move(key, { type: "skip" })) return;
  draft.record(event, "task.skipped", { task: key, code: error.code });
  satisfied(draft, key, event);
}

/** A failed task ends its stage: attempts of agents that run may end, all else is cancelled. */
export function closeStage(
  draft: Draft,
  task: TaskState,
  error: ErrorRecord,
  event: RunEvent,
): void {
  const stage = stageOf(draft, task);
  draft.set({ error: draft.run().error ?? error });
  for (const name of draft.plan.stages.get(draft.planned(task).stage) ?? []) {
    const other = draft.task(taskInstance(name, task.iteration));
    const isAttempt =
      isInFlight(other.status) && other.left === null && draft.planned(other).kind === "action";
    if (isOpen(other.status) && !isAttempt) cancelTask(draft, other.key, event);
  }
  draft.rules.settleStage(draft, stage, event);
}

/** Ends an open task without a result; what it has begun is told to stop. */
export function cancelTask(draft: Draft, key: string, event: RunEvent): void {
  const before = draft.task(key);
  if (!draft.move(key, { type: "cancel" }, { finishedAtMs: event.atMs })) return;
  stopWork(draft, before, event);
  clearTimers(draft, key);
  draft.record(event, "task.cancelled", { task: key });
}

/** Stops what an ended task has set going: an attempt, a child run, the instances of a group. */
export function stopWork(draft: Draft, before: TaskState, event: RunEvent): void {
  const { key, status, left, items, childId, plan, iteration } = before;
  if (left !== null) {
    for (let index = 0; index < (items ?? 0); index += 1) {
      const instance = draft.task(taskInstance(plan, iteration, index));
      if (isOpen(instance.status)) cancelTask(draft, instance.key, event);
    }
    return;
  }
  if (status === "compensating") {
    draft.clearTimer(`undo/${key}`);
    draft.update(key, { unknownOutcome: true });
    const { attempt, node } = before;
    return draft.effect({ type: "abort", taskKey: key, attempt, node });
  }
  if (!isInFlight(status)) return;
  if (draft.planned(before).kind === "action") return stopAttempt(draft, before, event);
  if (childId === null) return;
  draft.update(key, { stopping: true, unknownOutcome: true });
  commandChild(draft, childId, "run.cancel", event);
}

/** Tells an agent's attempt to stop; until it says that it did, its slot is in use. */
export function stopAttempt(draft: Draft, before: TaskState, event: RunEvent): void {
  const { key, status, attempt, node } = before;
  draft.update(key, { stopping: status === "running", unknownOutcome: true });
  const graceMs = event.type === "run.cancel" ? event.graceMs : undefined;
  draft.effect({
    type: "abort",
    taskKey: key,
    attempt,
    node,
    ...(graceMs === undefined ? {} : { graceMs }),
  });
}

export function commandChild(
  draft: Draft,
  childId: string,
  type: "run.cancel" | "run.pause" | "run.resume" | "run.undo",
  event: RunEvent,
): void {
  const reason = "reason" in event ? event.reason : null;
  draft.effect({
    type: "command-child",
    childId,
    event: { type, reason, by: `parent ${draft.run().id}`, ...optionsOf(event) },
  });
}

/** What children are told, too. */
function optionsOf(event: RunEvent): { readonly [key: string]: Json } {
  if (event.type === "run.pause" && event.clocks !== undefined) return { clocks: event.clocks };
  if (event.type !== "run.cancel") return {};
  return {
    ...(event.rollback === undefined ? {} : { rollback: event.rollback }),
    ...(event.graceMs === undefined ? {} : { graceMs: event.graceMs }),
  };
}

export function refuse(draft: Draft, event: Extract<RunEvent, { readonly attempt: number }>): void {
  draft.record(event, "attempt.refused", {
    task: event.taskKey,
    attempt: event.attempt,
    event: event.type,
  });
}
