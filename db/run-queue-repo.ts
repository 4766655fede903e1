/**
 * Runs that may be open only so many at a time: who has started, who queues, and who is next.
 *
 * A run's row in `slots` (pool `run/WORKFLOW/KEY`, empty task key) counts while the run is open:
 * attempt 1 has started, attempt 0 queues. A queued run's start event lies in its mailbox with an
 * infinite time; being promoted means that the time becomes now. All under the pool's lock.
 *
 * @module
 */

import { sql } from "drizzle-orm";
import type { RunConcurrency } from "../machines/flow-options.ts";
import { decideStart, type StartDecision } from "../machines/start-policy.ts";
import type { Waiter } from "../machines/wait-cycle.ts";
import type { Database } from "./database.ts";
import { toJsonb } from "./jsonb.ts";

type Executor = Pick<Database, "execute">;

/** Pools that one look promotes from at most; the next look takes the rest. */
const poolsPerLook = 100;

/** How a run enters: its pool, and what its definition says. */
export interface RunEntry {
  readonly pool: string;
  readonly concurrency: RunConcurrency;
}

/** The start was not performed; nothing was written. */
export class RunNotStartedError extends Error {
  override readonly name = "RunNotStartedError";
  readonly code = "RUN_NOT_STARTED";
  readonly decision: Extract<StartDecision, { type: "skip" | "reject" }>;

  constructor(decision: RunNotStartedError["decision"]) {
    super("Cannot start the run: as many of its kind are open as may be");
    this.decision = decision;
  }
}

export interface RunQueueRepo {
  /** Starts queued runs where there is room; returns their ids, and whether more wait. */
  promote(): Promise<{ readonly started: readonly string[]; readonly left: number }>;
  /** Queued runs, and runs that wait for children, as far as one hangs on the other. */
  waiters(): Promise<readonly Waiter[]>;
  /** Of these runs, the one that came last to a queue. */
  newestQueued(ids: readonly string[]): Promise<string | undefined>;
  /** Place in the queue, from 1, and who has started; undefined when the run does not queue. */
  place(
    id: string,
  ): Promise<{ readonly position: number; readonly started: readonly string[] } | undefined>;
}

async function lock(tx: Executor, pool: string): Promise<void> {
  await tx.execute(
    sql`select pg_advisory_xact_lock(hashtextextended(${`spectra.pool:${pool}`}, 0))`,
  );
}

async function openRuns(
  tx: Executor,
  pool: string,
): Promise<{ started: string[]; queued: string[] }> {
  const rows = await tx.execute<{ id: string; attempt: number }>(sql`
    select s.workflow_id as id, s.attempt from spectra.slots s
    join spectra.workflows w on w.id = s.workflow_id
      and w.status in ('pending', 'running', 'paused')
    where s.pool = ${pool} order by s.taken_at, s.workflow_id`);
  const of = (isQueued: boolean): string[] =>
    rows.flatMap(({ id, attempt }) => ((attempt === 0) === isQueued ? [id] : []));
  return { started: of(false), queued: of(true) };
}

/**
 * Decides about a run that this transaction has just inserted, before its start event is stored.
 *
 * @returns True when it may start now; false when it queues.
 * @throws {RunNotStartedError} When there shall be no such run: the transaction must roll back.
 */
export async function enterRun(
  tx: Executor,
  id: string,
  { pool, concurrency }: RunEntry,
): Promise<boolean> {
  await lock(tx, pool);
  const decision = decideStart(
    await openRuns(tx, pool),
    concurrency.limit ?? 1,
    concurrency.whenFull ?? "queue",
  );
  if (decision.type === "skip" || decision.type === "reject")
    throw new RunNotStartedError(decision);
  const starts = decision.type === "start";
  await tx.execute(sql`
    insert into spectra.slots (pool, workflow_id, task_key, attempt, owner, taken_at)
    values (${pool}, ${id}, '', ${starts ? 1 : 0}, '', clock_timestamp())`);
  if (!starts && decision.cancel.length > 0) {
    const event = { type: "run.cancel", reason: `replaced by run ${id}`, by: "concurrency" };
    await tx.execute(sql`
      insert into spectra.mailbox (workflow_id, event, dedupe_key)
      select value, ${toJsonb(event)}::jsonb, 'replace/' || ${id} || '/' || value
      from jsonb_array_elements_text(${JSON.stringify(decision.cancel)}::jsonb)`);
  }
  return starts;
}

