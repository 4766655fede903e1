/**
 * Schedules as people and programs see them, and what one may ask of them.
 *
 * @module
 */

import type {
  FireOutcome,
  OverlapPolicy,
  ScheduleCounts,
  ScheduleSpec,
} from "../../machines/schedule-spec.ts";
import type { Actor, Page } from "./requests.ts";

/** A time of the schedule, and when it is acted on: later by its jitter. */
export interface ScheduleTime {
  readonly time: string;
  readonly dueAt: string;
}

export interface ScheduleView {
  readonly id: string;
  readonly spec: ScheduleSpec;
  /** `ended`: it has no time left and may start nothing more by itself. */
  readonly status: "active" | "paused" | "ended";
  /** Why it is paused, or what the last operator said. */
  readonly note: string | null;
  /** The next five times, whether it is paused or not. */
  readonly next: readonly ScheduleTime[];
  /** Times whose runs are open; `workflowId` is null while a run is being started. */
  readonly open: readonly { readonly time: string; readonly workflowId: string | null }[];
  /** Times that wait for an open run to end. */
  readonly waiting: readonly string[];
  /** What is left of ranges that are made up for. */
  readonly backfills: readonly BackfillRequest[];
  /** Runs that it may still start; null for any number. */
  readonly remaining: number | null;
  readonly counts: ScheduleCounts;
  readonly createdAt: string;
  readonly updatedAt: string;
}

/** What became of one time. */
export interface ScheduleFireView {
  readonly time: string;
  readonly outcome: FireOutcome;
  readonly workflowId: string | null;
  readonly reason: string | null;
  readonly backfill: boolean;
  /** When it was decided. */
  readonly at: string;
}

export interface BackfillRequest {
  /** First and last moment, both included. */
  readonly from: string;
  readonly to: string;
  readonly overlap: OverlapPolicy;
}

export interface SchedulesPort {
  /** The same id with the same spec is the same schedule; with another one it is a conflict, unless `replace` is set. */
  create(
    id: string,
    spec: ScheduleSpec,
    options: { readonly replace?: boolean },
  ): Promise<{ readonly schedule: ScheduleView; readonly created: boolean }>;
  /** By id, a page at a time. */
  list(query: { readonly cursor?: string; readonly limit?: number }): Promise<Page<ScheduleView>>;
  get(id: string): Promise<ScheduleView | undefined>;
  /** Newest time first. Undefined: no such schedule. */
  fires(
    id: string,
    query: { readonly cursor?: string; readonly limit?: number },
  ): Promise<Page<ScheduleFireView> | undefined>;
  /** Runs that it has started go on. */
  remove(id: string, by: Actor): Promise<void>;
  pause(id: string, by: Actor): Promise<ScheduleView>;
  /** Times that came during the pause are skipped. */
  resume(id: string, by: Actor): Promise<ScheduleView>;
  /** Starts one now; without `overlap` as the schedule says. */
  trigger(id: string, overlap: OverlapPolicy | undefined, by: Actor): Promise<ScheduleFireView>;
  /** Decides about the past times of a range that have no run yet. */
  backfill(id: string, range: BackfillRequest, by: Actor): Promise<ScheduleView>;
}
