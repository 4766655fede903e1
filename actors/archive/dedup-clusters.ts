/**
 * Turns the edges that the engine found into clusters: each message in at most one, all in one transaction.
 *
 * @module
 */

import type { Sql } from "postgres";
import { splitBySize } from "./body-batches.ts";
import type { DedupSettings } from "./dedup-settings.ts";
import { normaliseBody } from "./dedup-text.ts";
import { jaccard, shinglesOf } from "./minhash.ts";
import { createUnionFind } from "./union-find.ts";

export interface ClusterPlan {
  readonly schema: string;
  readonly settings: DedupSettings;
  readonly readBodies: (ids: readonly string[]) => Promise<Map<string, Uint8Array>>;
  readonly signal: AbortSignal;
}

export interface ClusterTotals {
  readonly clusters: number;
  readonly exactClusters: number;
  readonly nearClusters: number;
  /** Members of all clusters but their representatives. */
  readonly duplicates: number;
  readonly largest: number;
}

interface Member {
  readonly id: string;
  readonly representative: string;
  readonly hash: string;
  readonly bytes: number;
}

/** Rows of one insert. */
const rowsPerInsert = 5_000;

async function loadMembers(sql: Sql, schema: string): Promise<readonly Member[]> {
  const sets = createUnionFind();
  const edges = sql<{ a: string; b: string }[]>`
    select message_id::text as a, other_id::text as b from ${sql(schema)}.duplicate_edges`;
  for await (const rows of edges.cursor(5_000)) for (const { a, b } of rows) sets.join(a, b);
  const members: Member[] = [];
  const representatives = new Map<string, string>();
  for (const [root, ids] of sets.sets()) for (const id of ids) representatives.set(id, root);
  const ids = [...representatives.keys()];
  for (let at = 0; at < ids.length; at += rowsPerInsert) {
    const rows = await sql<{ id: string; hash: string; bytes: number }[]>`
      select message_id::text as id, encode(normalised_sha256, 'hex') as hash, body_bytes as bytes
      from ${sql(schema)}.signatures
      where message_id = any(${sql.array(ids.slice(at, at + rowsPerInsert))}::bigint[])
      order by message_id`;
    for (const row of rows) {
      members.push({ ...row, representative: representatives.get(row.id) ?? row.id });
    }
  }
  return members;
}

/** Similarities that an earlier run computed and that still hold: same member, same representative. */
async function knownSimilarities(sql: Sql, schema: string): Promise<Map<string, number>> {
  const rows = await sql<{ id: string; cluster: string; similarity: number }[]>`
    select message_id::text as id, cluster_id::text as cluster, similarity
    from ${sql(schema)}.duplicates`;
  return new Map(rows.map(({ id, cluster, similarity }) => [`${id}/${cluster}`, similarity]));
}

async function computeSimilarities(
  plan: ClusterPlan,
  pending: readonly Member[],
): Promise<Map<string, number>> {
  const similarities = new Map<string, number>();
  const shingles = (body: Uint8Array | undefined): Uint32Array =>
    shinglesOf(normaliseBody(body ?? new Uint8Array(0)), plan.settings.shingleWords);
  const byId = new Map(pending.map((member) => [member.id, member]));
  const ordered = pending.toSorted((a, b) => (a.representative < b.representative ? -1 : 1));
  const refs = ordered.map(({ id, bytes }) => ({ id, sizeBytes: bytes * 2 }));
  let current: { id: string; shingles: Uint32Array } | undefined;
  for (const batch of splitBySize(refs)) {
    plan.signal.throwIfAborted();
    const wanted = batch.flatMap(({ id }) => [id, byId.get(id)?.representative ?? id]);
    const bodies = await plan.readBodies(wanted);
    for (const { id } of batch) {
      const representative = byId.get(id)?.representative ?? id;
      if (current?.id !== representative) {
        current = { id: representative, shingles: shingles(bodies.get(representative)) };
      }
      similarities.set(id, jaccard(shingles(bodies.get(id)), current.shingles));
    }
  }
  return similarities;
}

async function writeClusters(
  sql: Sql,
  schema: string,
  members: readonly (Member & { readonly similarity: number })[],
  hashes: ReadonlyMap<string, string>,
): Promise<ClusterTotals> {
  const clusters = new Map<string, { kind: "exact" | "near"; size: number }>();
  for (const { representative, hash } of members) {
    const cluster = clusters.get(representative) ?? { kind: "exact", size: 0 };
    const near = cluster.kind === "near" || hash !== hashes.get(representative);
    clusters.set(representative, { kind: near ? "near" : "exact", size: cluster.size + 1 });
  }
  const rows = [...clusters].map(([id, { kind, size }]) => ({
    id,
    kind,
    representative: id,
    size,
  }));
  const duplicates = members.map(({ id, representative, similarity }) => ({
    message_id: id,
    cluster_id: representative,
    similarity,
  }));
  await sql.begin(async (transaction) => {
    await transaction`delete from ${transaction(schema)}.duplicates`;
    await transaction`delete from ${transaction(schema)}.duplicate_clusters`;
    for (let at = 0; at < rows.length; at += rowsPerInsert) {
      await transaction`
        insert into ${transaction(schema)}.duplicate_clusters
        ${transaction(rows.slice(at, at + rowsPerInsert))}`;
    }
    for (let at = 0; at < duplicates.length; at += rowsPerInsert) {
      await transaction`
        insert into ${transaction(schema)}.duplicates
        ${transaction(duplicates.slice(at, at + rowsPerInsert))}`;
    }
  });
  const exactClusters = rows.filter(({ kind }) => kind === "exact").length;
  return {
    clusters: rows.length,
    exactClusters,
    nearClusters: rows.length - exactClusters,
    duplicates: members.length - rows.length,
    largest: rows.reduce((most, { size }) => Math.max(most, size), 0),
  };
}

/** Replaces the clusters by those of the edges. The same edges give the same rows. */
export async function rebuildClusters(sql: Sql, plan: ClusterPlan): Promise<ClusterTotals> {
  const members = await loadMembers(sql, plan.schema);
  const hashes = new Map(members.map(({ id, hash }) => [id, hash]));
  const known = await knownSimilarities(sql, plan.schema);
  const similarityOf = ({ id, representative, hash }: Member): number | undefined =>
    hash === hashes.get(representative) ? 1 : known.get(`${id}/${representative}`);
  const pending = members.filter((member) => similarityOf(member) === undefined);
  const computed = await computeSimilarities(plan, pending);
  const complete = members.map((member) => ({
    ...member,
    similarity: similarityOf(member) ?? computed.get(member.id) ?? 0,
  }));
  return await writeClusters(sql, plan.schema, complete, hashes);
}
