/**
 * The tables of deduplication, in the schema that they are asked for: `archive`, or a scratch schema
 * where a test runs the same engine.
 *
 * @module
 */

import type { Sql, TransactionSql } from "postgres";
import type { DedupSettings } from "./dedup-settings.ts";

function ddlOf(schema: string): readonly string[] {
  return [
    // One row. Other settings than these mean other hash values, so a change starts everything anew.
    `create table if not exists ${schema}.dedup_state (
      one boolean primary key default true check (one), settings jsonb not null,
      cache_namespace text not null default gen_random_uuid()::text)`,
    // One row per message that the engine has looked at.
    `create table if not exists ${schema}.signatures (
      message_id bigint primary key, normalised_sha256 bytea not null, shingles int not null,
      body_bytes int not null)`,
    // Only bodies with enough text that are no exact duplicates: a copy is found through its original.
    `create table if not exists ${schema}.lsh_buckets (
      bucket bigint not null, message_id bigint not null, primary key (bucket, message_id))`,
    // A spanning forest of what was found to be equal or alike; clusters are its trees.
    `create table if not exists ${schema}.duplicate_edges (
      message_id bigint not null, other_id bigint not null, kind text not null,
      similarity double precision not null, primary key (message_id, other_id))`,
    // The representative is the member with the smallest id, and its id is the cluster's.
    `create table if not exists ${schema}.duplicate_clusters (
      id bigint primary key, kind text not null, representative bigint not null, size int not null)`,
    // Every member, the representative too. Similarity is to the representative, 1 for equal bodies.
    `create table if not exists ${schema}.duplicates (
      message_id bigint primary key, cluster_id bigint not null, similarity double precision not null)`,
    `create index if not exists duplicates_cluster on ${schema}.duplicates (cluster_id)`,
    `create table if not exists ${schema}.hash_cache (
      namespace text not null, hash bytea not null, message_id bigint not null,
      primary key (namespace, hash))`,
    `create table if not exists ${schema}.bloom_filters (namespace text primary key, data bytea not null)`,
  ];
}

/** Tables that hold results of the engine, for emptying. */
const resultTables = [
  "signatures",
  "lsh_buckets",
  "duplicate_edges",
  "duplicate_clusters",
  "duplicates",
] as const;

/** The schema name goes into statements as it is. */
function requirePlainName(schema: string): void {
  if (!/^[a-z_][a-z0-9_]{0,62}$/.test(schema)) {
    throw new TypeError(`Cannot use the schema "${schema}": lower case letters, digits and _ only`);
  }
}

/** Empties the results: the next run starts from nothing. */
export async function clearDedupResults(sql: Sql | TransactionSql, schema: string): Promise<void> {
  requirePlainName(schema);
  await sql.unsafe(`truncate ${resultTables.map((table) => `${schema}.${table}`).join(", ")}`);
}

/**
 * Creates the tables and records the settings; results that were made with other settings are emptied.
 * The namespace names this archive in a cache that others share.
 */
export async function prepareDedup(
  sql: Sql,
  schema: string,
  settings: DedupSettings,
): Promise<{ namespace: string; restarted: boolean }> {
  requirePlainName(schema);
  for (const statement of ddlOf(schema)) await sql.unsafe(statement);
  const { bloom: _, ...hashed } = settings;
  const wanted = sql.json(hashed);
  await sql`
    insert into ${sql(schema)}.dedup_state (settings) values (${wanted}) on conflict (one) do nothing`;
  const changed = await sql`
    update ${sql(schema)}.dedup_state set settings = ${wanted} where settings <> ${wanted}`;
  if (changed.count > 0) await clearDedupResults(sql, schema);
  const rows = await sql<{ namespace: string }[]>`
    select cache_namespace as namespace from ${sql(schema)}.dedup_state`;
  return { namespace: rows[0]?.namespace ?? schema, restarted: changed.count > 0 };
}
