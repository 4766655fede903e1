/**
 * Tasks that no agent carries: a child run, a signal, a person's approval, time.
 * They hold no slot while they wait.
 *
 * @module
 */

import { AgentError, toErrorRecord } from "../error-code.ts";
import type { Draft } from "./draft.ts";
import { childNotUndone } from "./saga.ts";
import { deliverSignals, pendingSignalLimit } from "./stages.ts";
import type { RunEvent } from "./state.ts";
import { failAttempt, refuse, succeed } from "./tasks.ts";
import { resolve } from "./values.ts";

type EventOf<T extends RunEvent["type"]> = Extract<RunEvent, { type: T }>;

/** Begins to wait. */
export function openWait(draft: Draft, key: string, event: RunEvent): void {
  if (!draft.move(key, { type: "open" }, { startedAtMs: event.atMs })) return;
  const task = draft.task(key);
  const planned = draft.planned(task);
  const { attempt } = task;
  try {
    switch (planned.kind) {
      case "sleep": {
        const ms = resolve(planned.sleepMs, draft.scope(task));
        if (typeof ms !== "number" || !(ms >= 0)) {
          throw new AgentError(
            "NO_DURATION",
            `Cannot sleep in "${key}": its time is no number of milliseconds`,
          );
        }
        const due = { type: "sleep.due", taskKey: key, attempt, by: "timer" };
        draft.setTimer(`sleep/${key}`, due, event.atMs + ms);
        return draft.record(event, "task.waiting", { task: key, for: "time", ms });
      }
      case "signal":
        draft.record(event, "task.waiting", { task: key, for: "signal", name: planned.signal });
        armWaitLimit(draft, key, event);
        return takeSignal(draft, key, event);
      case "approval":
        draft.effect({
          type: "open-approval",
          taskKey: key,
          expiresAtMs: armWaitLimit(draft, key, event),
        });
        return draft.record(event, "task.waiting", { task: key, for: "approval" });
      case "workflow": {
        const childId = childIdOf(draft.run().id, key, attempt);
        const input = resolve(planned.input ?? {}, draft.scope(task));
        draft.update(key, { childId });
        armWaitLimit(draft, key, event);
        draft.effect({
          type: "start-child",
          taskKey: key,
          childId,
          workflow: planned.workflow ?? "",
          input,
          priority: task.priority ?? draft.run().priority,
        });
        return draft.record(event, "task.waiting", { task: key, for: "child", childId });
      }
      case "action":
        return;
      default:
        planned.kind satisfies never;
    }
  } catch (error) {
    failAttempt(draft, key, attempt, toErrorRecord(error), event);
  }
}

/** The same for the same attempt, and fit for a URL: keys hold no `~` of their own. */
function childIdOf(runId: string, key: string, attempt: number): string {
  return `${runId}.${key.replace("#", "~~").replace("[", "~").replace("]", "")}.${attempt}`;
}

/** `scheduleToCloseMs` of what waits for others, over all attempts; returns when it is due. */
function armWaitLimit(draft: Draft, taskKey: string, event: RunEvent): number | null {
  const task = draft.task(taskKey);
  const limitMs = draft.planned(task).timeouts.scheduleToCloseMs;
  if (limitMs === null) return null;
  const due = {
    type: "timeout.due",
    limit: "schedule-to-close",
    taskKey,
    attempt: task.attempt,
    by: "timer",
  };
  const dueAtMs = (task.scheduledAtMs ?? event.atMs) + limitMs;
  draft.setTimer(`schedule-to-close/${taskKey}`, due, dueAtMs);
  return dueAtMs;
}

/** Gives a waiting task the oldest signal of its name that nobody has taken. */
function takeSignal(draft: Draft, key: string, event: RunEvent): void {
  const task = draft.task(key);
  const name = draft.planned(task).signal;
  const signal = draft.run().signals.find((one) => one.name === name);
  if (signal === undefined) return;
  draft.set({ signals: draft.run().signals.filter((one) => one !== signal) });
  succeed(draft, key, task.attempt, signal.payload, event);
}

/** Keeps the signal and gives it to whoever waits for it: the chart first, then the oldest task. */
export function signalled(draft: Draft, event: EventOf<"run.signal">): void {
  const { name, payload, reason = null, atMs } = event;
  if (draft.run().signals.length >= pendingSignalLimit) {
    return draft.record(event, "signal.refused", { name, reason: "too many signals wait" });
  }
  draft.set({ signals: [...draft.run().signals, { name, payload, atMs }] });
  draft.record(event, "signal.received", {
    name,
    payload,
    ...(reason === null ? {} : { reason }),
  });
  deliverSignals(draft, event);
  for (const key of draft.waiting(`signal/${name}`)) return takeSignal(draft, key, event);
}

export function sleepDue(draft: Draft, event: EventOf<"sleep.due">): void {
  draft.clearTimer(`sleep/${event.taskKey}`);
  succeed(draft, event.taskKey, event.attempt, null, event);
}

/** A child run has ended: its output, or its failure, is the task's. What it spent counts once. */
export function childFinished(draft: Draft, event: EventOf<"child.finished">): void {
  const { taskKey, childId, outcome } = event;
  const task = draft.task(taskKey);
  const { attempt, status, stopping } = task;
  const waits = status === "running" || stopping;
  if (task.childId !== childId || !waits) {
    if (task.childId === childId && status === "compensating" && outcome.type === "failed") {
      return childNotUndone(draft, taskKey, outcome.error, event);
    }
    return refuse(draft, { ...event, type: "task.finished", attempt: 0 });
  }
  if (stopping) draft.update(taskKey, { stopping: false });
  if (outcome.spent !== undefined) draft.rules.spend(draft, outcome.spent, event);
  if (outcome.type === "succeeded") {
    if (!succeed(draft, taskKey, attempt, outcome.output, event)) {
      refuse(draft, { ...event, type: "task.finished", attempt });
    }
    return;
  }
  if (stopping) {
    return draft.record(event, "child.stopped", { task: taskKey, childId });
  }
  // What a failed child did before may have to be undone.
  draft.update(taskKey, { unknownOutcome: true });
  failAttempt(draft, taskKey, attempt, { ...outcome.error, retryable: false }, event);
}
