/**
 * Finds the event that an entry of a journal was written for. An event writes its entries in one go, and the first of
 * them tells what happened; the others follow from the rules.
 *
 * @module
 */

import type { ErrorRecord, Json } from "../../machines/error-code.ts";
import type { RunPlan } from "../../machines/run/plan.ts";
import { retryDelayMs } from "../../machines/run/retry.ts";
import {
  isUndoneByChild,
  type RunEvent,
  type RunState,
  type TaskOutcome,
  type TaskState,
} from "../../machines/run/state.ts";
import type { RecordedEntry, RecordedHistory } from "./recorded-history.ts";

/** The event, what chance gave it, and the timer that fired it. */
export interface RecordedEvent {
  readonly event: RunEvent;
  readonly random: number;
  readonly timer?: string;
}

export interface Reading {
  /** The run before the event, as the current code has it. */
  readonly state: RunState;
  readonly plan: RunPlan;
  readonly history: RecordedHistory;
  /** Index of the event's first entry. */
  readonly at: number;
}

type Fields = { readonly [name: string]: Json };
/** An event without the fields that each one has. */
type Cause = { readonly type: RunEvent["type"] } & { readonly [name: string]: unknown };

/** Entries of limits stand before the one that says what was spent for. */
const limitTypes = new Set(["budget.warning", "budget.exceeded"]);
const spenders = new Set([
  "task.dispatched",
  "task.succeeded",
  "task.failed",
  "task.retrying",
  "task.parked",
  "task.lost",
  "child.stopped",
  "attempt.refused",
]);

/** Undefined: no event of the engine's core begins with this entry. */
export function recordedEvent(reading: Reading): RecordedEvent | undefined {
  const { at, history } = reading;
  const first = history.journal[at];
  if (first === undefined) return undefined;
  const common = { by: first.actor, atMs: first.atMs };
  if (first.actor === "timer") {
    const fired = firedTimer(reading, first);
    if (fired === undefined) return undefined;
    const event = { ...(fired.event as object), ...common } as RunEvent;
    return { event, timer: fired.key, random: 0 };
  }
  const entry = limitTypes.has(first.type) ? spender(reading, first) : first;
  const cause = entry && causeOf(entry, reading);
  if (entry === undefined || cause === undefined) return undefined;
  return { event: { ...cause, ...common } as RunEvent, random: chanceOf(entry, reading) };
}

function spender({ at, history }: Reading, first: RecordedEntry): RecordedEntry | undefined {
  const rest = history.journal.slice(at, at + 1_000);
  return rest.find(
    ({ actor, atMs, type }) => actor === first.actor && atMs === first.atMs && spenders.has(type),
  );
}

/** The due timer that the entry's patch takes away; without a patch the one of the same task, or the oldest. */
function firedTimer({ state }: Reading, { atMs, patch, payload }: RecordedEntry) {
  const due = [...state.timers]
    .flatMap(([key, { dueAtMs, event }]) =>
      dueAtMs === null || dueAtMs > atMs ? [] : [{ key, dueAtMs, event }],
    )
    .sort((a, b) => a.dueAtMs - b.dueAtMs);
  const gone = due.find(({ key }) => patch?.timers?.[key] === null);
  if (gone !== undefined) return gone;
  const { task } = payload as Fields;
  return due.find(({ event }) => (event as Fields)["taskKey"] === task) ?? due[0];
}

function causeOf(entry: RecordedEntry, reading: Reading): Cause | undefined {
  return /^(?:task|child)\./.test(entry.type) || entry.type === "attempt.refused"
    ? causeOfTask(entry, reading)
    : causeOfRun(entry);
}

function causeOfRun({ payload, type }: RecordedEntry): Cause | undefined {
  const {
    clocks,
    limits,
    name,
    paused,
    priority,
    reason = null,
    rollback,
    set,
    task,
  } = payload as Fields;
  switch (type) {
    case "run.started":
      return { type: "run.start", paused };
    case "run.paused":
      return { type: "run.pause", clocks, reason };
    case "run.resumed":
      return { type: "run.resume", reason };
    case "run.cancelling":
      return { type: "run.cancel", reason, rollback };
    case "run.retried":
      return { type: "run.retry", reason, taskKey: task };
    case "run.priority":
      return { type: "run.priority", priority, reason };
    case "run.undoing":
      return { type: "run.undo", reason };
    case "run.unparked":
      return { type: "run.unpark", reason };
    case "run.attributes":
      return { type, set };
    case "budget.raised":
      return { type: "run.budget", limits, reason };
    case "signal.received":
      return { type: "run.signal", name, payload: (payload as Fields)["payload"] ?? null, reason };
    // Its reason is the engine's own.
    case "signal.refused":
      return { type: "run.signal", name, payload: (payload as Fields)["payload"] ?? null };
    default:
      return undefined;
  }
}

