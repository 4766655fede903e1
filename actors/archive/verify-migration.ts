/**
 * Proves a migration from the rows in the target: counts, references, and the bytes of every body.
 *
 * @module
 */

import type { Sql } from "postgres";
import { AgentError } from "../../machines/error-code.ts";
import { checksumSql } from "./migration-batch.ts";
import { type RunTotals, runTotals } from "./migration-run.ts";

export interface VerifyHooks {
  readonly signal: AbortSignal;
  /** Batches that are verified at once. */
  readonly parallel: number;
  onVerified(done: number, total: number): void;
}

interface BatchRow {
  readonly batch: number;
  readonly first_position: string;
  readonly last_position: string;
  readonly read: number;
  readonly migrated: number;
  readonly rejected: number;
  readonly checksum: string;
}

function mismatch(message: string): AgentError {
  return new AgentError("MIGRATION_MISMATCH", `Cannot accept the migration: ${message}`);
}

/**
 * Recomputes each batch's checksum from ids, times and bodies as they are stored, and compares it with the
 * one that was computed from the source. Batches must follow each other without a gap.
 *
 * @throws {AgentError} `MIGRATION_MISMATCH`
 * @returns Number of batches that agree: all.
 */
export async function verifyBatches(
  sql: Sql,
  run: { readonly runId: string; readonly idBase: number },
  hooks: VerifyHooks,
): Promise<number> {
  const batches = await sql<BatchRow[]>`
    select batch, first_position, last_position, read, migrated, rejected, checksum
    from archive.batches where run_id = ${run.runId} order by batch`;
  checkSequence(batches);
  let next = 0;
  let done = 0;
  const verifyNext = async (): Promise<void> => {
    for (let batch = batches[next]; batch !== undefined; batch = batches[next]) {
      next += 1;
      hooks.signal.throwIfAborted();
      await verifyBatch(sql, run, batch);
      done += 1;
      hooks.onVerified(done, batches.length);
    }
  };
  const workers = Array.from({ length: hooks.parallel }, verifyNext);
  // All are awaited before the first error goes on, so that no query outlives this call.
  const failed = (await Promise.allSettled(workers)).find((end) => end.status === "rejected");
  if (failed !== undefined) throw failed.reason;
  return done;
}

function checkSequence(batches: readonly BatchRow[]): void {
  let position = 0;
  for (const [index, batch] of batches.entries()) {
    const { read, migrated, rejected } = batch;
    if (batch.batch !== index || Number(batch.first_position) !== position + 1) {
      throw mismatch(`batch ${index} is missing or does not start at position ${position + 1}`);
    }
    position = Number(batch.last_position);
    const expected = position - Number(batch.first_position) + 1;
    if (read !== expected || read !== migrated + rejected) {
      throw mismatch(
        `batch ${index} has ${expected} positions, ${read} read, ${migrated} migrated, ${rejected} rejected`,
      );
    }
  }
}

async function verifyBatch(
  sql: Sql,
  { runId, idBase }: { readonly runId: string; readonly idBase: number },
  batch: BatchRow,
): Promise<void> {
  const low = idBase + Number(batch.first_position);
  const high = idBase + Number(batch.last_position);
  const [found] = await sql<{ rows: string; wrong: string; checksum: string | null }[]>`
    select count(*) as rows,
      count(*) filter (where m.body_sha256 <> h.body or m.body_bytes <> h.bytes) as wrong,
      ${sql.unsafe(checksumSql)} as checksum
    from (select id, sent_at, body_sha256, body_bytes from archive.messages
      where run_id = ${runId} and batch = ${batch.batch} and id between ${low} and ${high} offset 0) m
    join (select message_id, sha256(raw) as body, octet_length(raw) as bytes from archive.bodies
      where message_id between ${low} and ${high} offset 0) h on h.message_id = m.id`;
  const emptyChecksum = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
  if (Number(found?.rows) !== batch.migrated) {
    throw mismatch(
      `batch ${batch.batch} has ${found?.rows} messages with a body, ${batch.migrated} were loaded`,
    );
  }
  if (Number(found?.wrong) !== 0 || (found?.checksum ?? emptyChecksum) !== batch.checksum) {
    throw mismatch(`the bodies of batch ${batch.batch} are not those of the source`);
  }
}

/**
 * Counts all rows of the run: messages, bodies and rejects must be what the batches say,
 * and every reference must lead to a row.
 *
 * @throws {AgentError} `MIGRATION_MISMATCH`
 */
export async function verifyTotals(sql: Sql, runId: string): Promise<RunTotals> {
  const totals = await runTotals(sql, runId);
  const [found] = await sql<
    { messages: string; rejects: string; bodies: string; dangling: string }[]
  >`
    select
      (select count(*) from archive.rejects where run_id = ${runId}) as rejects,
      count(*) as messages, count(b.message_id) as bodies,
      count(*) filter (where c.id is null or (m.user_id is not null and u.id is null)
        or (m.media_id is not null and d.id is null)) as dangling
    from archive.messages m
    left join archive.bodies b on b.message_id = m.id
    left join archive.conversations c on c.id = m.conversation_id
    left join archive.users u on u.id = m.user_id
    left join archive.media d on d.id = m.media_id
    where m.run_id = ${runId}`;
  const counts = {
    messages: Number(found?.messages),
    bodies: Number(found?.bodies),
    rejects: Number(found?.rejects),
    dangling: Number(found?.dangling),
  };
  if (counts.messages !== totals.migrated || counts.bodies !== totals.migrated) {
    throw mismatch(
      `${totals.migrated} messages were loaded, the target has ${counts.messages} with ${counts.bodies} bodies`,
    );
  }
  if (counts.rejects !== totals.rejected || totals.read !== totals.migrated + totals.rejected) {
    throw mismatch(
      `${totals.read} were read and ${totals.migrated} migrated, but ${counts.rejects} are in archive.rejects`,
    );
  }
  if (counts.dangling !== 0) {
    throw mismatch(`${counts.dangling} messages name a user, conversation or medium without a row`);
  }
  return totals;
}
