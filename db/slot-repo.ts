/**
 * Slots of pools that all nodes share, and token buckets of rates.
 *
 * A slot is taken in the transaction that dispatches the attempt, while the pool's lock is held, so
 * two nodes can never exceed a limit together. A row counts only while the task is in flight with the
 * same attempt: whatever happens to a node, the slot is free as soon as somebody has decided that
 * the attempt is over. A slot cannot leak, since there is nothing to give back; rows that do not
 * count any more are removed by whoever takes next, and by the sweep.
 *
 * A node that finds a pool full at another node's hands leaves a ticket (a row with attempt 0): the
 * others leave it a slot, so that a node which ends and begins tasks in one transaction does not
 * keep a pool to itself. A ticket holds for a few seconds and is written anew while it is needed.
 *
 * @module
 */

import { type SQL, sql } from "drizzle-orm";
import { burstOf, type RateLimit, tokensAt } from "../machines/rate-limit.ts";
import type { Database } from "./database.ts";

/** How long a ticket makes others leave a slot: a node that cannot use it blocks nobody for longer. */
const ticketMs = 5_000;
/** Holders and tickets that are shown at most. */
const shownLimit = 1_000;

export interface SlotClaim {
  readonly pool: string;
  readonly workflowId: string;
  readonly taskKey: string;
  readonly attempt: number;
  /** Attempts in flight at once, over all nodes; from 0. Null: it is taken in any case. */
  readonly limit: number | null;
}

export interface RateClaim {
  readonly pool: string;
  readonly rate: RateLimit;
  /** Tokens. */
  readonly count: number;
}

/** Some pools have no room for the claims of this batch; nothing of it was written. */
export class PoolsFullError extends Error {
  override readonly name = "PoolsFullError";
  readonly code = "POOLS_FULL";
  readonly pools: readonly string[];

  constructor(pools: readonly string[]) {
    super(`Cannot dispatch: other nodes were faster in ${pools.join(", ")}`);
    this.pools = pools;
  }
}

export interface PoolsView {
  /** Slots in use by runs of other nodes, and other nodes' tickets that are older than ours. */
  readonly elsewhere: ReadonlyMap<string, number>;
  /** Tokens of each rate pool that was asked for. */
  readonly tokens: ReadonlyMap<string, number>;
  /** Pools where our ticket stands. */
  readonly ticketed: ReadonlySet<string>;
}

export interface SlotRow {
  readonly pool: string;
  readonly workflowId: string;
  readonly taskKey: string;
  /** 0 for a ticket: a node waits for a slot. */
  readonly attempt: number;
  readonly owner: string;
  readonly takenAtMs: number;
}

export interface SlotRepo {
  /** What other nodes have of these pools, and what tokens there are. */
  view(
    incarnation: string,
    pools: readonly string[],
    rates: ReadonlyMap<string, RateLimit>,
  ): Promise<PoolsView>;
  /** Asks the others to leave us a slot in each pool; `task` is one that waits for it. */
  queue(incarnation: string, tickets: readonly Ticket[]): Promise<void>;
  /** Who holds and who waits, oldest first; of all pools when none is named. */
  holders(pool?: string): Promise<readonly SlotRow[]>;
  /** Removes rows that do not count any more; returns how many. */
  sweep(): Promise<number>;
}

export interface Ticket {
  readonly pool: string;
  readonly workflowId: string;
  readonly taskKey: string;
}

/**
 * A slot that counts: its attempt is under way, or was told to stop and has not yet on a node that
 * lives. Parked runs hold nothing: nobody applies what their attempts bring.
 */
const isHeld = sql`s.attempt > 0 and exists (
  select 1 from spectra.tasks t join spectra.workflows r on r.id = t.workflow_id
  where t.workflow_id = s.workflow_id and t.key = s.task_key and t.attempt = s.attempt
    and r.status <> 'parked' and (t.status in ('dispatched', 'running', 'compensating')
      or t.extras -> 'stopping' = 'true'::jsonb and exists (select 1 from spectra.nodes n
        where n.incarnation = t.node and n.expires_at > clock_timestamp())))`;

/** A ticket that counts: its task is still ready, at the node that wrote it, which lives. */
const isTicket = sql`s.attempt = 0
  and s.taken_at > clock_timestamp() - ${ticketMs} * interval '1 millisecond'
  and exists (
    select 1 from spectra.tasks t join spectra.workflows r on r.id = t.workflow_id
    join spectra.nodes n on n.incarnation = r.owner and n.expires_at > clock_timestamp()
    where t.workflow_id = s.workflow_id and t.key = s.task_key and t.status = 'ready'
      and r.status = 'running' and r.owner = s.owner)`;

