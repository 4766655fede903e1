/**
 * The row of a migration in the target: begins it once, finds what it has loaded, removes it.
 *
 * @module
 */

import type { Sql, TransactionSql } from "postgres";
import { AgentError } from "../../machines/error-code.ts";
import type { BatchStart } from "./migration-batch.ts";

/** Ids that are left free for a run that has not finished yet; positions beyond are refused. */
export const maxPositions = 1_000_000_000;

export interface RunState {
  readonly runId: string;
  readonly idBase: number;
  /** Where reading starts: behind the batches that are loaded without a gap. */
  readonly start: BatchStart;
  /** Batches behind a gap that are loaded too, with their last position. */
  readonly loaded: ReadonlyMap<number, number>;
  /** Records in loaded batches. */
  readonly done: number;
}

export interface BeginOptions {
  readonly runId: string;
  readonly source: string;
  /** Removes other runs of the same source first, so that a source is in the archive once. */
  readonly replace: boolean;
}

/** Begins the run, or finds it again. */
export async function beginRun(sql: Sql, options: BeginOptions): Promise<RunState> {
  const { runId } = options;
  const idBase = await sql.begin(async (tx) => {
    // Two runs that begin at once must not get the same ids.
    await tx`lock table archive.migrations in share row exclusive mode`;
    const [own] = await tx<{ id_base: string }[]>`
      select id_base from archive.migrations where run_id = ${runId}`;
    if (own !== undefined) {
      await tx`update archive.migrations set finished_at = null where run_id = ${runId}`;
      return Number(own.id_base);
    }
    if (options.replace) {
      const others = await tx<{ run_id: string }[]>`
        select run_id from archive.migrations where source = ${options.source}`;
      for (const other of others) await deleteRun(tx, other.run_id);
    }
    const [{ base } = { base: "0" }] = await tx<{ base: string }[]>`
      select greatest(
        coalesce((select max(id) from archive.messages), 0),
        coalesce((select max(id_base + case when finished_at is null then ${maxPositions}::bigint else read end)
          from archive.migrations), 0)) as base`;
    await tx`
      insert into archive.migrations (run_id, source, id_base, started_at)
      values (${runId}, ${options.source}, ${base}, now())`;
    return Number(base);
  });
  return { runId, idBase, ...(await findLoaded(sql, runId)) };
}

async function findLoaded(
  sql: Sql,
  runId: string,
): Promise<Pick<RunState, "start" | "loaded" | "done">> {
  const loaded = new Map<number, number>();
  let start: BatchStart = { number: 0, after: 0 };
  let done = 0;
  const rows = await sql<{ batch: number; last_position: string; read: number }[]>`
    select batch, last_position, read from archive.batches where run_id = ${runId} order by batch`;
  for (const { batch, last_position, read } of rows) {
    const last = Number(last_position);
    done += read;
    if (batch === start.number) start = { number: batch + 1, after: last };
    else loaded.set(batch, last);
  }
  return { start, loaded, done };
}

export interface RunTotals {
  readonly read: number;
  readonly migrated: number;
  readonly rejected: number;
  readonly batches: number;
}

/** Sums over the loaded batches. */
export async function runTotals(sql: Sql | TransactionSql, runId: string): Promise<RunTotals> {
  const [row] = await sql<{ read: string; migrated: string; rejected: string; batches: string }[]>`
    select coalesce(sum(read), 0) as read, coalesce(sum(migrated), 0) as migrated,
      coalesce(sum(rejected), 0) as rejected, count(*) as batches
    from archive.batches where run_id = ${runId}`;
  return {
    read: Number(row?.read ?? 0),
    migrated: Number(row?.migrated ?? 0),
    rejected: Number(row?.rejected ?? 0),
    batches: Number(row?.batches ?? 0),
  };
}

/** @throws {AgentError} `RUN_REMOVED` */
export async function finishRun(sql: Sql, runId: string, totals: RunTotals): Promise<void> {
  const updated = await sql`
    update archive.migrations set finished_at = now(), read = ${totals.read},
      migrated = ${totals.migrated}, rejected = ${totals.rejected}
    where run_id = ${runId} returning run_id`;
  if (updated.length === 0) {
    throw new AgentError("RUN_REMOVED", `Cannot finish migration "${runId}": it was removed`);
  }
}

/** Removes all rows of the run, wherever its bodies are stored by now. Idempotent. */
export async function removeRun(sql: Sql, runId: string): Promise<void> {
  const [found] = await sql<{ exists: boolean }[]>`
    select to_regclass('archive.migrations') is not null as exists`;
  if (found?.exists !== true) return;
  await sql.begin(async (tx) => {
    await tx`lock table archive.migrations in share row exclusive mode`;
    await deleteRun(tx, runId);
  });
}

async function deleteRun(tx: TransactionSql, runId: string): Promise<void> {
  // First, so that loaders of the run stop: each batch asks for this row.
  await tx`delete from archive.migrations where run_id = ${runId}`;
  for (const table of ["archive.bodies", "archive.compressed_bodies"]) {
    await tx.unsafe(
      `delete from ${table} b using archive.messages m where b.message_id = m.id and m.run_id = $1`,
      [runId],
    );
  }
  await tx`delete from archive.messages where run_id = ${runId}`;
  await tx`delete from archive.rejects where run_id = ${runId}`;
  await tx`delete from archive.batches where run_id = ${runId}`;
  await deleteOrphans(tx);
}

/** Users and the like that no message names; another run may be about to use them, then they stay. */
async function deleteOrphans(tx: TransactionSql): Promise<void> {
  const running = await tx`select 1 from archive.migrations where finished_at is null limit 1`;
  if (running.length > 0) return;
  for (const [table, column] of [
    ["archive.users", "user_id"],
    ["archive.conversations", "conversation_id"],
    ["archive.media", "media_id"],
  ] as const) {
    await tx.unsafe(
      `delete from ${table} d where not exists (select 1 from archive.messages m where m.${column} = d.id)`,
    );
  }
}
