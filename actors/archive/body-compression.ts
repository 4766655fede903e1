/**
 * Compresses every body that has no compressed form yet, in batches that each commit on their own.
 * What is done is what stands in the table, so a killed run goes on where it was and ends the same.
 *
 * @module
 */

import type { Sql } from "postgres";
import { type BodyRef, walkBodies } from "./body-batches.ts";
import type { Codec } from "./codec.ts";
import { codecId } from "./codec.ts";
import { packBody } from "./stored-body.ts";

export interface CompressionPlan {
  readonly codec: Codec;
  readonly dictionary: Uint8Array | undefined;
  readonly dictionaryId: number | null;
  readonly signal: AbortSignal;
  /** After each committed batch. */
  readonly onBatch: (batch: { lastId: string; bodies: number; rawBytes: number }) => Promise<void>;
  /** Continue after this message id. Default: from the first. */
  readonly after?: string;
}

/** Ids of one page of the walk; the bytes are fetched per batch. */
const pageRows = 2_000;

async function pendingPage(sql: Sql, after: string): Promise<readonly BodyRef[]> {
  return await sql<BodyRef[]>`
    select b.message_id::text as id, octet_length(b.raw) as "sizeBytes" from archive.bodies b
    where b.message_id > ${after} and not exists (
      select from archive.compressed_bodies c where c.message_id = b.message_id)
    order by b.message_id limit ${pageRows}`;
}

/** Returns what this call compressed; bodies of earlier calls are not counted again. */
export async function compressPendingBodies(
  sql: Sql,
  plan: CompressionPlan,
): Promise<{ bodies: number; rawBytes: number; compressMs: number }> {
  let bodies = 0;
  let rawBytes = 0;
  let compressMs = 0;
  for await (const batch of walkBodies((after) => pendingPage(sql, after), plan.after)) {
    plan.signal.throwIfAborted();
    const ids = batch.map(({ id }) => id);
    const rows = await sql<{ id: string; raw: Buffer }[]>`
      select message_id::text as id, raw from archive.bodies
      where message_id = any(${sql.array(ids)}::bigint[]) order by message_id`;
    const startedMs = performance.now();
    const stored = rows.map(({ id, raw }) => ({
      message_id: id,
      codec: codecId(plan.codec),
      dictionary_id: plan.dictionaryId,
      raw_bytes: raw.byteLength,
      data: packBody(plan.codec, raw, plan.dictionary),
    }));
    compressMs += performance.now() - startedMs;
    if (stored.length === 0) continue;
    await sql`insert into archive.compressed_bodies ${sql(stored)} on conflict (message_id) do nothing`;
    const batchBytes = stored.reduce((sum, row) => sum + row.raw_bytes, 0);
    bodies += stored.length;
    rawBytes += batchBytes;
    await plan.onBatch({
      lastId: stored.at(-1)?.message_id ?? "-1",
      bodies: stored.length,
      rawBytes: batchBytes,
    });
  }
  return { bodies, rawBytes, compressMs };
}

/** Sums over `archive.compressed_bodies`; `storedBytes` counts the dictionaries in use. */
export async function compressionTotals(sql: Sql): Promise<{
  bodies: number;
  pending: number;
  rawBytes: number;
  storedBytes: number;
  dictionaryBytes: number;
  spaceSaved: number;
}> {
  const [row] = await sql<
    { bodies: number; pending: number; raw: number; stored: number; dictionary: number }[]
  >`
    select count(*)::float8 as bodies, coalesce(sum(raw_bytes), 0)::float8 as raw,
      coalesce(sum(octet_length(data)), 0)::float8 as stored,
      (select count(*)::float8 from archive.bodies b where not exists (
        select from archive.compressed_bodies c where c.message_id = b.message_id)) as pending,
      (select coalesce(sum(octet_length(data)), 0)::float8 from archive.dictionaries d
        where exists (select from archive.compressed_bodies c where c.dictionary_id = d.id)) as dictionary
    from archive.compressed_bodies`;
  const rawBytes = row?.raw ?? 0;
  const dictionaryBytes = row?.dictionary ?? 0;
  const storedBytes = (row?.stored ?? 0) + dictionaryBytes;
  return {
    bodies: row?.bodies ?? 0,
    pending: row?.pending ?? 0,
    rawBytes,
    storedBytes,
    dictionaryBytes,
    spaceSaved: rawBytes === 0 ? 0 : 1 - storedBytes / rawBytes,
  };
}