export function createSlotRepo(db: Database): SlotRepo {
  return {
    view: (incarnation, pools, rates) => view(db, incarnation, pools, rates),
    queue: async (incarnation, tickets) => {
      if (tickets.length === 0) return;
      await db.execute(sql`
        insert into spectra.slots (pool, workflow_id, task_key, attempt, owner)
        select x.pool, x."workflowId", x."taskKey", 0, ${incarnation}
        from jsonb_to_recordset(${JSON.stringify(tickets)}::jsonb)
          as x(pool text, "workflowId" text, "taskKey" text)
        join spectra.workflows r on r.id = x."workflowId"
        on conflict (pool, workflow_id, task_key) do update
          set attempt = 0, owner = excluded.owner, taken_at = clock_timestamp()
          where slots.attempt = 0`);
    },
    holders: async (pool) => {
      const only = pool === undefined ? sql`true` : sql`s.pool = ${pool}`;
      return await db.execute<{
        pool: string;
        workflowId: string;
        taskKey: string;
        attempt: number;
        owner: string;
        takenAtMs: number;
      }>(sql`
        select s.pool, s.workflow_id as "workflowId", s.task_key as "taskKey", s.attempt, s.owner,
          (extract(epoch from s.taken_at) * 1000)::float8 as "takenAtMs"
        from spectra.slots s where ${only} and (${isHeld} or ${isTicket})
        order by s.taken_at limit ${shownLimit}`);
    },
    sweep: async () => {
      const rows = await db.execute(sql`
        delete from spectra.slots s where s.pool not like 'run/%' and not ((${isHeld}) or (${isTicket}))
        returning 1`);
      return rows.length;
    },
  };
}

async function view(
  db: Database,
  incarnation: string,
  pools: readonly string[],
  rates: ReadonlyMap<string, RateLimit>,
): Promise<PoolsView> {
  const rows = await db.execute<{
    pool: string;
    held: number;
    before: number;
    ticketed: boolean;
  }>(sql`
    with rows as (
      select s.pool, s.taken_at, s.owner, s.attempt = 0 as waits, w.owner as run_owner
      from spectra.slots s join spectra.workflows w on w.id = s.workflow_id
      where s.pool in (${listOf(pools)}) and ((${isHeld}) or (${isTicket}))),
    mine as (select pool, min(taken_at) as since from rows
      where waits and owner = ${incarnation} group by pool)
    select r.pool,
      count(*) filter (where not waits and run_owner is distinct from ${incarnation})::int as held,
      count(*) filter (where waits and r.owner <> ${incarnation}
        and (mine.since is null or r.taken_at < mine.since))::int as before,
      bool_or(mine.pool is not null) as ticketed
    from rows r left join mine on mine.pool = r.pool group by r.pool`);
  return {
    elsewhere: new Map(rows.map(({ pool, held, before }) => [pool, held + before])),
    ticketed: new Set(rows.flatMap(({ pool, ticketed }) => (ticketed ? [pool] : []))),
    tokens: await tokens(db, rates),
  };
}

async function tokens(
  db: Database,
  rates: ReadonlyMap<string, RateLimit>,
): Promise<Map<string, number>> {
  const left = new Map([...rates].map(([pool, rate]) => [pool, burstOf(rate)]));
  if (rates.size === 0) return left;
  const rows = await db.execute<{ pool: string; tokens: number; atMs: number; nowMs: number }>(sql`
    select pool, tokens, (extract(epoch from updated_at) * 1000)::float8 as "atMs",
      (extract(epoch from clock_timestamp()) * 1000)::float8 as "nowMs"
    from spectra.rate_buckets where pool in (${listOf([...rates.keys()])})`);
  for (const { pool, tokens: count, atMs, nowMs } of rows) {
    const rate = rates.get(pool);
    if (rate !== undefined) left.set(pool, tokensAt(rate, { tokens: count, atMs }, nowMs));
  }
  return left;
}

/**
 * Takes slots and tokens for the attempts that this transaction dispatches, after it wrote their tasks.
 *
 * @throws {PoolsFullError} When some pool has not room for all of its claims.
 */
