/**
 * What people and programs do with schedules: create, look, pause, trigger, backfill, remove.
 * A change is stored before it is answered, and made on what the schedule is at that moment.
 *
 * @module
 */

import { isDeepStrictEqual } from "node:util";
import type { Clock } from "../../actors/ports.ts";
import type { ScheduleRepo, StoredFire, StoredSchedule } from "../../db/schedule-repo.ts";
import {
  backfill,
  dueMs,
  newScheduleState,
  nextDueMs,
  pause,
  resume,
  trigger,
} from "../../machines/schedule.ts";
import {
  backfillLimit,
  type NextTime,
  type ScheduleChange,
  type ScheduleSpec,
  type ScheduleState,
  scheduleDefaults,
} from "../../machines/schedule-spec.ts";
import {
  type Actor,
  RequestError,
  type ScheduleFireView,
  type SchedulesPort,
  type ScheduleTime,
  type ScheduleView,
} from "../system.ts";
import { checkSpec, readTime } from "./check-spec.ts";
import type { Firing } from "./firing.ts";
import { timesOf } from "./times.ts";

const defaultPageSize = 50;
/** Coming times that a view shows. */
const shownTimes = 5;
/** Other nodes may commit in between this often before the caller is asked to try again. */
const changeTries = 10;

export interface ScheduleServiceOptions {
  readonly repo: ScheduleRepo;
  readonly firing: Firing;
  /** Whether this node can start it by name. */
  readonly knows: (workflow: string) => boolean;
  readonly clock: Pick<Clock, "now">;
}

interface Moment {
  readonly nowMs: number;
  readonly next: NextTime;
}

export function createScheduleService(options: ScheduleServiceOptions): SchedulesPort {
  const { clock, firing, repo } = options;
  const viewOf = (schedule: StoredSchedule): ScheduleView => viewAt(schedule, clock.now());

  async function required(id: string): Promise<StoredSchedule> {
    const schedule = await repo.get(id);
    if (schedule !== undefined) return schedule;
    throw new RequestError("NOT_FOUND", `Cannot find schedule "${id}": there is no such schedule`);
  }

  /** Commits what `make` makes of the schedule; when another commit came in between, of the newer one. */
  async function change(
    id: string,
    make: (schedule: StoredSchedule, moment: Moment) => ScheduleChange & { spec?: ScheduleSpec },
  ): Promise<ScheduleChange> {
    for (let tries = 0; tries < changeTries; tries += 1) {
      const schedule = await required(id);
      const nowMs = await repo.now();
      const made = make(schedule, { nowMs, next: timesOf(schedule.spec) });
      const { spec = schedule.spec, state } = made;
      const nextAtMs = nextDueMs(spec, id, state, timesOf(spec));
      const { revision } = schedule;
      if (await repo.commit({ id, revision, spec, state, nextAtMs, fires: made.fires }))
        return made;
    }
    throw new RequestError("UNAVAILABLE", `Cannot change schedule "${id}" now: try again`);
  }

  async function changed(
    id: string,
    make: (schedule: StoredSchedule, moment: Moment) => ScheduleChange & { spec?: ScheduleSpec },
  ): Promise<ScheduleView> {
    await change(id, make);
    await firing.work(id);
    return viewOf(await required(id));
  }

  async function create(
    id: string,
    spec: ScheduleSpec,
    { replace = false }: { readonly replace?: boolean },
  ): Promise<{ schedule: ScheduleView; created: boolean }> {
    const nowMs = await repo.now();
    const next = checkSpec(spec, { id, nowMs, knows: options.knows });
    const state = newScheduleState(spec, nowMs);
    const nextAtMs = nextDueMs(spec, id, state, next);
    if (await repo.insert({ id, spec, state, nextAtMs })) {
      firing.wake();
      return { schedule: viewOf(await required(id)), created: true };
    }
    const existing = await required(id);
    if (isDeepStrictEqual(existing.spec, spec)) {
      return { schedule: viewOf(existing), created: false };
    }
    if (replace) {
      const schedule = await changed(id, (current, moment) => replaceSpec(current, spec, moment));
      return { schedule, created: false };
    }
    const detail = "there is one with another spec; replace it, remove it, or choose another id";
    throw new RequestError("CONFLICT", `Cannot create schedule "${id}": ${detail}`);
  }

  return {
    create,
    list: async ({ cursor = "", limit = defaultPageSize }) => {
      const rows = await repo.list(cursor, limit + 1);
      const items = rows.slice(0, limit);
      const last = rows.length > limit ? items.at(-1) : undefined;
      return { items: items.map(viewOf), nextCursor: last?.id ?? null };
    },
    get: async (id) => {
      const schedule = await repo.get(id);
      return schedule === undefined ? undefined : viewOf(schedule);
    },
    fires: async (id, { cursor, limit = defaultPageSize }) => {
      if ((await repo.get(id)) === undefined) return undefined;
      const before = cursor === undefined ? null : readCursor(cursor);
      const rows = await repo.fires(id, before, limit + 1);
      const items = rows.slice(0, limit);
      const last = rows.length > limit ? items.at(-1) : undefined;
      return {
        items: items.map(viewOfFire),
        nextCursor: last === undefined ? null : String(last.timeMs),
      };
    },
    remove: async (id) => {
      if (!(await repo.remove(id))) await required(id);
    },
    pause: (id, by) =>
      changed(id, ({ state }) => only(pause(state, by.reason ?? `paused by ${by.actor}`))),
    resume: (id, by) =>
      changed(id, ({ spec, state }, moment) => resume(spec, state, moment, by.reason ?? null)),
    trigger: async (id, overlap, by) => {
      const { fires } = await change(id, ({ spec, state }, moment) => {
        const policy = overlap ?? spec.overlap ?? scheduleDefaults.overlap;
        return trigger(spec, noted(state, by), moment, policy);
      });
      await firing.work(id);
      const fire = fires.find(({ kind }) => kind === "manual");
      const [row] = await repo.fires(id, (fire?.timeMs ?? 0) + 1, 1);
      if (row === undefined) {
        const message = `Cannot show what "${id}" started: it was removed meanwhile`;
        throw new RequestError("CONFLICT", message);
      }
      return viewOfFire(row);
    },
    backfill: async (id, { from, to, overlap }, by) => {
      const range = { ...readRange(id, from, to), overlap };
      return await changed(id, ({ spec, state }, moment) => {
        if (state.backfills.length >= backfillLimit) {
          const message = `Cannot backfill "${id}": ${backfillLimit} ranges wait already`;
          throw new RequestError("CONFLICT", message);
        }
        return backfill(spec, noted(state, by), moment, range);
      });
    },
  };
}

