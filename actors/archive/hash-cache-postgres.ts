/**
 * The hash cache in tables of the archive's own database.
 *
 * @module
 */

import type { Sql } from "postgres";
import { type HashCache, type HashEntry, inCalls } from "./hash-cache.ts";
import { compareIds } from "./union-find.ts";

/** One entry per hash, the one with the smallest id: a statement may touch a row only once. */
function smallestPerHash(entries: readonly HashEntry[]): Map<string, string> {
  const smallest = new Map<string, string>();
  for (const { hash, id } of entries) {
    const known = smallest.get(hash);
    if (known === undefined || compareIds(id, known) < 0) smallest.set(hash, id);
  }
  return smallest;
}

export function openPostgresHashCache(sql: Sql, schema: string, namespace: string): HashCache {
  const tables = { hashes: sql(`${schema}.hash_cache`), filters: sql(`${schema}.bloom_filters`) };
  return {
    kind: "postgres",
    async claim(entries) {
      const winners = new Map<string, string>();
      for (const call of inCalls([...smallestPerHash(entries)])) {
        const rows = await sql<{ hash: string; id: string }[]>`
          insert into ${tables.hashes} as known (namespace, hash, message_id)
          select ${namespace}, decode(hash, 'hex'), id
          from unnest(${sql.array(call.map(([hash]) => hash))}::text[],
            ${sql.array(call.map(([, id]) => id))}::bigint[]) as claimed (hash, id)
          on conflict (namespace, hash)
            do update set message_id = least(known.message_id, excluded.message_id)
          returning encode(hash, 'hex') as hash, message_id::text as id`;
        for (const { hash, id } of rows) winners.set(hash, id);
      }
      return winners;
    },
    async lookUp(hashes) {
      const found = new Map<string, string>();
      for (const call of inCalls([...new Set(hashes)])) {
        const rows = await sql<{ hash: string; id: string }[]>`
          select encode(k.hash, 'hex') as hash, k.message_id::text as id
          from unnest(${sql.array([...call])}::text[]) as wanted (hash)
          join ${tables.hashes} k on k.namespace = ${namespace} and k.hash = decode(wanted.hash, 'hex')`;
        for (const { hash, id } of rows) found.set(hash, id);
      }
      return found;
    },
    async count() {
      const rows = await sql<{ count: number }[]>`
        select count(*)::float8 as count from ${tables.hashes} where namespace = ${namespace}`;
      return rows[0]?.count ?? 0;
    },
    async saveFilter(bytes) {
      await sql`
        insert into ${tables.filters} (namespace, data) values (${namespace}, ${Buffer.from(bytes)})
        on conflict (namespace) do update set data = excluded.data`;
    },
    async loadFilter() {
      const rows = await sql<{ data: Buffer }[]>`
        select data from ${tables.filters} where namespace = ${namespace}`;
      return rows[0]?.data;
    },
    async clear() {
      await sql`delete from ${tables.hashes} where namespace = ${namespace}`;
      await sql`delete from ${tables.filters} where namespace = ${namespace}`;
    },
    close: async () => undefined,
  };
}