export async function takeSlots(
  tx: Pick<Database, "execute">,
  incarnation: string,
  claims: readonly SlotClaim[],
  rates: readonly RateClaim[],
): Promise<void> {
  if (claims.length === 0 && rates.length === 0) return;
  const pools = [...claims, ...rates].map(({ pool }) => pool);
  // In one order for all, so that two nodes never wait for each other. The next statement sees what
  // the lock's former holders have committed.
  await tx.execute(sql`
    select pg_advisory_xact_lock(key) from (
      select distinct hashtextextended('spectra.pool:' || value, 0) as key
      from jsonb_array_elements_text(${JSON.stringify(pools)}::jsonb) order by key) as keys`);
  const full = [...(await fillSlots(tx, incarnation, claims)), ...(await spendTokens(tx, rates))];
  if (full.length > 0) throw new PoolsFullError(full);
}

/** Returns the pools that have not room enough; then nothing must be committed. */
async function fillSlots(
  tx: Pick<Database, "execute">,
  incarnation: string,
  claims: readonly SlotClaim[],
): Promise<string[]> {
  if (claims.length === 0) return [];
  const rows = await tx.execute<{ pool: string }>(sql`
    with asked as (
      select * from jsonb_to_recordset(${JSON.stringify(claims)}::jsonb)
        as x(pool text, "workflowId" text, "taskKey" text, attempt int, "limit" int)),
    wanted as (select pool, count(*) as count, min("limit") as most from asked group by pool),
    rows as materialized (
      select s.*, (${isHeld}) as held, (${isTicket}) as waits from spectra.slots s
      join wanted on wanted.pool = s.pool
      where not exists (select 1 from asked a where a.pool = s.pool
        and a."workflowId" = s.workflow_id and a."taskKey" = s.task_key)),
    mine as (select pool, min(taken_at) as since from spectra.slots
      where attempt = 0 and owner = ${incarnation}
        and taken_at > clock_timestamp() - ${ticketMs} * interval '1 millisecond' group by pool),
    taken as (
      select rows.pool, count(*) filter (where held or (waits and owner <> ${incarnation}
        and (mine.since is null or rows.taken_at < mine.since))) as count
      from rows left join mine on mine.pool = rows.pool group by rows.pool),
    short as (
      select wanted.pool from wanted left join taken on taken.pool = wanted.pool
      where wanted.count + coalesce(taken.count, 0) > wanted.most),
    removed as (
      delete from spectra.slots s using rows
      where s.pool = rows.pool and s.workflow_id = rows.workflow_id and s.task_key = rows.task_key
        and not rows.held and (not rows.waits or rows.owner = ${incarnation})),
    added as (
      insert into spectra.slots (pool, workflow_id, task_key, attempt, owner)
      select pool, "workflowId", "taskKey", attempt, ${incarnation} from asked
      on conflict (pool, workflow_id, task_key) do update set attempt = excluded.attempt,
        owner = excluded.owner, taken_at = clock_timestamp())
    select pool from short`);
  return rows.map(({ pool }) => pool);
}

async function spendTokens(
  tx: Pick<Database, "execute">,
  rates: readonly RateClaim[],
): Promise<string[]> {
  if (rates.length === 0) return [];
  const counts = new Map<string, number>();
  for (const { pool, count } of rates) counts.set(pool, (counts.get(pool) ?? 0) + count);
  const asked = [...new Map(rates.map((claim) => [claim.pool, claim])).values()].map(
    ({ pool, rate }) => ({
      pool,
      count: counts.get(pool),
      burst: burstOf(rate),
      perMs: rate.perMs,
      limit: rate.limit,
    }),
  );
  const recordset = sql`jsonb_to_recordset(${JSON.stringify(asked)}::jsonb)
    as x(pool text, count int, burst float8, "perMs" float8, "limit" float8)`;
  await tx.execute(sql`insert into spectra.rate_buckets (pool, tokens)
    select pool, burst from ${recordset} on conflict do nothing`);
  const now: SQL = sql`least(x.burst, b.tokens + greatest(0,
    extract(epoch from clock_timestamp() - b.updated_at) * 1000) * x."limit" / x."perMs")`;
  const rows = await tx.execute<{ pool: string }>(sql`
    update spectra.rate_buckets b set tokens = ${now} - x.count, updated_at = clock_timestamp()
    from ${recordset} where b.pool = x.pool and ${now} >= x.count returning b.pool`);
  const paid = new Set(rows.map(({ pool }) => pool));
  return asked.flatMap(({ pool }) => (paid.has(pool) ? [] : [pool]));
}

function listOf(values: readonly string[]): SQL {
  return sql`select value from jsonb_array_elements_text(${JSON.stringify(values)}::jsonb)`;
}
