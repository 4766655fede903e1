/**
 * What people decide about single tasks: approvals, parked tasks, tasks to skip.
 *
 * @module
 */

import { AgentError, type ErrorRecord, toErrorRecord } from "../error-code.ts";
import type { Draft } from "./draft.ts";
import type { RunEvent, TaskState } from "./state.ts";
import {
  announceReady,
  clearTimers,
  closeAsFailed,
  closeStage,
  passOver,
  satisfied,
  skip,
  succeed,
} from "./tasks.ts";

type EventOf<T extends RunEvent["type"]> = Extract<RunEvent, { type: T }>;

/** A person's decision about an approval (or a signal that does not come), or an operator's about a parked task. */
export function resolveTask(draft: Draft, event: EventOf<"task.resolve">): void {
  const { taskKey, as, reason } = event;
  const task = draft.task(taskKey);
  const { kind } = draft.planned(task);
  const waits = task.status === "running" && (kind === "approval" || kind === "signal");
  const isParked = task.status === "parked";
  if (!isParked && !(waits && as !== "retry")) {
    const why = `it is ${task.status}`;
    return draft.record(event, "command.refused", { command: event.type, task: taskKey, why });
  }
  draft.record(event, "task.resolved", { task: taskKey, as, reason });
  if (waits) return answer(draft, task, event);
  // Nothing but what could not be undone is parked during a rollback.
  if (draft.run().rollback !== null) return draft.rules.resolveUndo(draft, event);
  settleParked(draft, task, event);
}

function answer(draft: Draft, task: TaskState, event: EventOf<"task.resolve">): void {
  const { key, attempt } = task;
  const { as, output = null, reason } = event;
  if (as === "succeeded") return void succeed(draft, key, attempt, output, event);
  if (as === "skip") return skip(draft, key, { reason }, event);
  closeAsFailed(draft, key, refused(key, reason), event);
}

function settleParked(draft: Draft, task: TaskState, event: EventOf<"task.resolve">): void {
  const { key, attempt } = task;
  const { as, output = null, reason, atMs } = event;
  switch (as) {
    case "retry":
      draft.move(key, { type: "repeat" }, { readyAtMs: atMs, error: null, stopping: false });
      return announceReady(draft, key, event);
    case "skip":
      return skip(draft, key, { reason }, event);
    case "succeeded":
      draft.move(
        key,
        { type: "settle", as },
        { finishedAtMs: atMs, error: null, unknownOutcome: false },
      );
      draft.setOutput(key, output);
      draft.record(event, "task.succeeded", { task: key, attempt });
      return satisfied(draft, key, event);
    case "failed":
      // Whoever says so says that it took no effect: a rollback leaves it out.
      draft.move(key, { type: "settle", as }, { finishedAtMs: atMs, unknownOutcome: false });
      return fail(draft, key, task.error ?? refused(key, reason), event);
    default:
      as satisfies never;
  }
}

/** The task's strategy holds, but for another escalation. */
function fail(draft: Draft, key: string, error: ErrorRecord, event: RunEvent): void {
  const task = draft.task(key);
  const { code, message } = error;
  clearTimers(draft, key);
  draft.record(event, "task.failed", { task: key, attempt: task.attempt, code, message });
  const { onFailure } = draft.planned(task);
  if (onFailure.type === "rollback") {
    return draft.rules.beginRollback(draft, error, "failed", event);
  }
  if (task.index !== null && onFailure.type !== "skip") {
    return draft.rules.instanceFailed(draft, task, error, event);
  }
  if (onFailure.type === "skip" || onFailure.type === "alternative") {
    return passOver(draft, key, error, event);
  }
  closeStage(draft, task, error, event);
}

function refused(key: string, reason: string | null): ErrorRecord {
  const why = reason === null ? "" : `: ${reason}`;
  return toErrorRecord(new AgentError("REJECTED", `"${key}" was refused${why}`));
}

/** An operator skips a task that has not ended well. */
export function skipTask(draft: Draft, event: EventOf<"task.skip">): void {
  const { rollback } = draft.run();
  // During a rollback a skipped task would count as undone.
  if (rollback !== null) {
    const why = "the run is rolling back";
    const { taskKey: task } = event;
    return draft.record(event, "command.refused", { command: event.type, task, why });
  }
  skip(draft, event.taskKey, { reason: event.reason }, event);
}