export function createRunQueueRepo(db: Database): RunQueueRepo {
  return {
    promote: () => promote(db),
    waiters: () => waiters(db),
    newestQueued: async (ids) => {
      const [row] = await db.execute<{ id: string }>(sql`
        select workflow_id as id from spectra.slots
        where task_key = '' and attempt = 0 and pool like 'run/%'
          and workflow_id in (select jsonb_array_elements_text(${JSON.stringify(ids)}::jsonb))
        order by taken_at desc limit 1`);
      return row?.id;
    },
    place: async (id) => {
      const rows = await db.execute<{ pool: string }>(sql`
        select pool from spectra.slots
        where workflow_id = ${id} and task_key = '' and attempt = 0`);
      const [row] = rows;
      if (row === undefined) return undefined;
      const { started, queued } = await openRuns(db, row.pool);
      const index = queued.indexOf(id);
      return index < 0 ? undefined : { position: index + 1, started };
    },
  };
}

async function promote(db: Database): Promise<{ started: string[]; left: number }> {
  // The limit is that of the definition which the oldest queued run is pinned to.
  const pools = await db.execute<{ pool: string }>(sql`
    select s.pool from spectra.slots s
    join spectra.workflows w on w.id = s.workflow_id and w.status in ('pending', 'running', 'paused')
    where s.pool like 'run/%' group by s.pool
    having bool_or(s.attempt = 0) order by min(s.taken_at) limit ${poolsPerLook}`);
  const started: string[] = [];
  let left = 0;
  for (const { pool } of pools) {
    const result = await promotePool(db, pool);
    started.push(...result.started);
    left += result.left;
  }
  return { started, left };
}

async function promotePool(
  db: Database,
  pool: string,
): Promise<{ started: readonly string[]; left: number }> {
  return await db.transaction(async (tx) => {
    await lock(tx, pool);
    await tx.execute(sql`
      delete from spectra.slots s using spectra.workflows w where s.pool = ${pool}
        and w.id = s.workflow_id and w.status not in ('pending', 'running', 'paused', 'parked')`);
    const open = await openRuns(tx, pool);
    const [next] = open.queued;
    if (next === undefined) return { started: [], left: 0 };
    const [row] = await tx.execute<{ most: number | null }>(sql`
      select (d.body -> 'concurrency' ->> 'limit')::int as most from spectra.workflows w
      join spectra.definitions d on d.hash = w.definition_hash where w.id = ${next}`);
    const room = Math.max(0, (row?.most ?? 1) - open.started.length);
    const chosen = open.queued.slice(0, room);
    if (chosen.length > 0) {
      const ids = JSON.stringify(chosen);
      await tx.execute(sql`
        update spectra.slots set attempt = 1, taken_at = clock_timestamp()
        where pool = ${pool} and task_key = ''
          and workflow_id in (select jsonb_array_elements_text(${ids}::jsonb))`);
      await tx.execute(sql`
        update spectra.mailbox set at = clock_timestamp() where at = 'infinity'
          and workflow_id in (select jsonb_array_elements_text(${ids}::jsonb))`);
    }
    return { started: chosen, left: open.queued.length - chosen.length };
  });
}

/** Starts at the queued runs and follows who waits for whom; runs that can move by themselves are left out. */
async function waiters(db: Database): Promise<Waiter[]> {
  const rows = await db.execute<{ id: string; targets: string[] }>(sql`
    with recursive open as (
      select s.pool, s.workflow_id, s.attempt from spectra.slots s
      join spectra.workflows w on w.id = s.workflow_id
        and w.status in ('pending', 'running', 'paused')
      where s.pool like 'run/%'),
    edges (id, target) as (
      select q.workflow_id, h.workflow_id from open q
      join open h on h.pool = q.pool and h.attempt > 0 where q.attempt = 0
      union
      select w.id, t.extras ->> 'childId' from edges e
      join spectra.workflows w on w.id = e.target and w.status = 'running'
      join spectra.tasks t on t.workflow_id = w.id and t.status = 'running'
        and t.extras ? 'childId'
      where not exists (select 1 from spectra.tasks o where o.workflow_id = w.id
          and o.status in ('ready', 'dispatched', 'running', 'retrying', 'compensating')
          and not (o.status = 'running' and (o.extras ? 'childId' or o.extras ? 'left')))
        and not exists (select 1 from spectra.timers c where c.workflow_id = w.id and c.key like 'chart/%')
        and not exists (select 1 from spectra.mailbox m where m.workflow_id = w.id))
    select id, json_agg(target) as targets from edges group by id`);
  return rows.map(({ id, targets }) => ({ id, for: targets }));
}
