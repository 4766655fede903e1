/**
 * How long tasks took: durations of finished runs, folded into one row per task of a definition and
 * one per action, whichever definition used it.
 *
 * Rows of `durations`: (`phase1`, `scan`) and (empty, `AGENT.action`) hold ln(ms); `scan#failures` holds
 * failed attempts per task, and `scan#items` ln of how many items a group had. No key of a task has a `#`.
 *
 * @module
 */

import { sql } from "drizzle-orm";
import type { DurationStats } from "../machines/plan/duration-estimate.ts";
import type { DurationHistory, TaskHistory } from "../machines/plan/duration-history.ts";
import type { Database } from "./database.ts";

export interface DurationRepo {
  /**
   * Folds what has ended in these runs since they were folded last: a run that was retried adds only
   * what it did again. Returns how many had something new; a second call with the same runs gives 0.
   */
  fold(runIds: readonly string[]): Promise<number>;
  /** Runs that finished since `sinceMs` (epoch) and were never folded, oldest first. */
  unfolded(sinceMs: number, limit: number): Promise<readonly string[]>;
  load(workflow: string, actions: readonly string[]): Promise<DurationHistory>;
}

/** Older observations fade: all of them together weigh as much as this many new ones. */
const rememberedDurations = 200;
/** Of `commands`: no client can send a key with a space. */
const marker = "durations folded";
const failuresOf = "#failures";
const itemsOf = "#items";

export function createDurationRepo(db: Database): DurationRepo {
  return {
    fold: (runIds) => fold(db, runIds),
    unfolded: async (sinceMs, limit) => {
      const rows = await db.execute<{ id: string }>(sql`
        select w.id from spectra.workflows w
        where w.finished_at >= to_timestamp(${sinceMs}::float8 / 1000) and not exists (
          select 1 from spectra.commands c where c.workflow_id = w.id and c.key = ${marker})
        order by w.finished_at limit ${limit}`);
      return rows.map(({ id }) => id);
    },
    load: (workflow, actions) => load(db, workflow, actions),
  };
}

/** One statement: the mark and what it marks are written together, or neither. */
async function fold(db: Database, runIds: readonly string[]): Promise<number> {
  if (runIds.length === 0) return 0;
  const [row] = await db.execute<{ runs: number }>(sql`
    with due as materialized (
      select w.id, w.workflow, extract(epoch from w.finished_at)::text as stamp,
        coalesce(to_timestamp(c.request::float8), '-infinity') as since
      from spectra.workflows w
      left join spectra.commands c on c.workflow_id = w.id and c.key = ${marker}
      where w.finished_at is not null and w.id in (
        select jsonb_array_elements_text(${JSON.stringify(runIds)}::jsonb))),
    marked as (
      insert into spectra.commands as c (workflow_id, key, request)
      select id, ${marker}, stamp from due order by id
      on conflict (workflow_id, key) do update set request = excluded.request, at = clock_timestamp()
        where c.request <> excluded.request
      returning workflow_id),
    instances as (
      select t.workflow_id, regexp_replace(t.key, '\\[[0-9]+\\]$', '') as whole, count(*) as items
      from spectra.tasks t join marked m on m.workflow_id = t.workflow_id
      where t.plan is not null and t.key ~ '\\[[0-9]+\\]$' group by 1, 2),
    ended as materialized (
      select d.workflow, coalesce(t.plan, t.key) as task, t.agent || '.' || t.action as action,
        t.status, t.failures, coalesce(i.items, 0) as items,
        greatest(extract(epoch from t.finished_at - t.started_at) * 1000, 0.1)::float8 as ms
      from due d join marked m on m.workflow_id = d.id join spectra.tasks t on t.workflow_id = d.id
      left join instances i on i.workflow_id = t.workflow_id and i.whole = t.key
      where t.started_at is not null and t.finished_at > d.since
        and t.status in ('succeeded', 'failed')),
    observed as (
      select workflow, task, ln(ms) as value, ms as size from ended
        where status = 'succeeded' and items = 0
      union all
      select '', action, ln(ms), ms from ended
        where status = 'succeeded' and items = 0 and action is not null
      union all
      select workflow, task || ${failuresOf}, failures, failures from ended where items = 0
      union all
      select workflow, task || ${itemsOf}, ln(items), items from ended where items > 0),
    folded as (
      select workflow, task, count(*) as count, avg(value) as mean, var_pop(value) * count(*) as m2,
        max(size) as largest
      from observed group by workflow, task),
    stored as (
      insert into spectra.durations as d (workflow, task, count, log_mean, log_m2, max_ms)
      select workflow, task, count, mean, m2, largest from folded order by workflow, task
      on conflict (workflow, task) do update set
        count = least(d.count, ${rememberedDurations}) + excluded.count,
        log_mean = d.log_mean + (excluded.log_mean - d.log_mean) * excluded.count
          / (least(d.count, ${rememberedDurations}) + excluded.count),
        log_m2 = d.log_m2 * least(d.count, ${rememberedDurations}) / d.count + excluded.log_m2
          + (excluded.log_mean - d.log_mean) ^ 2 * least(d.count, ${rememberedDurations})
          * excluded.count / (least(d.count, ${rememberedDurations}) + excluded.count),
        max_ms = greatest(d.max_ms, excluded.max_ms), updated_at = clock_timestamp()
      returning 1)
    select (select count(*)::int from marked) as runs, (select count(*) from stored)`);
  return row?.runs ?? 0;
}

interface FoldedRow {
  readonly [column: string]: unknown;
  readonly workflow: string;
  readonly task: string;
  readonly count: number;
  readonly logMean: number;
  readonly logM2: number;
}

async function load(
  db: Database,
  workflow: string,
  actions: readonly string[],
): Promise<DurationHistory> {
  const rows = await db.execute<FoldedRow>(sql`
    select workflow, task, count::float8 as count, log_mean as "logMean", log_m2 as "logM2"
    from spectra.durations where workflow = ${workflow} or (workflow = '' and task in (
      select jsonb_array_elements_text(${JSON.stringify(actions)}::jsonb)))`);
  const named = new Map<string, FoldedRow>();
  const known = new Map<string, DurationStats>();
  for (const row of rows) {
    if (row.workflow === "") known.set(row.task, statsOf(row));
    else named.set(row.task, row);
  }
  const keys = new Set([...named.keys()].map((name) => name.split("#")[0] ?? name));
  const history = (key: string): TaskHistory => {
    const [durations, items] = [named.get(key), named.get(`${key}${itemsOf}`)];
    return {
      durations: durations && statsOf(durations),
      failures: named.get(`${key}${failuresOf}`)?.logMean ?? 0,
      items: items && statsOf(items),
    };
  };
  return { tasks: new Map([...keys].map((key) => [key, history(key)])), actions: known };
}

function statsOf({ count, logM2, logMean }: FoldedRow): DurationStats {
  return { count, logMean, logM2 };
}
