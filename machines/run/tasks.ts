/**
 * What tasks do: they become ready, are tried, fail, wait, and end.
 *
 * @module
 */

import { AgentError, type ErrorRecord, type Json, toErrorRecord } from "../error-code.ts";
import { deathLimit, isDeath, poisoned } from "../poison.ts";
import { isInFlight, isOpen, isSatisfied } from "../task.ts";
import type { Draft } from "./draft.ts";
import { dependencyOf, isActive, stageOf } from "./lookup.ts";
import type { PlanTask } from "./plan.ts";
import { retryDelayMs } from "./retry.ts";
import type { RunEvent, TaskState } from "./state.ts";
import { taskInstance } from "./state.ts";
import { holds } from "./values.ts";

type EventOf<T extends RunEvent["type"]> = Extract<RunEvent, { type: T }>;

function isReleased(draft: Draft, task: TaskState): boolean {
  return draft.planned(task).after.every((key) => {
    const dependency = dependencyOf(draft, task, key);
    return dependency !== undefined && isSatisfied(dependency.status);
  });
}

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
  armScheduleToStart(draft, key, event);
  draft.record(event, "task.ready", { task: key });
  if (kind !== "action") draft.rules.openWait(draft, key, event);
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
function clearTimers(draft: Draft, key: string): void {
  for (const name of ["retry", "schedule-to-start", "schedule-to-close", "approval", "sleep"]) {
    draft.clearTimer(`${name}/${key}`);
  }
}

function skip(
  draft: Draft,
  key: string,
  why: { readonly [key: string]: Json },
  event: RunEvent,
): void {
  const { status, attempt } = draft.task(key);
  if (!draft.move(key, { type: "skip" }, { finishedAtMs: event.atMs })) return;
  if (isInFlight(status)) stopAttempt(draft, key, status, attempt, event);
  clearTimers(draft, key);
  draft.record(event, "task.skipped", { task: key, ...why });
  satisfied(draft, key, event);
}