function causeOfTask(entry: RecordedEntry, reading: Reading): Cause | undefined {
  const {
    afterMs,
    as,
    attempt,
    event,
    how,
    node,
    priority,
    reason = null,
  } = entry.payload as Fields;
  const taskKey = keyOf(entry);
  switch (entry.type) {
    case "task.dispatched":
      return { type: "task.dispatch", taskKey, ...localNode(entry, reading) };
    case "task.started":
      return { type: "task.started", taskKey, attempt, node };
    case "task.succeeded":
    case "task.compensated":
      return (
        childUndone(entry, reading) ??
        finished(entry, reading, { type: "succeeded", output: outputOf(reading, taskKey) })
      );
    case "task.retrying":
    case "task.failed":
    case "task.compensation-retrying":
      return finished(entry, reading, { type: "failed", error: errorOf(entry, reading) });
    case "task.parked":
      return parked(entry, reading);
    case "task.lost":
      return {
        type: "task.lost",
        taskKey,
        attempt,
        reason,
        begun: hadBegun(entry, reading),
        ...spentAs(entry, reading),
      };
    case "task.stopped":
      return { type: "task.stopped", taskKey, attempt, how, afterMs };
    case "task.skipped":
      return { type: "task.skip", taskKey, reason };
    case "task.urgent":
      return { type: "task.run-now", taskKey, reason };
    case "task.priority":
      return { type: "task.priority", taskKey, priority, reason };
    case "task.resolved":
      return { type: "task.resolve", taskKey, as, reason, output: outputOf(reading, taskKey) };
    case "child.stopped":
      return finished(entry, reading, { type: "failed", error: stoppedError });
    case "attempt.refused":
      return refused(entry, event ?? null);
    default:
      return undefined;
  }
}

/** Of a child run that was told to stop: which error it ended with does not matter any more. */
const stoppedError = { name: "Error", code: "CANCELLED", message: "stopped", retryable: false };

/** The child run that a task started has undone itself. */
function childUndone(entry: RecordedEntry, { plan, state }: Reading): Cause | undefined {
  const taskKey = keyOf(entry);
  const task = state.tasks.get(taskKey);
  return isUndoneByChild(plan.tasks.get(task?.plan ?? ""))
    ? { type: "child.undone", taskKey, childId: task?.childId ?? "" }
    : undefined;
}

/** A lost attempt that has begun leaves a mark; of a task that must not run twice it parks it instead. */
function hadBegun(entry: RecordedEntry, { plan, state }: Reading): boolean {
  const key = keyOf(entry);
  if (plan.tasks.get(state.tasks.get(key)?.plan ?? "")?.atMostOnce === true) return false;
  const { patch } = entry;
  return patch === undefined || patch === null || patch.tasks?.[key]?.unknownOutcome === true;
}

/** A local task has started in the same breath. */
function localNode(entry: RecordedEntry, { history, plan, state }: Reading): { node?: Json } {
  const { task } = entry.payload as Fields;
  const isLocal = plan.tasks.get(state.tasks.get(keyOf(entry))?.plan ?? "")?.local === true;
  const next = history.journal[entry.seq];
  const started = next?.type === "task.started" ? (next.payload as Fields) : {};
  const isSame = next?.atMs === entry.atMs && next.actor === entry.actor;
  return isLocal && isSame && started["task"] === task ? { node: started["node"] ?? "" } : {};
}

function finished(entry: RecordedEntry, reading: Reading, outcome: TaskOutcome): Cause {
  const taskKey = keyOf(entry);
  const attempt = attemptOf(entry, reading);
  const { plan, state } = reading;
  const before = state.tasks.get(taskKey);
  const spent = spentFor(entry, reading);
  const whole = spent === undefined ? outcome : { ...outcome, spent };
  return plan.tasks.get(before?.plan ?? "")?.kind === "workflow"
    ? { type: "child.finished", taskKey, childId: before?.childId ?? "", outcome: whole }
    : { type: "task.finished", taskKey, attempt, outcome: whole };
}

