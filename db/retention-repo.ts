/**
 * Moves ended runs out of the live tables, a batch in one transaction, on one node at a time.
 *
 * Whole trees go from the top: a root once nothing in its tree is open, a child once its parent is gone.
 * So nobody that still stands in the live tables can ask anything of a run that does not.
 *
 * @module
 */

import { asc, inArray, sql } from "drizzle-orm";
import type { Json } from "../machines/error-code.ts";
import { type ArchivedCommand, packRun } from "./archive-repo.ts";
import type { Database } from "./database.ts";
import type { HistoryEntry } from "./history-repo.ts";
import { loadRuns } from "./run-repo.ts";
import { archivedRuns, commands, journal, workflows } from "./schema/workflows.ts";
import { runRows, taskRows } from "./view-repo.ts";

/** Any constant of our own: who holds it moves runs. */
const retentionLock = 7_305_502;
/** Runs of one batch; a batch is in memory as a whole. */
const batchRuns = 100;
/** Journal entries of one batch, unless a single run has more. */
const batchEntries = 20_000;

export interface RetentionOrder {
  /** Runs that ended before this long ago go. */
  readonly olderThanMs: number;
  /** `delete`: nothing of them is kept. */
  readonly then: "archive" | "delete";
}

/** Rows that left the live tables, by table, and rows that came into the archive. */
export interface Retained {
  readonly runs: number;
  readonly tasks: number;
  readonly journal: number;
  readonly timers: number;
  readonly commands: number;
  readonly approvals: number;
  /** Rows of the archive: more than none when runs were kept. */
  readonly archived: number;
}

export interface RetentionRepo {
  /** One batch. Undefined when another node is at it. Zero runs: nothing is left to do. */
  moveBatch(order: RetentionOrder): Promise<Retained | undefined>;
  /** Deletes archived runs that ended before this long ago, one batch; returns how many. */
  deleteArchived(olderThanMs: number): Promise<number | undefined>;
}

type Transaction = Parameters<Parameters<Database["transaction"]>[0]>[0];

export function createRetentionRepo(db: Database): RetentionRepo {
  return {
    moveBatch: (order) =>
      db.transaction(async (tx) => {
        if (!(await isAlone(tx))) return undefined;
        const ids = await movable(tx, await lockEnded(tx, order.olderThanMs));
        if (order.then === "archive") await keep(tx, ids);
        await forgetBulks(tx, order.olderThanMs);
        return await remove(tx, ids, order.then === "archive" ? ids.length : 0);
      }),
    deleteArchived: (olderThanMs) =>
      db.transaction(async (tx) => {
        if (!(await isAlone(tx))) return undefined;
        const rows = await tx.execute(sql`
          delete from spectra.archived_runs where id in (
            select id from spectra.archived_runs
            where finished_at < now() - ${olderThanMs}::float8 * interval '1 millisecond'
            order by finished_at limit ${batchRuns}) returning 1`);
        return rows.length;
      }),
  };
}

/** Commands to many runs, once none of those runs knows of it any more. */
async function forgetBulks(tx: Transaction, olderThanMs: number): Promise<void> {
  await tx.execute(sql`
    delete from spectra.bulk_commands where id in (
      select b.id from spectra.bulk_commands b
      where b.at < now() - ${olderThanMs}::float8 * interval '1 millisecond'
        and not exists (select 1 from spectra.commands c where c.key = 'bulk/' || b.id)
      limit ${batchRuns})`);
}

async function isAlone(tx: Transaction): Promise<boolean> {
  const [row] = await tx.execute<{ mine: boolean }>(
    sql`select pg_try_advisory_xact_lock(${retentionLock}) as mine`,
  );
  return row?.mine === true;
}

/** From here to the commit nobody takes a turn of these runs, and nobody posts mail to them. */
async function lockEnded(
  tx: Transaction,
  olderThanMs: number,
): Promise<readonly { readonly id: string; readonly seq: number }[]> {
  const rows = await tx.execute<{ id: string; seq: string }>(sql`
    select w.id, w.seq::text as seq from spectra.workflows w
    where w.finished_at < now() - ${olderThanMs}::float8 * interval '1 millisecond'
      and w.status in ('completed', 'failed', 'cancelled')
      and not exists (select 1 from spectra.workflows p where p.id = w.parent_id)
      and not exists (select 1 from spectra.workflows t where w.parent_id is null and t.root_id = w.id
        and t.status not in ('completed', 'failed', 'cancelled'))
      and not exists (select 1 from spectra.mailbox m where m.workflow_id = w.id)
      and not exists (select 1 from spectra.outbox o where o.workflow_id = w.id)
    order by w.finished_at limit ${batchRuns} for update of w skip locked`);
  return rows.map(({ id, seq }) => ({ id, seq: Number(seq) }));
}

/**
 * A look of its own, after the lock: of what was posted before it. An attempt that was told to stop
 * and has not yet still reports to its run.
 */
