/**
 * Deduplicates what is new in the archive: opens the cache, makes it whole, finds and clusters.
 *
 * @module
 */

import type { Sql } from "postgres";
import { bloomSize, createBloomFilter, readBloomFilter } from "./bloom-filter.ts";
import type { BodyRef } from "./body-batches.ts";
import { openBodyStore } from "./body-store.ts";
import { type ClusterTotals, rebuildClusters } from "./dedup-clusters.ts";
import { type DedupCounts, findDuplicates } from "./dedup-engine.ts";
import { prepareDedup } from "./dedup-schema.ts";
import type { DedupSettings } from "./dedup-settings.ts";
import type { HashCache, HashEntry } from "./hash-cache.ts";
import { openHashCache } from "./open-hash-cache.ts";

/** Messages of one page of the walk. */
const pageRows = 2_000;
const entriesPerPage = 5_000;

export interface DedupRunOptions {
  readonly settings: DedupSettings;
  readonly redisUrl: string | undefined;
  readonly signal: AbortSignal;
  readonly onProgress: (progress: { done: number; total: number; lastId: string }) => Promise<void>;
}

export interface DedupRunResult {
  readonly cacheKind: HashCache["kind"];
  /** True when the settings are not those of the last run, so that all results were made anew. */
  readonly restarted: boolean;
  /** Hashes that had been lost from the cache and were put back. */
  readonly cacheRestored: number;
  readonly counts: DedupCounts;
  readonly clusters: ClusterTotals;
}

/** Messages that have no signature yet. */
async function unsignedPage(sql: Sql, after: string): Promise<readonly BodyRef[]> {
  return await sql<BodyRef[]>`
    select m.id::text as id, m.body_bytes as "sizeBytes" from archive.messages m
    where m.id > ${after} and not exists (
      select from archive.signatures s where s.message_id = m.id)
    order by m.id limit ${pageRows}`;
}

/** First message of each normalised hash that the engine has seen, in pages. */
async function* signedHashes(sql: Sql, schema: string): AsyncGenerator<readonly HashEntry[]> {
  const rows = sql<{ hash: string; id: string }[]>`
    select encode(normalised_sha256, 'hex') as hash, min(message_id)::text as id
    from ${sql(schema)}.signatures group by normalised_sha256`;
  for await (const page of rows.cursor(entriesPerPage)) yield page;
}

/**
 * A cache may lose entries (an evicted key, a Redis without persistence). Puts back what is missing and
 * returns how many that were; the filter is made anew when it is gone.
 */
export async function restoreCache(
  sql: Sql,
  schema: string,
  cache: HashCache,
  settings: DedupSettings,
): Promise<number> {
  const stored = await cache.loadFilter();
  const filter = stored === undefined ? undefined : readBloomFilter(stored);
  const size = bloomSize(settings.bloom.expectedMembers, settings.bloom.falsePositiveRate);
  const usable = filter !== undefined && filter.bits >= size.bits ? filter : undefined;
  const target =
    usable ?? createBloomFilter(settings.bloom.expectedMembers, settings.bloom.falsePositiveRate);
  let restored = 0;
  let added = 0;
  for await (const page of signedHashes(sql, schema)) {
    const known = await cache.lookUp(page.map(({ hash }) => hash));
    const lost = page.filter(({ hash }) => !known.has(hash));
    await cache.claim(lost);
    restored += lost.length;
    for (const { hash } of page) {
      if (target.has(hash)) continue;
      target.add(hash);
      added += 1;
    }
  }
  if (added > 0 || usable === undefined) await cache.saveFilter(target.toBytes());
  return restored;
}

/** Incremental and resumable: works on messages without a signature, then rebuilds the clusters. */
export async function deduplicateArchive(
  sql: Sql,
  options: DedupRunOptions,
): Promise<DedupRunResult> {
  const schema = "archive";
  const { settings } = options;
  const prepared = await prepareDedup(sql, schema, settings);
  const cache = await openHashCache(sql, {
    redisUrl: options.redisUrl,
    schema,
    namespace: prepared.namespace,
  });
  try {
    const cacheRestored = await restoreCache(sql, schema, cache, settings);
    const store = openBodyStore(sql);
    const [row] = await sql<{ total: number; done: number }[]>`
      select (select count(*)::float8 from archive.messages) as total,
        (select count(*)::float8 from archive.signatures) as done`;
    const total = row?.total ?? 0;
    let done = row?.done ?? 0;
    const counts = await findDuplicates(sql, {
      schema,
      settings,
      cache,
      nextPage: (after) => unsignedPage(sql, after),
      readBodies: (ids) => store.read(ids),
      signal: options.signal,
      onBatch: async ({ lastId, messages }) => {
        done += messages;
        await options.onProgress({ done, total, lastId });
      },
    });
    const clusters = await rebuildClusters(sql, {
      schema,
      settings,
      readBodies: (ids) => store.read(ids),
      signal: options.signal,
    });
    return {
      cacheKind: cache.kind,
      restarted: prepared.restarted,
      cacheRestored,
      counts,
      clusters,
    };
  } finally {
    await cache.close();
  }
}
