/**
 * Takes what deduplication found out about a run's messages away with them: their ids may come again.
 *
 * @module
 */

import type { TransactionSql } from "postgres";
import { clearDedupResults } from "./dedup-schema.ts";

const schema = "archive";

/**
 * Call while the messages of the run are still there. When later messages have been compared with these,
 * all results go, because a copy is known by its original only. The cache gets another namespace: what
 * is in the old one names ids that other messages may get.
 */
export async function forgetDuplicates(tx: TransactionSql, runId: string): Promise<void> {
  // Made last of the tables of deduplication.
  const [state] = await tx<{ present: boolean }[]>`
    select to_regclass('archive.bloom_filters') is not null as present`;
  if (state?.present !== true) return;
  const [run] = await tx<{ first: string | null }[]>`
    select min(id)::text as first from archive.messages where run_id = ${runId}`;
  const first = run?.first ?? null;
  if (first === null) return;
  await rotateCache(tx);
  const later = await tx`
    select 1 from archive.signatures s where s.message_id > ${first}::bigint and not exists (
      select from archive.messages m where m.id = s.message_id and m.run_id = ${runId}) limit 1`;
  if (later.length > 0) await clearDedupResults(tx, schema);
  else await forgetNewest(tx, runId);
}

async function rotateCache(tx: TransactionSql): Promise<void> {
  for (const table of ["hash_cache", "bloom_filters"]) {
    await tx`
      delete from ${tx(`${schema}.${table}`)}
      where namespace in (select cache_namespace from archive.dedup_state)`;
  }
  await tx`update archive.dedup_state set cache_namespace = gen_random_uuid()::text`;
}

/** Nothing else depends on messages that were compared last. */
async function forgetNewest(tx: TransactionSql, runId: string): Promise<void> {
  await tx`
    delete from archive.duplicate_edges e using archive.messages m
    where m.run_id = ${runId} and m.id in (e.message_id, e.other_id)`;
  for (const table of ["signatures", "lsh_buckets", "duplicates"]) {
    await tx`
      delete from ${tx(`${schema}.${table}`)} d using archive.messages m
      where m.run_id = ${runId} and m.id = d.message_id`;
  }
  await tx`
    delete from archive.duplicates where cluster_id in (
      select cluster_id from archive.duplicates group by cluster_id having count(*) < 2)`;
  await tx`
    delete from archive.duplicate_clusters c where not exists (
      select from archive.duplicates d where d.cluster_id = c.id)`;
  await tx`
    update archive.duplicate_clusters c set size = found.size
    from (select cluster_id, count(*)::int as size from archive.duplicates group by cluster_id) found
    where found.cluster_id = c.id and found.size <> c.size`;
}