function keyOf({ payload }: Pick<RecordedEntry, "payload">): string {
  const { task } = payload as Fields;
  return typeof task === "string" ? task : "";
}

/** Entries of the newest attempt do not always number it. */
function attemptOf({ payload }: RecordedEntry, { state }: Reading): Json {
  const { attempt } = payload as Fields;
  return attempt ?? state.tasks.get(keyOf({ payload }))?.attempt ?? 0;
}

/** An attempt of which nobody knows how far it came, or an undoing that failed for the last time. */
function parked(entry: RecordedEntry, reading: Reading): Cause {
  const error = errorOf(entry, reading);
  if (error.code !== "AMBIGUOUS" || error.cause === undefined) {
    return finished(entry, reading, { type: "failed", error });
  }
  const { cause } = error;
  if (cause.code === "ATTEMPT_LOST") {
    const attempt = attemptOf(entry, reading);
    return { type: "task.lost", taskKey: keyOf(entry), attempt, reason: cause.message };
  }
  return finished(entry, reading, { type: "failed", error: given(cause) });
}

function refused({ patch, payload }: RecordedEntry, type: Json): Cause | undefined {
  const { attempt } = payload as Fields;
  const taskKey = keyOf({ payload });
  const error = { name: "Error", code: "REFUSED", message: "refused", retryable: false };
  const outcome = { type: "failed", error };
  if (type === "task.finished") {
    return attempt === 0
      ? { type: "child.finished", taskKey, childId: "", outcome }
      : { type, taskKey, attempt, outcome };
  }
  if (type === "task.started") {
    return { type, taskKey, attempt, node: patch?.tasks?.[taskKey]?.node ?? "" };
  }
  return type === "task.lost" ? { type, taskKey, attempt, reason: "refused" } : undefined;
}

function outputOf({ history: { outputs } }: Reading, taskKey: string): Json {
  return outputs[taskKey] ?? null;
}

/** From the patch; else what the task has kept; else what the payload tells. */
function errorOf(
  { patch, payload, type }: RecordedEntry,
  { history, state }: Reading,
): ErrorRecord {
  const { code, message, task } = payload as { readonly [name: string]: string };
  const key = task ?? "";
  const known = [patch?.tasks?.[key]?.error, state.tasks.get(key)?.error, history.errors?.[key]];
  const same = known.find((error) => error?.code === code && error?.message === message);
  if (same !== undefined && same !== null) return given(same);
  const retryable = type === "task.retrying" || type === "task.compensation-retrying";
  return given({ name: "Error", code: code ?? "", message: message ?? "", retryable });
}

/** What the attempt failed with, of what the rules made of it. */
function given(error: ErrorRecord): ErrorRecord {
  return error.code === "POISONED" && error.cause !== undefined ? error.cause : error;
}

function spentAs(entry: RecordedEntry, reading: Reading) {
  const spent = spentFor(entry, reading);
  return spent === undefined ? {} : { spent };
}

function spentFor(entry: RecordedEntry, { at, history, state }: Reading) {
  const patches = history.journal.slice(at, entry.seq);
  const after = patches.findLast(({ patch }) => patch?.run?.spent !== undefined)?.patch?.run?.spent;
  if (after === undefined) return undefined;
  const amounts = Object.entries(after)
    .map(([unit, total]) => [unit, total - (state.spent[unit] ?? 0)] as const)
    .filter(([, amount]) => amount > 0);
  return amounts.length === 0 ? undefined : Object.fromEntries(amounts);
}

/** From 0 to 1: what makes the retry policy wait as long as it did. */
function chanceOf({ payload }: RecordedEntry, { plan, state }: Reading): number {
  const { delayMs } = payload as Fields;
  const before: TaskState | undefined = state.tasks.get(keyOf({ payload }));
  const retry = plan.tasks.get(before?.plan ?? "")?.retry;
  if (typeof delayMs !== "number" || retry === undefined || retry.jitter === 0) return 0;
  const longestMs = retryDelayMs(retry, (before?.failures ?? 0) + 1, 0);
  if (longestMs === 0) return 0;
  return Math.min(1, Math.max(0, (1 - delayMs / longestMs) / retry.jitter));
}
