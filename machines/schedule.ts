/**
 * What a schedule does: which of its times are due, and what becomes of each.
 *
 * A time goes through `starting` to `started`, at once or from the buffer, or it is `skipped`, `missed` or
 * `failed`; each change is one row of `schedule_fires` and belongs to the same commit as the state.
 * What is to be done after the commit stands in the state: `open` without a run is to be started,
 * `open` with `cancel` is to be cancelled. So whoever dies in between leaves nothing undone.
 *
 * @module
 */

import { createDraft, type Draft } from "./schedule-draft.ts";
import {
  type Backfill,
  type NextTime,
  type OverlapPolicy,
  type ScheduleChange,
  type ScheduleSpec,
  type ScheduleState,
  scheduleDefaults,
  timesPerTurn,
} from "./schedule-spec.ts";

export interface ScheduleFacts {
  readonly id: string;
  readonly nowMs: number;
  readonly next: NextTime;
  /** By run id; a run that is missing has been removed. */
  readonly statuses: ReadonlyMap<string, string>;
  /** Times of the first backfill's range that are started, or will be: they are not decided again. */
  readonly taken: ReadonlySet<number>;
}

export function newScheduleState(spec: ScheduleSpec, nowMs: number): ScheduleState {
  return {
    paused: false,
    note: null,
    decidedMs: nowMs,
    manualMs: nowMs,
    remaining: spec.maxRuns ?? null,
    open: [],
    waiting: [],
    backfills: [],
    counts: { started: 0, skipped: 0, missed: 0, completed: 0, failed: 0, cancelled: 0 },
  };
}

/** When a time is acted on: the time and its jitter. The same at each call. */
export function dueMs(spec: ScheduleSpec, id: string, timeMs: number, next: NextTime): number {
  const jitterMs = spec.jitterMs ?? scheduleDefaults.jitterMs;
  if (jitterMs === 0) return timeMs;
  const gapMs = (next(timeMs) ?? Number.POSITIVE_INFINITY) - timeMs;
  return timeMs + Math.floor(fractionOf(`${id}/${timeMs}`) * Math.min(jitterMs, gapMs));
}

/** When the schedule is next to be looked at for its times; null when none will come. */
export function nextDueMs(
  spec: ScheduleSpec,
  id: string,
  state: ScheduleState,
  next: NextTime,
): number | null {
  const timeMs = state.remaining === 0 ? null : next(state.decidedMs);
  return timeMs === null ? null : dueMs(spec, id, timeMs, next);
}

/** Takes note of runs that have ended, and decides about every time that is due. */
export function advance(
  spec: ScheduleSpec,
  state: ScheduleState,
  facts: ScheduleFacts,
): ScheduleChange {
  const draft = createDraft(spec, state);
  draft.settle(facts.statuses);
  const isCaughtUp = decideDue(draft, facts);
  const isFilled = decideBackfill(draft, facts);
  return draft.change(!isCaughtUp || !isFilled);
}

/** A run has been started for this time. */
export function noteStarted(
  spec: ScheduleSpec,
  state: ScheduleState,
  timeMs: number,
  runId: string,
): ScheduleChange {
  const draft = createDraft(spec, state);
  draft.started(timeMs, runId);
  return draft.change(false);
}

/** No run can be started for this time, however often one tries. */
export function noteStartFailed(
  spec: ScheduleSpec,
  state: ScheduleState,
  timeMs: number,
  reason: string,
): ScheduleChange {
  const draft = createDraft(spec, state);
  draft.startFailed(timeMs, reason);
  return draft.change(false);
}

/** Starts one now, under a time of its own. */
export function trigger(
  spec: ScheduleSpec,
  state: ScheduleState,
  facts: Pick<ScheduleFacts, "nowMs" | "next">,
  overlap: OverlapPolicy,
): ScheduleChange {
  let timeMs = Math.max(facts.nowMs, state.manualMs + 1);
  // A time of the schedule has its own row.
  while (facts.next(timeMs - 1) === timeMs) timeMs += 1;
  const draft = createDraft(spec, { ...state, manualMs: timeMs });
  draft.offer(timeMs, "manual", overlap);
  return draft.change(false);
}

/** Takes a range in; `advance` works it off. Times that the schedule has not come to yet stay its own. */
export function backfill(
  spec: ScheduleSpec,
  state: ScheduleState,
  facts: Pick<ScheduleFacts, "nowMs" | "next">,
  range: Backfill,
): ScheduleChange {
  const draft = createDraft(spec, state);
  if (state.paused) draft.passBy(facts);
  const { decidedMs } = draft.state();
  draft.addBackfill({ ...range, toMs: Math.min(range.toMs, decidedMs) });
  return draft.change(true);
}

export function pause(state: ScheduleState, note: string | null): ScheduleState {
  return { ...state, paused: true, note };
}

/** Times that came during the pause are not made up for: that is what a backfill is for. */
export function resume(
  spec: ScheduleSpec,
  state: ScheduleState,
  facts: Pick<ScheduleFacts, "nowMs" | "next">,
  note: string | null,
): ScheduleChange {
  const draft = createDraft(spec, state);
  // Of a schedule that runs, what is due now is not to be skipped.
  if (state.paused) draft.passBy(facts);
  draft.unpause(note);
  return draft.change(true);
}

/** False when more is due than one turn decides about. */
function decideDue(draft: Draft, { id, nowMs, next }: ScheduleFacts): boolean {
  const { spec } = draft;
  const cutoffMs = nowMs - (spec.catchupWindowMs ?? scheduleDefaults.catchupWindowMs);
  for (let count = 0; count < timesPerTurn; count += 1) {
    const { decidedMs, paused, remaining } = draft.state();
    if (paused || remaining === 0) return true;
    const timeMs = next(decidedMs);
    if (timeMs === null) return true;
    const atMs = dueMs(spec, id, timeMs, next);
    if (atMs > nowMs) return true;
    if (atMs < cutoffMs) draft.miss(timeMs, cutoffMs - (spec.jitterMs ?? 0));
    else draft.decide(timeMs);
  }
  return false;
}

function decideBackfill(draft: Draft, { next, taken }: ScheduleFacts): boolean {
  const [range] = draft.state().backfills;
  if (range === undefined) return true;
  let { fromMs } = range;
  for (let count = 0; count < timesPerTurn; count += 1) {
    if (range.overlap === "bufferAll" && draft.isFull()) break;
    const timeMs = next(fromMs - 1);
    if (timeMs === null || timeMs > range.toMs) {
      draft.endBackfill();
      return draft.state().backfills.length === 0;
    }
    if (!taken.has(timeMs)) draft.offer(timeMs, "backfill", range.overlap);
    fromMs = timeMs + 1;
  }
  draft.moveBackfill(fromMs);
  // A full buffer empties when a run ends, not by looking again.
  return draft.isFull();
}

/** 0 to 1, spread evenly over texts (FNV-1a, finished as in MurmurHash3). */
function fractionOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at += 1) {
    hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return ((hash ^ (hash >>> 16)) >>> 0) / 2 ** 32;
}
