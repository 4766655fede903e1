/**
 * Makes the compressed bodies the only ones: drops a raw body after its compressed form, read back through
 * the codec, has the hash that the migration recorded. Never drops a body that it has not verified.
 *
 * @module
 */

import { createHash } from "node:crypto";
import type { Sql } from "postgres";
import { AgentError } from "../../machines/error-code.ts";
import { type BodyRef, walkBodies } from "./body-batches.ts";
import { openCompressedReader } from "./compressed-reader.ts";

const pageRows = 2_000;
/** Ids that an error message names at most. */
const namedIds = 10;

async function verifiablePage(sql: Sql, after: string): Promise<readonly BodyRef[]> {
  return await sql<BodyRef[]>`
    select c.message_id::text as id, c.raw_bytes as "sizeBytes" from archive.compressed_bodies c
    where c.message_id > ${after} and exists (
      select from archive.bodies b where b.message_id = c.message_id)
    order by c.message_id limit ${pageRows}`;
}

async function expectedHashes(sql: Sql, ids: readonly string[]): Promise<Map<string, string>> {
  const rows = await sql<{ id: string; sha256: string }[]>`
    select id::text as id, encode(body_sha256, 'hex') as sha256 from archive.messages
    where id = any(${sql.array([...ids])}::bigint[])`;
  return new Map(rows.map(({ id, sha256 }) => [id, sha256]));
}

export interface AdoptionHooks {
  readonly signal: AbortSignal;
  /** After each committed batch. */
  readonly onBatch: (batch: { lastId: string; bodies: number }) => Promise<void>;
}

/**
 * Verifies and drops, one transaction per batch. A repeated call continues with what is left.
 * @throws {AgentError} `BODY_MISMATCH`, `BODY_CORRUPT`; the batch with the bad body keeps all its raw bodies.
 */
export async function dropVerifiedBodies(
  sql: Sql,
  hooks: AdoptionHooks,
): Promise<{ verified: number; rawBytes: number }> {
  const readCompressed = openCompressedReader(sql);
  let verified = 0;
  let rawBytes = 0;
  for await (const batch of walkBodies((after) => verifiablePage(sql, after))) {
    hooks.signal.throwIfAborted();
    const ids = batch.map(({ id }) => id);
    const hashes = await expectedHashes(sql, ids);
    const bodies = await readCompressed(ids);
    const bad = ids.filter((id) => {
      const body = bodies.get(id);
      if (body === undefined) return true;
      return createHash("sha256").update(body).digest("hex") !== hashes.get(id);
    });
    if (bad.length > 0) {
      throw new AgentError(
        "BODY_MISMATCH",
        `Cannot drop the raw bodies: ${bad.length} compressed ones do not have the hash that the migration recorded, first messages ${bad.slice(0, namedIds).join(", ")}; the raw bodies stay, delete those rows of archive.compressed_bodies and compress again`,
      );
    }
    await sql`delete from archive.bodies where message_id = any(${sql.array(ids)}::bigint[])`;
    verified += ids.length;
    rawBytes += batch.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    await hooks.onBatch({ lastId: ids.at(-1) ?? "-1", bodies: ids.length });
  }
  return { verified, rawBytes };
}

/** Puts raw bodies back for all that have only a compressed form. Idempotent; one transaction per batch. */
export async function restoreRawBodies(sql: Sql, hooks: AdoptionHooks): Promise<number> {
  const readCompressed = openCompressedReader(sql);
  let restored = 0;
  const missingPage = async (after: string): Promise<readonly BodyRef[]> =>
    await sql<BodyRef[]>`
      select c.message_id::text as id, c.raw_bytes as "sizeBytes" from archive.compressed_bodies c
      where c.message_id > ${after} and not exists (
        select from archive.bodies b where b.message_id = c.message_id)
      order by c.message_id limit ${pageRows}`;
  for await (const batch of walkBodies(missingPage)) {
    hooks.signal.throwIfAborted();
    const bodies = await readCompressed(batch.map(({ id }) => id));
    const rows = [...bodies].map(([id, body]) => ({ message_id: id, raw: Buffer.from(body) }));
    if (rows.length === 0) continue;
    await sql`insert into archive.bodies ${sql(rows)} on conflict (message_id) do nothing`;
    restored += rows.length;
    await hooks.onBatch({ lastId: batch.at(-1)?.id ?? "-1", bodies: rows.length });
  }
  return restored;
}

/**
 * Gives the space of dropped bodies back to the disk. A plain vacuum cuts off the empty end of the table;
 * where live rows keep it from doing so, the table is rewritten, unless someone holds it.
 */
export async function reclaimBodySpace(
  sql: Sql,
): Promise<"truncated" | "rewritten" | "table in use"> {
  await sql`vacuum (analyze) archive.bodies`;
  const [row] = await sql<{ relation: number; live: number }[]>`
    select pg_total_relation_size('archive.bodies')::float8 as relation,
      (select coalesce(sum(octet_length(raw)), 0)::float8 from archive.bodies) as live`;
  const slackBytes = 4 * 1024 * 1024;
  if ((row?.relation ?? 0) <= (row?.live ?? 0) * 1.5 + slackBytes) return "truncated";
  const connection = await sql.reserve();
  try {
    await connection`set lock_timeout = '2s'`;
    await connection`vacuum (full, analyze) archive.bodies`;
    return "rewritten";
  } catch (error) {
    // 55P03: lock_not_available. The space is given back by a later vacuum.
    if (error instanceof Error && "code" in error && error.code === "55P03") return "table in use";
    throw error;
  } finally {
    await connection`reset lock_timeout`;
    connection.release();
  }
}