async function movable(
  tx: Transaction,
  locked: Awaited<ReturnType<typeof lockEnded>>,
): Promise<readonly string[]> {
  let entries = 0;
  const chosen = locked.filter(({ seq }, index) => {
    entries += seq;
    return index === 0 || entries <= batchEntries;
  });
  if (chosen.length === 0) return [];
  const ids = JSON.stringify(chosen.map(({ id }) => id));
  const rows = await tx.execute<{ id: string }>(sql`
    select w.id from spectra.workflows w
    where w.id in (select jsonb_array_elements_text(${ids}::jsonb))
      and not exists (select 1 from spectra.mailbox m where m.workflow_id = w.id)
      and not exists (select 1 from spectra.outbox o where o.workflow_id = w.id)
      and not exists (select 1 from spectra.tasks t where t.workflow_id = w.id
        and (t.extras ? 'stopping' or t.status in ('dispatched', 'running', 'compensating')))`);
  return rows.map(({ id }) => id);
}

async function keep(tx: Transaction, ids: readonly string[]): Promise<void> {
  if (ids.length === 0) return;
  const loaded = await loadRuns(tx, inArray(workflows.id, [...ids]));
  const summaries = new Map((await runRows(tx, ids)).map((row) => [row.id, row]));
  const tasks = await taskRows(tx, ids);
  const entries = await entriesOf(tx, ids);
  const orders = await commandsOf(tx, ids);
  const rows = await tx
    .select()
    .from(workflows)
    .where(inArray(workflows.id, [...ids]));
  const columns = new Map(rows.map((row) => [row.id, row]));
  for (const { definition: _stored, ...run } of loaded) {
    const { id } = run.run;
    const row = columns.get(id);
    const summary = summaries.get(id);
    if (row === undefined || row.finishedAt === null || summary === undefined) {
      throw new Error(`Cannot archive run "${id}": it is not as it was locked`);
    }
    const own = tasks.get(id) ?? [];
    const errors = [summary.error, ...own.map(({ error }) => error)];
    const { createdAt, finishedAt } = row;
    const { attributes, forkedFrom, idempotencyKey, parentId, rootId, scheduleId } = row;
    const { definitionHash, status, workflow } = row;
    await tx.insert(archivedRuns).values({
      id,
      workflow,
      status,
      definitionHash,
      attributes,
      parentId,
      rootId,
      forkedFrom,
      scheduleId,
      idempotencyKey,
      summary,
      createdAt,
      finishedAt,
      codes: [...new Set(errors.flatMap((error) => error?.code ?? []))],
      body: await packRun({
        loaded: run,
        tasks: own,
        journal: entries.get(id) ?? [],
        commands: orders.get(id) ?? [],
      }),
    });
  }
}

async function entriesOf(
  tx: Transaction,
  ids: readonly string[],
): Promise<ReadonlyMap<string, readonly HistoryEntry[]>> {
  const rows = await tx
    .select({
      workflowId: journal.workflowId,
      seq: journal.seq,
      type: journal.type,
      atMs: sql<number>`(extract(epoch from ${journal.at}) * 1000)::float8`,
      actor: journal.actor,
      payload: journal.payload,
      patch: journal.patch,
    })
    .from(journal)
    .where(inArray(journal.workflowId, [...ids]))
    .orderBy(asc(journal.workflowId), asc(journal.seq));
  return grouped(rows) as ReadonlyMap<string, readonly HistoryEntry[]>;
}

async function commandsOf(
  tx: Transaction,
  ids: readonly string[],
): Promise<ReadonlyMap<string, readonly ArchivedCommand[]>> {
  const rows = await tx
    .select()
    .from(commands)
    .where(inArray(commands.workflowId, [...ids]))
    .orderBy(asc(commands.workflowId), asc(commands.at));
  return grouped(
    rows.map(({ answer, at, ...row }) => ({
      ...row,
      answer: (answer ?? null) as Json,
      at: at.toISOString(),
    })),
  );
}

function grouped<T extends { readonly workflowId: string }>(
  rows: readonly T[],
): Map<string, Omit<T, "workflowId">[]> {
  const groups = new Map<string, Omit<T, "workflowId">[]>();
  for (const { workflowId, ...row } of rows) {
    const group = groups.get(workflowId);
    if (group === undefined) groups.set(workflowId, [row]);
    else group.push(row);
  }
  return groups;
}

/** Counts what it deletes; slots and the rest of a run go with its row. */
async function remove(
  tx: Transaction,
  ids: readonly string[],
  archived: number,
): Promise<Retained> {
  const text = JSON.stringify(ids);
  const own = sql`workflow_id in (select jsonb_array_elements_text(${text}::jsonb))`;
  const counts: Record<string, number> = {};
  for (const table of ["tasks", "journal", "timers", "commands", "approvals"] as const) {
    const [row] = await tx.execute<{ count: number }>(sql`
      with gone as (delete from spectra.${sql.raw(table)} where ${own} returning 1)
      select count(*)::int as count from gone`);
    counts[table] = row?.count ?? 0;
  }
  const [row] = await tx.execute<{ count: number }>(sql`
    with gone as (delete from spectra.workflows
      where id in (select jsonb_array_elements_text(${text}::jsonb)) returning 1)
    select count(*)::int as count from gone`);
  const {
    approvals = 0,
    commands: orders = 0,
    journal: entries = 0,
    tasks = 0,
    timers = 0,
  } = counts;
  return {
    runs: row?.count ?? 0,
    tasks,
    journal: entries,
    timers,
    commands: orders,
    approvals,
    archived,
  };
}
