/**
 * Schedules and the log of what became of their times.
 *
 * Any node may decide: a commit names the revision that it read, so of two nodes one writes, and the
 * other writes nothing. State, next due time and log rows are one statement.
 *
 * @module
 */

import { sql } from "drizzle-orm";
import {
  type Fire,
  type FireOutcome,
  isBusy,
  type ScheduleSpec,
  type ScheduleState,
} from "../machines/schedule-spec.ts";
import type { Database } from "./database.ts";
import { toJsonb } from "./jsonb.ts";

/** Log rows of one schedule that are kept, by when they were written. */
export const keptFires = 1_000;

export interface StoredSchedule {
  readonly id: string;
  readonly spec: ScheduleSpec;
  readonly state: ScheduleState;
  readonly nextAtMs: number | null;
  readonly revision: number;
  readonly createdAtMs: number;
  readonly updatedAtMs: number;
}

export interface NewSchedule {
  readonly id: string;
  readonly spec: ScheduleSpec;
  readonly state: ScheduleState;
  readonly nextAtMs: number | null;
}

export interface ScheduleCommit extends NewSchedule {
  /** Rows of the log that change with it. */
  readonly fires: readonly Fire[];
  readonly revision: number;
}

export interface StoredFire extends Omit<Fire, "kind"> {
  readonly backfill: boolean;
  readonly atMs: number;
}

export interface DueSchedules {
  readonly nowMs: number;
  /** When the first of the others is due; null when none will be. */
  readonly nextMs: number | null;
  /** Due, or waiting for something else than a time; by id. */
  readonly schedules: readonly StoredSchedule[];
}

export interface ScheduleRepo {
  /** Epoch milliseconds by the database's clock. */
  now(): Promise<number>;
  /** At most `limit` after the id `after`. */
  due(after: string, limit: number): Promise<DueSchedules>;
  list(after: string, limit: number): Promise<readonly StoredSchedule[]>;
  get(id: string): Promise<StoredSchedule | undefined>;
  /** False when there is one of this id. */
  insert(schedule: NewSchedule): Promise<boolean>;
  /** False when somebody else has changed it since this revision, or removed it; then nothing was written. */
  commit(commit: ScheduleCommit): Promise<boolean>;
  remove(id: string): Promise<boolean>;
  /** Newest time first, before the time `before`. */
  fires(id: string, before: number | null, limit: number): Promise<readonly StoredFire[]>;
  /** Times of a range that have a run, or will have. */
  taken(id: string, fromMs: number, toMs: number): Promise<ReadonlySet<number>>;
  /** Statuses by run id; a run that is gone is missing. */
  statuses(runIds: readonly string[]): Promise<ReadonlyMap<string, string>>;
}

interface Row extends Record<string, unknown> {
  readonly id: string;
  readonly doc: { readonly spec: ScheduleSpec; readonly state: ScheduleState };
  readonly next_ms: number | null;
  readonly revision: string;
  readonly created_ms: number;
  readonly updated_ms: number;
}

const columns =
  sql.raw(`s.id, s.spec as doc, extract(epoch from s.next_at)::float8 * 1000 as next_ms,
  s.revision::text, extract(epoch from s.created_at)::float8 * 1000 as created_ms,
  extract(epoch from s.updated_at)::float8 * 1000 as updated_ms`);

const time = (timeMs: number | null) =>
  sql`to_timestamp(${timeMs === null ? null : timeMs / 1_000}::float8)`;

export function createScheduleRepo(db: Database): ScheduleRepo {
  return {
    now: async () => {
      const [row] = await db.execute<{ now_ms: number }>(
        sql`select extract(epoch from clock_timestamp())::float8 * 1000 as now_ms`,
      );
      return Math.floor(row?.now_ms ?? 0);
    },
    due: (after, limit) => due(db, after, limit),
    list: async (after, limit) => {
      const rows = await db.execute<Row>(sql`
        select ${columns} from spectra.schedules s where s.id > ${after} order by s.id limit ${limit}`);
      return rows.map(scheduleOf);
    },
    get: async (id) => {
      const [row] = await db.execute<Row>(
        sql`select ${columns} from spectra.schedules s where s.id = ${id}`,
      );
      return row === undefined ? undefined : scheduleOf(row);
    },
    insert: async ({ id, nextAtMs, ...doc }) => {
      const rows = await db.execute(sql`
        insert into spectra.schedules (id, spec, paused, next_at)
        values (${id}, ${docOf(doc)}::jsonb, ${doc.state.paused}, ${time(nextAtMs)})
        on conflict (id) do nothing returning id`);
      return rows.length > 0;
    },
    commit: (commit) => write(db, commit),
    remove: async (id) => {
      const rows = await db.execute(
        sql`delete from spectra.schedules where id = ${id} returning id`,
      );
      return rows.length > 0;
    },
    fires: (id, before, limit) => fires(db, id, before, limit),
    taken: async (id, fromMs, toMs) => {
      const rows = await db.execute<{ time_ms: number }>(sql`
        select extract(epoch from scheduled_for)::float8 * 1000 as time_ms from spectra.schedule_fires
        where schedule_id = ${id} and scheduled_for between ${time(fromMs)} and ${time(toMs)}
          and outcome in ('starting', 'started', 'buffered')`);
      return new Set(rows.map((row) => Math.round(row.time_ms)));
    },
    statuses: async (runIds) => {
      if (runIds.length === 0) return new Map();
      const rows = await db.execute<{ id: string; status: string }>(sql`
        with asked as (select jsonb_array_elements_text(${toJsonb(runIds)}::jsonb) as id)
        select id, status from spectra.workflows join asked using (id)
        union all select id, status from spectra.archived_runs join asked using (id)`);
      return new Map(rows.map(({ id, status }) => [id, status]));
    },
  };
}