/** What comes after a task that succeeded or was skipped. */
function satisfied(draft: Draft, key: string, event: RunEvent): void {
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

/** Applies the end of an attempt; an attempt that is not the current one is journalled and changes nothing. */
export function finishAttempt(draft: Draft, event: EventOf<"task.finished">): void {
  const { taskKey, attempt, outcome } = event;
  const task = draft.task(taskKey);
  if (attempt === task.attempt && task.stopping) draft.update(taskKey, { stopping: false });
  if (attempt === task.attempt && task.status === "compensating") {
    return draft.rules.undoFinished(draft, event);
  }
  if (outcome.spent !== undefined && attempt === task.attempt)
    draft.rules.spend(draft, outcome.spent, event);
  if (outcome.type === "succeeded") {
    if (!succeed(draft, taskKey, attempt, outcome.output, event)) refuse(draft, event);
    return;
  }
  if (!failAttempt(draft, taskKey, attempt, outcome.error, event)) refuse(draft, event);
}

/** Codes after which nobody knows how far the attempt came. */
const unknownOutcomes: ReadonlySet<string> = new Set([
  "START_TO_CLOSE_TIMEOUT",
  "HEARTBEAT_TIMEOUT",
]);

/** A failed attempt: it is repeated, parked, or the task has failed. False when it is not the current one. */
export function failAttempt(
  draft: Draft,
  key: string,
  attempt: number,
  given: ErrorRecord,
  event: RunEvent,
): boolean {
  const task = draft.task(key);
  const planned = draft.planned(task);
  if (attempt !== task.attempt || !isOpen(task.status) || task.status === "blocked") return false;
  const died = isDeath(given);
  const error = died && task.deaths + 1 >= deathLimit ? poisoned(`"${key}"`, given) : given;
  const isUnknown = died || unknownOutcomes.has(error.code);
  if (planned.atMostOnce && isUnknown && isInFlight(task.status)) {
    park(draft, key, ambiguous(key, error), event);
    return true;
  }
  const delayMs = mayRepeat(planned, task, error, event.atMs, draft.random());
  const repeats = delayMs !== null && isInFlight(task.status);
  const patch = {
    error,
    ...(repeats
      ? {}
      : { finishedAtMs: event.atMs, unknownOutcome: task.unknownOutcome || isUnknown }),
  };
  if (!draft.move(key, { type: "fail", attempt, mayRepeat: repeats, died }, patch)) return false;
  const payload = { task: key, attempt, code: error.code, message: error.message };
  if (repeats) {
    const due = { type: "retry.due", taskKey: key, attempt, by: "timer" };
    draft.setTimer(`retry/${key}`, due, event.atMs + delayMs);
    draft.clearTimer(`schedule-to-start/${key}`);
    draft.record(event, "task.retrying", { ...payload, delayMs });
  } else {
    clearTimers(draft, key);
    draft.record(event, "task.failed", payload);
    failed(draft, key, error, event);
  }
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

function ambiguous(key: string, cause: ErrorRecord): ErrorRecord {
  const message = `Cannot know whether "${key}" took effect, and it must not run twice: decide how it ended`;
  return { name: "Error", code: "AMBIGUOUS", message, retryable: false, cause };
}

/** Keeps a task until an operator decides about it. */
export function park(draft: Draft, key: string, error: ErrorRecord, event: RunEvent): void {
  if (!draft.move(key, { type: "park" }, { error, unknownOutcome: true })) return;
  clearTimers(draft, key);
  draft.record(event, "task.parked", { task: key, code: error.code, message: error.message });
}

/** A task that cannot even begin: its condition or its list cannot be read. */
export function failAtOnce(draft: Draft, key: string, error: ErrorRecord, event: RunEvent): void {
  if (draft.task(key).status === "blocked")
    draft.move(key, { type: "unblock" }, { readyAtMs: event.atMs });
  const { attempt } = draft.task(key);
  const patch = { error, finishedAtMs: event.atMs };
  if (!draft.move(key, { type: "fail", attempt, mayRepeat: false }, patch)) return;
  clearTimers(draft, key);
  draft.record(event, "task.failed", {
    task: key,
    attempt,
    code: error.code,
    message: error.message,
  });
  failed(draft, key, error, event);
}

/** What a final failure means: by the task's strategy. */
export function failed(draft: Draft, key: string, error: ErrorRecord, event: RunEvent): void {
  const task = draft.task(key);
  const { onFailure } = draft.planned(task);
  switch (onFailure.type) {
    case "skip":
    case "alternative":
      // The error stays on it: that is how its alternative knows that it is wanted.
      draft.move(key, { type: "skip" });
      draft.record(event, "task.skipped", { task: key, code: error.code });
      return satisfied(draft, key, event);
    case "escalate":
      return park(draft, key, error, event);
    case "rollback":
      return draft.rules.beginRollback(draft, error, "failed", event);
    case "fail":
      if (task.index !== null) return draft.rules.instanceFailed(draft, task, error, event);
      return closeStage(draft, task, error, event);
  }
}

/** A failed task ends its stage: what has not started is cancelled, what runs may end. */
function closeStage(draft: Draft, task: TaskState, error: ErrorRecord, event: RunEvent): void {
  const stage = stageOf(draft, task);
  draft.set({ error: draft.run().error ?? error });
  for (const name of draft.plan.stages.get(draft.planned(task).stage) ?? []) {
    const other = draft.task(taskInstance(name, task.iteration));
    if (isOpen(other.status) && !isInFlight(other.status)) cancelTask(draft, other.key, event);
  }
  draft.rules.settleStage(draft, stage, event);
}

/** Ends an open task without a result; an attempt under way is told to stop. */
export function cancelTask(draft: Draft, key: string, event: RunEvent): void {
  const { status, attempt, left, childId } = draft.task(key);
  if (!draft.move(key, { type: "cancel" }, { finishedAtMs: event.atMs })) return;
  if (isInFlight(status)) stopAttempt(draft, key, status, attempt, event);
  clearTimers(draft, key);
  draft.record(event, "task.cancelled", { task: key });
  if (childId !== null) commandChild(draft, childId, "run.cancel", event);
  if (left !== null) {
    for (let index = 0; draft.has(`${key}[${index}]`); index += 1) {
      cancelTask(draft, `${key}[${index}]`, event);
    }
  }
}

/** Tells an agent's attempt to stop; until it says that it did, its slot is in use. */
function stopAttempt(
  draft: Draft,
  key: string,
  status: TaskState["status"],
  attempt: number,
  event: RunEvent,
): void {
  const task = draft.task(key);
  if (draft.planned(task).kind !== "action" || task.left !== null) return;
  draft.update(key, { stopping: status === "running", unknownOutcome: true });
  const graceMs = event.type === "run.cancel" ? event.graceMs : undefined;
  draft.effect({
    type: "abort",
    taskKey: key,
    attempt,
    node: task.node,
    ...(graceMs === undefined ? {} : { graceMs }),
  });
}

export function commandChild(
  draft: Draft,
  childId: string,
  type: "run.cancel" | "run.pause" | "run.resume",
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

export function dispatch(draft: Draft, event: EventOf<"task.dispatch">): void {
  const { taskKey } = event;
  if (draft.run().status !== "running" || !draft.has(taskKey)) return;
  if (!draft.move(taskKey, { type: "dispatch" }, { node: null })) return;
  const { attempt } = draft.task(taskKey);
  draft.rules.spend(draft, { tasks: 1 }, event);
  draft.record(event, "task.dispatched", { task: taskKey, attempt });
  const { node } = event;
  if (node === undefined || !draft.planned(draft.task(taskKey)).local) {
    return draft.effect({ type: "dispatch", taskKey, attempt });
  }
  draft.effect({ type: "dispatch", taskKey, attempt, local: true });
  started(draft, { ...event, type: "task.started", attempt, node });
}

export function started(draft: Draft, event: EventOf<"task.started">): void {
  const { taskKey, attempt, node } = event;
  const patch = { node, startedAtMs: event.atMs, finishedAtMs: null };
  if (!draft.move(taskKey, { type: "start", attempt }, patch)) {
    const task = draft.task(taskKey);
    // It began just before it was told to stop: what it does may have happened.
    if (task.attempt === attempt && task.status === "cancelled") {
      draft.update(taskKey, { node, stopping: true, unknownOutcome: true });
    }
    return refuse(draft, event);
  }
  draft.clearTimer(`schedule-to-start/${taskKey}`);
  draft.record(event, "task.started", { task: taskKey, attempt, node });
}

export function lost(draft: Draft, event: EventOf<"task.lost">): void {
  const { taskKey, attempt, reason } = event;
  const task = draft.task(taskKey);
  if (task.attempt === attempt && task.stopping) {
    draft.update(taskKey, { stopping: false });
    draft.record(event, "task.stopped", { task: taskKey, attempt, how: reason, afterMs: 0 });
    return;
  }
  if (task.attempt === attempt && task.status === "compensating")
    return draft.rules.undoLost(draft, event);
  const isCurrent = task.attempt === attempt && isInFlight(task.status);
  if (isCurrent && event.begun !== false && draft.planned(task).atMostOnce) {
    const cause = { name: "Error", code: "ATTEMPT_LOST", message: reason, retryable: true };
    return park(draft, taskKey, ambiguous(taskKey, cause), event);
  }
  const patch = { readyAtMs: event.atMs, startedAtMs: null, node: null };
  if (!draft.move(taskKey, { type: "lose", attempt }, patch)) return refuse(draft, event);
  armScheduleToStart(draft, taskKey, event);
  draft.record(event, "task.lost", { task: taskKey, attempt, reason });
}

export function stopped(draft: Draft, event: EventOf<"task.stopped">): void {
  const { taskKey, attempt, how, afterMs } = event;
  const task = draft.task(taskKey);
  if (task.attempt === attempt && task.stopping) draft.update(taskKey, { stopping: false });
  draft.record(event, "task.stopped", { task: taskKey, attempt, how, afterMs });
}

export function retryDue(draft: Draft, event: EventOf<"retry.due">): void {
  const { taskKey, attempt } = event;
  if (!draft.move(taskKey, { type: "due", attempt }, { readyAtMs: event.atMs })) return;
  draft.clearTimer(`retry/${taskKey}`);
  armScheduleToStart(draft, taskKey, event);
  draft.record(event, "task.ready", { task: taskKey });
}

/** A limit in time was reached. Neither kind is repeated: the one is the queue's, the other the task's last word. */
export function timeoutDue(draft: Draft, event: EventOf<"timeout.due">): void {
  const { taskKey, limit } = event;
  draft.clearTimer(`${limit}/${taskKey}`);
  const task = draft.task(taskKey);
  const waits = task.status === "ready" || task.status === "dispatched";
  if (limit === "schedule-to-start" && !waits) return;
  if (!isOpen(task.status) || task.status === "parked") return;
  const code = `${limit.replaceAll("-", "_").toUpperCase()}_TIMEOUT`;
  const message = `Cannot finish "${taskKey}" in time: its ${limit} limit has passed`;
  const error: ErrorRecord = { name: "TimeoutError", code, message, retryable: false };
  if (isInFlight(task.status)) stopAttempt(draft, taskKey, task.status, task.attempt, event);
  const patch = { error, finishedAtMs: event.atMs };
  if (!draft.move(taskKey, { type: "fail", attempt: task.attempt, mayRepeat: false }, patch))
    return;
  clearTimers(draft, taskKey);
  draft.record(event, "task.failed", { task: taskKey, attempt: task.attempt, code, message });
  failed(draft, taskKey, error, event);
}

/** An operator's decision about a parked task, or a person's about an approval. */
export function resolveTask(draft: Draft, event: EventOf<"task.resolve">): void {
  const { taskKey, as, output = null } = event;
  const { status, attempt } = draft.task(taskKey);
  draft.record(event, "task.resolved", { task: taskKey, as, reason: event.reason });
  if (status === "running") {
    if (as === "succeeded") return void succeed(draft, taskKey, attempt, output, event);
    if (as === "skip") return skip(draft, taskKey, { reason: event.reason }, event);
    const message = `"${taskKey}" was refused${event.reason === null ? "" : `: ${event.reason}`}`;
    const error = { name: "Error", code: "REJECTED", message, retryable: false };
    return void failAttempt(draft, taskKey, attempt, error, event);
  }
  if (status !== "parked") return;
  switch (as) {
    case "retry":
      if (draft.run().rollback !== null)
        return draft.rules.undoLost(draft, {
          ...event,
          type: "task.lost",
          attempt,
          reason: "retried",
        });
      draft.move(taskKey, { type: "repeat" }, { readyAtMs: event.atMs, error: null });
      armScheduleToStart(draft, taskKey, event);
      return draft.record(event, "task.ready", { task: taskKey });
    case "skip":
      return skip(draft, taskKey, { reason: event.reason }, event);
    case "succeeded":
      draft.move(taskKey, { type: "settle", as }, { finishedAtMs: event.atMs, error: null });
      draft.setOutput(taskKey, output);
      draft.record(event, "task.succeeded", { task: taskKey, attempt });
      return satisfied(draft, taskKey, event);
    case "failed": {
      const { error } = draft.task(taskKey);
      draft.move(taskKey, { type: "settle", as }, { finishedAtMs: event.atMs });
      const record = error ?? toErrorRecord(new AgentError("REJECTED", `"${taskKey}" was refused`));
      draft.record(event, "task.failed", {
        task: taskKey,
        attempt,
        code: record.code,
        message: record.message,
      });
      const task = draft.task(taskKey);
      if (task.index !== null) return draft.rules.instanceFailed(draft, task, record, event);
      return closeStage(draft, task, record, event);
    }
    default:
      as satisfies never;
  }
}

/** An operator skips a task that has not ended well. */
export function skipTask(draft: Draft, event: EventOf<"task.skip">): void {
  skip(draft, event.taskKey, { reason: event.reason }, event);
}
