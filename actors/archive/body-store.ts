/**
 * Reads message bodies, wherever they are: raw in `archive.bodies` or compressed in
 * `archive.compressed_bodies`. The only way to read a body.
 *
 * @module
 */

import type { Sql } from "postgres";
import { type CompressedRow, createExpander, idsPerQuery } from "./compressed-reader.ts";
import { createLruCache } from "./lru-cache.ts";

/** Bytes of bodies that one store keeps in memory unless told otherwise. */
export const defaultCacheBytes = 16 * 1024 * 1024;
export interface BodyStore {
  /**
   * The exact bytes by message id; ids are decimal strings. An id without a body is not in the map.
   * Do not change the arrays: they are shared with the cache.
   * @throws {AgentError} `BODY_CORRUPT`, `DICTIONARY_MISSING`, `CODEC_UNAVAILABLE`
   */
  read(ids: readonly string[]): Promise<Map<string, Uint8Array>>;
  /** Since the store was opened. `expandMs` is time in the codec alone. */
  stats(): { hits: number; misses: number; expandMs: number; cacheBytes: number };
}

interface BodyRow extends CompressedRow {
  readonly raw: Buffer | null;
}

/** The raw bytes win where both exist: those are not verified yet. One statement, so one snapshot. */
async function fetchRows(sql: Sql, ids: readonly string[]): Promise<readonly BodyRow[]> {
  return await sql<BodyRow[]>`
    select wanted.id::text as id, b.raw, c.codec, c.dictionary_id, c.raw_bytes,
      case when b.message_id is null then c.data end as data
    from unnest(${sql.array([...ids])}::bigint[]) as wanted (id)
    left join archive.bodies b on b.message_id = wanted.id
    left join archive.compressed_bodies c on c.message_id = wanted.id
    where b.message_id is not null or c.message_id is not null`;
}

export function openBodyStore(sql: Sql, options: { readonly cacheBytes?: number } = {}): BodyStore {
  const bodies = createLruCache<string, Uint8Array>({
    maxBytes: options.cacheBytes ?? defaultCacheBytes,
    sizeOf: (body) => body.byteLength,
  });
  const expander = createExpander(sql);
  let hits = 0;
  let misses = 0;

  return {
    async read(ids) {
      const found = new Map<string, Uint8Array>();
      const missing: string[] = [];
      for (const id of new Set(ids)) {
        const body = bodies.get(id);
        if (body === undefined) missing.push(id);
        else found.set(id, body);
      }
      hits += found.size;
      misses += missing.length;
      for (let at = 0; at < missing.length; at += idsPerQuery) {
        for (const row of await fetchRows(sql, missing.slice(at, at + idsPerQuery))) {
          const body = row.raw ?? (await expander.expand(row));
          bodies.set(row.id, body);
          found.set(row.id, body);
        }
      }
      return found;
    },
    stats: () => ({ hits, misses, expandMs: expander.expandMs(), cacheBytes: bodies.sizeBytes }),
  };
}

/** One store per client, so that callers who read now and then share a cache; it goes with the client. */
const stores = new WeakMap<Sql, BodyStore>();

/** Reads through the client's own store of `defaultCacheBytes`; see `BodyStore.read`. */
export async function readBodies(
  sql: Sql,
  ids: readonly string[],
): Promise<Map<string, Uint8Array>> {
  const store = stores.get(sql) ?? openBodyStore(sql);
  stores.set(sql, store);
  return await store.read(ids);
}