/** `busy` is what `due` looks for. */
function docOf({ spec, state }: Pick<NewSchedule, "spec" | "state">): string {
  return toJsonb({ spec, state, busy: isBusy(state) });
}

function scheduleOf({ doc, ...row }: Row): StoredSchedule {
  return {
    id: row.id,
    spec: doc.spec,
    state: doc.state,
    nextAtMs: row.next_ms === null ? null : Math.round(row.next_ms),
    revision: Number(row.revision),
    createdAtMs: Math.round(row.created_ms),
    updatedAtMs: Math.round(row.updated_ms),
  };
}

async function due(db: Database, after: string, limit: number): Promise<DueSchedules> {
  const rows = await db.execute<
    Partial<Row> & { readonly now_ms: number; readonly soonest_ms: number | null }
  >(sql`
    with moment as materialized (select clock_timestamp() as now)
    select extract(epoch from m.now)::float8 * 1000 as now_ms, (
      select extract(epoch from min(o.next_at))::float8 * 1000
      from spectra.schedules o where not o.paused and o.next_at > m.now) as soonest_ms, d.*
    from moment m left join lateral (
      select ${columns} from spectra.schedules s
      where s.id > ${after} and ((not s.paused and s.next_at <= m.now) or (s.spec->>'busy')::boolean)
      order by s.id limit ${limit}) d on true
    order by d.id`);
  return {
    nowMs: Math.floor(rows[0]?.now_ms ?? 0),
    nextMs: rows[0]?.soonest_ms ?? null,
    schedules: rows.flatMap((row) => (row.id == null ? [] : [scheduleOf(row as Row)])),
  };
}

async function write(db: Database, commit: ScheduleCommit): Promise<boolean> {
  const { id, fires: changed, nextAtMs, revision, state } = commit;
  const rows = await db.execute<{ done: boolean }>(sql`
    with mine as (
      update spectra.schedules set spec = ${docOf(commit)}::jsonb, paused = ${state.paused},
        next_at = ${time(nextAtMs)}, revision = revision + 1, updated_at = clock_timestamp()
      where id = ${id} and revision = ${revision} returning id),
    log as (
      insert into spectra.schedule_fires as f
        (schedule_id, scheduled_for, outcome, workflow_id, reason, backfill)
      select mine.id, to_timestamp(x."timeMs" / 1000), x.outcome, x."runId", x.reason,
        x.kind = 'backfill'
      from mine, jsonb_to_recordset(${toJsonb(changed)}::jsonb)
        as x("timeMs" float8, outcome text, "runId" text, reason text, kind text)
      on conflict (schedule_id, scheduled_for) do update set outcome = excluded.outcome,
        workflow_id = excluded.workflow_id, reason = excluded.reason, backfill = excluded.backfill,
        at = excluded.at)
    select exists (select 1 from mine) as done`);
  const done = rows[0]?.done === true;
  if (done && changed.length > 0) {
    await db.execute(sql`
      delete from spectra.schedule_fires where schedule_id = ${id} and at < (
        select f.at from spectra.schedule_fires f where f.schedule_id = ${id}
        order by f.at desc offset ${keptFires} limit 1)`);
  }
  return done;
}

async function fires(
  db: Database,
  id: string,
  before: number | null,
  limit: number,
): Promise<readonly StoredFire[]> {
  const rows = await db.execute<{
    time_ms: number;
    outcome: FireOutcome;
    workflow_id: string | null;
    reason: string | null;
    backfill: boolean;
    at_ms: number;
  }>(sql`
    select extract(epoch from scheduled_for)::float8 * 1000 as time_ms, outcome, workflow_id, reason,
      backfill, extract(epoch from at)::float8 * 1000 as at_ms
    from spectra.schedule_fires where schedule_id = ${id}
      and (${before === null} or scheduled_for < ${time(before)})
    order by scheduled_for desc limit ${limit}`);
  return rows.map((row) => ({
    timeMs: Math.round(row.time_ms),
    outcome: row.outcome,
    runId: row.workflow_id,
    reason: row.reason,
    backfill: row.backfill,
    atMs: Math.round(row.at_ms),
  }));
}
