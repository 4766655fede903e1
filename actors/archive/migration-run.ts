/**
 * The row of a migration in the target: begins it once, finds what it has loaded, removes it.
 *
 * @module
 */

import { randomUUID } from "node:crypto";
import type { Sql, TransactionSql } from "postgres";
import { AgentError } from "../../machines/error-code.ts";
import { forgetDuplicates } from "./forget-duplicates.ts";
import type { BatchStart } from "./migration-batch.ts";
import { transaction } from "./transaction.ts";

/** Ids that are left free for a run that has not finished yet; positions beyond are refused. */
export const maxPositions = 1_000_000_000;

/** A run, as the attempt that owns it names it. */
export interface OwnedRun {
  readonly runId: string;
  readonly idBase: number;
  /** Changes with each attempt; only the newest one's is in the target. */
  readonly owner: string;
}

/** What an attempt finds when it begins or takes over a run. */
interface Begun {
  readonly idBase: number;
  /** Of the source when the run began. */
  readonly fingerprint: string;
}

export interface RunState extends OwnedRun {
  /** Of the source when the run began; that of now must be the same to go on. */
  readonly fingerprint: string;
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
  /** As the source is now. */
  readonly fingerprint: string;
  /** Removes other runs of the same source first, so that a source is in the archive once. */
  readonly replace: boolean;
}

/** Begins the run, or takes it over from an earlier attempt, whose writes fail from then on. */
export async function beginRun(sql: Sql, options: BeginOptions): Promise<RunState> {
  const { runId } = options;
  const owner = randomUUID();
  const begun = await transaction(sql, async (tx): Promise<Begun> => {
    // Two runs that begin at once must not get the same ids.
    await tx`lock table archive.migrations in share row exclusive mode`;
    // Waits for batches that the earlier attempt is just loading: they hold the row.
    const [own] = await tx<{ idBase: string; fingerprint: string }[]>`
      update archive.migrations set finished_at = null, owner = ${owner},
        source_fingerprint = coalesce(source_fingerprint, ${options.fingerprint})
      where run_id = ${runId}
      returning id_base as "idBase", source_fingerprint as fingerprint`;
    if (own !== undefined) return { ...own, idBase: Number(own.idBase) };
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
      insert into archive.migrations (run_id, source, id_base, started_at, owner, source_fingerprint)
      values (${runId}, ${options.source}, ${base}, now(), ${owner}, ${options.fingerprint})`;
    return { idBase: Number(base), fingerprint: options.fingerprint };
  });
  return { runId, owner, ...begun, ...(await findLoaded(sql, runId)) };
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

/**
 * Keeps the run as it is until the transaction ends.
 *
 * @throws {AgentError} `RUN_LOST` When it was removed, or another attempt has taken it over.
 */
export async function holdRun(tx: TransactionSql, { runId, owner }: OwnedRun): Promise<void> {
  const held = await tx`
    select 1 from archive.migrations where run_id = ${runId} and owner = ${owner} for share`;
  if (held.length === 0) throw runLost(runId);
}

function runLost(runId: string): AgentError {
  return new AgentError(
    "RUN_LOST",
    `Cannot go on with migration "${runId}": it was removed, or another attempt has taken it over`,
  );
}

/** @throws {AgentError} `RUN_LOST` */
export async function finishRun(
  sql: Sql,
  { runId, owner }: OwnedRun,
  totals: RunTotals,
): Promise<void> {
  const updated = await sql`
    update archive.migrations set finished_at = now(), read = ${totals.read},
      migrated = ${totals.migrated}, rejected = ${totals.rejected}
    where run_id = ${runId} and owner = ${owner} returning run_id`;
  if (updated.length === 0) throw runLost(runId);
}

/**
 * Removes all rows of the run, wherever its bodies are stored by now, and what deduplication found out
 * about them. Idempotent.
 *
 * @param owner When given, a run that another attempt has taken over stays.
 */
export async function removeRun(sql: Sql, runId: string, owner?: string): Promise<void> {
  const [found] = await sql<{ exists: boolean }[]>`
    select to_regclass('archive.migrations') is not null as exists`;
  if (found?.exists !== true) return;
  await transaction(sql, async (tx) => {
    await tx`lock table archive.migrations in share row exclusive mode`;
    if (owner !== undefined) {
      const own = await tx`
        select 1 from archive.migrations where run_id = ${runId} and owner = ${owner}`;
      if (own.length === 0) return;
    }
    await deleteRun(tx, runId);
  });
}

async function deleteRun(tx: TransactionSql, runId: string): Promise<void> {
  // First, so that loaders of the run stop: each batch asks for this row.
  await tx`delete from archive.migrations where run_id = ${runId}`;
  await forgetDuplicates(tx, runId);
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
