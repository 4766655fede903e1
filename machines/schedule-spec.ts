/**
 * What a schedule is: what users write, what is kept of it, and what is noted about each time.
 *
 * @module
 */

import type { Json } from "./error-code.ts";

/** What happens at a time whose predecessor still runs. */
export type OverlapPolicy = "skip" | "bufferOne" | "bufferAll" | "cancelOther" | "allowAll";

export const overlapPolicies = [
  "skip",
  "bufferOne",
  "bufferAll",
  "cancelOther",
  "allowAll",
] as const satisfies readonly OverlapPolicy[];

/** What users write. Exactly one of `cron`, `everyMs` and `at` says when. Times are ISO 8601, durations milliseconds. */
export interface ScheduleSpec {
  /** A registered name, or a definition as JSON. */
  readonly workflow: string | Json;
  readonly input?: Readonly<Record<string, Json>>;
  /** The parameter of the workflow that gets the scheduled time, ISO 8601 UTC. */
  readonly timeInput?: string;
  readonly priority?: number;
  /** Whom its runs count for in fairness. */
  readonly tenant?: string;
  /** Its runs are found by these: texts, numbers and truth values. */
  readonly attributes?: Readonly<Record<string, string | number | boolean>>;
  /** Five fields, or six with seconds first; several are joined. */
  readonly cron?: readonly string[];
  /** IANA name that `cron` is read in. Default `UTC`. */
  readonly timeZone?: string;
  readonly everyMs?: number;
  /** Moves the times of `everyMs`, which otherwise count from 1970-01-01T00:00:00Z. */
  readonly offsetMs?: number;
  readonly at?: readonly string[];
  /** First and last moment at which times count, both included. */
  readonly startAt?: string;
  readonly endAt?: string;
  /** Each time is put off by 0 to this long, always the same for the same time, and never beyond the next one. */
  readonly jitterMs?: number;
  readonly overlap?: OverlapPolicy;
  /** How many times `bufferAll` keeps. */
  readonly bufferLimit?: number;
  /** Times that nobody could decide about are made up for when they are not older than this. */
  readonly catchupWindowMs?: number;
  readonly pauseOnFailure?: boolean;
  /** Runs that it starts before it ends, without backfills and manual ones. */
  readonly maxRuns?: number;
}

export const scheduleDefaults = {
  overlap: "skip",
  bufferLimit: 100,
  catchupWindowMs: 24 * 60 * 60 * 1_000,
  jitterMs: 0,
} as const;

/** Times of one schedule that one turn decides about. */
export const timesPerTurn = 100;
/** Runs that a schedule may have open at once, whatever its policy. */
export const openLimit = 1_000;
/** Ranges that wait to be backfilled. */
export const backfillLimit = 10;

/** Why a time counts: it came, it lies in a range to be made up for, somebody asked. */
export type FireKind = "scheduled" | "backfill" | "manual";

export type FireOutcome = "starting" | "started" | "buffered" | "skipped" | "missed" | "failed";

/** One row of `schedule_fires`, which replaces what the row said before. */
export interface Fire {
  readonly timeMs: number;
  readonly outcome: FireOutcome;
  readonly kind: FireKind;
  readonly runId: string | null;
  readonly reason: string | null;
}

export interface OpenFire {
  readonly timeMs: number;
  readonly kind: FireKind;
  /** Null while the run is still to be started. */
  readonly runId: string | null;
  readonly cancel: boolean;
}

export interface Backfill {
  /** The next moment to look at; moves on. */
  readonly fromMs: number;
  readonly toMs: number;
  readonly overlap: OverlapPolicy;
}

export interface ScheduleCounts {
  readonly started: number;
  readonly skipped: number;
  readonly missed: number;
  readonly completed: number;
  readonly failed: number;
  readonly cancelled: number;
}

export interface ScheduleState {
  readonly paused: boolean;
  /** Why it is paused, or what the last operator said. */
  readonly note: string | null;
  /** Every time up to this one is decided. */
  readonly decidedMs: number;
  /** The newest time that was made up for a manual start. */
  readonly manualMs: number;
  /** Runs that it may still start; null for any number. */
  readonly remaining: number | null;
  readonly open: readonly OpenFire[];
  readonly waiting: readonly Pick<OpenFire, "timeMs" | "kind">[];
  readonly backfills: readonly Backfill[];
  readonly counts: ScheduleCounts;
}

/** The smallest time of the schedule after `afterMs`, or null. */
export type NextTime = (afterMs: number) => number | null;

/** A new state, and the rows that belong to the same commit. */
export interface ScheduleChange {
  readonly state: ScheduleState;
  readonly fires: readonly Fire[];
  /** There is more to decide at once. */
  readonly more: boolean;
}

/** Whether the state waits for something else than a time. */
export function isBusy({ open, waiting, backfills }: ScheduleState): boolean {
  return open.length + waiting.length + backfills.length > 0;
}