/** The times of the new spec count from now; what is open, waiting or being made up for goes on. */
function replaceSpec(
  { spec: before, state }: StoredSchedule,
  spec: ScheduleSpec,
  { nowMs }: Moment,
): ScheduleChange & { spec: ScheduleSpec } {
  const remaining = spec.maxRuns === before.maxRuns ? state.remaining : (spec.maxRuns ?? null);
  return { spec, ...only({ ...state, remaining, decidedMs: Math.max(state.decidedMs, nowMs) }) };
}

function only(state: ScheduleState): ScheduleChange {
  return { state, fires: [], more: false };
}

function noted(state: ScheduleState, { reason }: Actor): ScheduleState {
  return reason === undefined ? state : { ...state, note: reason };
}

/** @throws {RequestError} `INVALID` */
function readRange(id: string, from: string, to: string): { fromMs: number; toMs: number } {
  const [fromMs, toMs] = [readTime(from), readTime(to)];
  const detail = "must be a time as 2026-03-29T03:00:00Z";
  const fields = [
    ...(fromMs === undefined ? [{ pointer: "/from", detail }] : []),
    ...(toMs === undefined ? [{ pointer: "/to", detail }] : []),
  ];
  if (fromMs !== undefined && toMs !== undefined && fromMs <= toMs) return { fromMs, toMs };
  if (fields.length === 0) fields.push({ pointer: "/to", detail: "must not be before from" });
  throw new RequestError("INVALID", `Cannot backfill "${id}": check the range`, fields);
}

function readCursor(cursor: string): number {
  const timeMs = Number(cursor);
  if (Number.isSafeInteger(timeMs)) return timeMs;
  const fields = [{ pointer: "/cursor", detail: "must be a nextCursor of an earlier page" }];
  throw new RequestError("INVALID", "Cannot page: the cursor is not one of ours", fields);
}

function iso(timeMs: number): string {
  return new Date(timeMs).toISOString();
}

function viewAt(schedule: StoredSchedule, now: Date): ScheduleView {
  const { id, spec, state } = schedule;
  const next = comingTimes(schedule, now.getTime());
  const isOver = next.length === 0 && state.waiting.length + state.backfills.length === 0;
  return {
    id,
    spec,
    status: isOver ? "ended" : state.paused ? "paused" : "active",
    note: state.note,
    next,
    open: state.open.map(({ timeMs, runId }) => ({ time: iso(timeMs), workflowId: runId })),
    waiting: state.waiting.map(({ timeMs }) => iso(timeMs)),
    backfills: state.backfills.map(({ fromMs, toMs, overlap }) => ({
      from: iso(fromMs),
      to: iso(toMs),
      overlap,
    })),
    remaining: state.remaining,
    counts: state.counts,
    createdAt: iso(schedule.createdAtMs),
    updatedAt: iso(schedule.updatedAtMs),
  };
}

/** From now on: times that came during a pause are not waited for. */
function comingTimes({ id, spec, state }: StoredSchedule, nowMs: number): ScheduleTime[] {
  const next = timesOf(spec);
  const times: ScheduleTime[] = [];
  const count = Math.min(shownTimes, state.remaining ?? shownTimes);
  let timeMs = next(state.paused ? Math.max(state.decidedMs, nowMs) : state.decidedMs);
  while (timeMs !== null && times.length < count) {
    times.push({ time: iso(timeMs), dueAt: iso(dueMs(spec, id, timeMs, next)) });
    timeMs = next(timeMs);
  }
  return times;
}

function viewOfFire({ atMs, runId, timeMs, ...rest }: StoredFire): ScheduleFireView {
  return { ...rest, time: iso(timeMs), workflowId: runId, at: iso(atMs) };
}
