/**
 * Finds duplicates among messages that have no signature yet, batch by batch, each in one transaction.
 *
 * Layers, in this order: a body whose normalised hash is known is an exact duplicate of the first message
 * with it. Any other with enough text gets a MinHash signature; messages that share a band with it are
 * candidates, and become near duplicates when their real Jaccard similarity reaches the threshold.
 * Candidates are only messages that came before, so batch bounds and restarts change nothing.
 *
 * @module
 */

import type { Sql, TransactionSql } from "postgres";
import { type BodyRef, walkBodies } from "./body-batches.ts";
import type { DedupSettings } from "./dedup-settings.ts";
import { hashNormalised, normaliseBody } from "./dedup-text.ts";
import type { HashCache } from "./hash-cache.ts";
import { createLruCache, type LruCache } from "./lru-cache.ts";
import { bucketKeys } from "./lsh.ts";
import { createMinHasher, jaccard, shinglesOf } from "./minhash.ts";
import { createUnionFind, type UnionFind } from "./union-find.ts";

/** Candidates that one message is compared with at most, those with most bands in common first. */
export const maxCandidates = 64;
const shingleCacheBytes = 32 * 1024 * 1024;

export interface DedupPlan {
  readonly schema: string;
  readonly settings: DedupSettings;
  readonly cache: HashCache;
  /** Messages without a signature after an id, ascending; an empty page ends the run. */
  readonly nextPage: (after: string) => Promise<readonly BodyRef[]>;
  readonly readBodies: (ids: readonly string[]) => Promise<Map<string, Uint8Array>>;
  readonly signal: AbortSignal;
  /** After each committed batch. */
  readonly onBatch: (batch: { lastId: string; messages: number }) => Promise<void>;
}

export interface DedupCounts {
  messages: number;
  exactEdges: number;
  nearEdges: number;
  candidates: number;
  compared: number;
}

interface Signed {
  readonly id: string;
  readonly hash: string;
  readonly bodyBytes: number;
  readonly shingles: Uint32Array;
}

interface Candidate {
  readonly id: string;
  readonly other: string;
  readonly shingles: number;
  readonly bytes: number;
}

interface Edge {
  readonly message_id: string;
  readonly other_id: string;
  readonly kind: "exact" | "near";
  readonly similarity: number;
}

interface Engine {
  readonly plan: DedupPlan;
  readonly sets: UnionFind;
  readonly shingles: LruCache<string, Uint32Array>;
  readonly counts: DedupCounts;
  readonly signature: (shingles: Uint32Array) => Uint32Array;
}

function sign(engine: Engine, id: string, body: Uint8Array): Signed {
  const { settings } = engine.plan;
  const normalised = normaliseBody(body);
  const shingles = shinglesOf(normalised, settings.shingleWords);
  engine.shingles.set(id, shingles);
  return { id, hash: hashNormalised(normalised), bodyBytes: body.byteLength, shingles };
}

/** Links every body whose hash an earlier message has; returns the others that have text enough. */
async function linkExact(
  engine: Engine,
  signed: readonly Signed[],
  edges: Edge[],
): Promise<readonly Signed[]> {
  // Empty bodies say nothing, so two of them are not duplicates.
  const worded = signed.filter(({ hash }) => hash !== emptyHash);
  const first = await engine.plan.cache.claim(worded.map(({ hash, id }) => ({ hash, id })));
  const fresh: Signed[] = [];
  for (const message of worded) {
    const original = first.get(message.hash) ?? message.id;
    if (original === message.id) {
      if (message.shingles.length >= engine.plan.settings.minShingles) fresh.push(message);
      continue;
    }
    if (!engine.sets.join(message.id, original)) continue;
    edges.push({ message_id: message.id, other_id: original, kind: "exact", similarity: 1 });
    engine.counts.exactEdges += 1;
  }
  return fresh;
}

const emptyHash = hashNormalised(new Uint8Array(0));

async function storeSignatures(
  engine: Engine,
  sql: TransactionSql,
  signed: readonly Signed[],
  fresh: readonly Signed[],
): Promise<void> {
  const { schema, settings } = engine.plan;
  const rows = signed.map(({ id, hash, shingles, bodyBytes }) => ({
    message_id: id,
    normalised_sha256: Buffer.from(hash, "hex"),
    shingles: shingles.length,
    body_bytes: bodyBytes,
  }));
  await sql`insert into ${sql(schema)}.signatures ${sql(rows)}`;
  const buckets: string[] = [];
  const ids: string[] = [];
  for (const { id, shingles } of fresh) {
    for (const key of new Set(
      bucketKeys(engine.signature(shingles), settings.bands, settings.rows),
    )) {
      buckets.push(key);
      ids.push(id);
    }
  }
  if (buckets.length === 0) return;
  await sql`
    insert into ${sql(schema)}.lsh_buckets (bucket, message_id)
    select * from unnest(${sql.array(buckets)}::bigint[], ${sql.array(ids)}::bigint[])`;
}

/** Messages that share a band and came before, as far as their lengths allow the threshold at all. */
async function findCandidates(
  engine: Engine,
  sql: TransactionSql,
  fresh: readonly Signed[],
): Promise<readonly Candidate[]> {
  const { schema, settings } = engine.plan;
  const ids = sql.array(fresh.map(({ id }) => id));
  return await sql<Candidate[]>`
    select id::text as id, other::text as other, shingles, bytes from (
      select p.id, p.other, o.shingles, o.body_bytes as bytes,
        row_number() over (partition by p.id order by p.shared desc, p.other) as place
      from (
        select mine.message_id as id, theirs.message_id as other, count(*) as shared
        from ${sql(schema)}.lsh_buckets mine
        join ${sql(schema)}.lsh_buckets theirs
          on theirs.bucket = mine.bucket and theirs.message_id <> mine.message_id
        where mine.message_id = any(${ids}::bigint[])
          and (theirs.message_id < mine.message_id or theirs.message_id <> all(${ids}::bigint[]))
        group by 1, 2
      ) p
      join ${sql(schema)}.signatures s on s.message_id = p.id
      join ${sql(schema)}.signatures o on o.message_id = p.other
      where least(s.shingles, o.shingles) >= ${settings.threshold}::float8 * greatest(s.shingles, o.shingles)
    ) ranked where place <= ${maxCandidates} order by ranked.id, place`;
}

async function shinglesFor(engine: Engine, id: string): Promise<Uint32Array> {
  const known = engine.shingles.get(id);
  if (known !== undefined) return known;
  const body = (await engine.plan.readBodies([id])).get(id) ?? new Uint8Array(0);
  const shingles = shinglesOf(normaliseBody(body), engine.plan.settings.shingleWords);
  engine.shingles.set(id, shingles);
  return shingles;
}

/** Reads what the cache lacks in one go, as far as the cache can hold it. */
async function prefetch(engine: Engine, candidates: readonly Candidate[]): Promise<void> {
  const wanted = new Map<string, number>();
  let bytes = 0;
  for (const candidate of candidates) {
    if (wanted.has(candidate.other) || engine.shingles.get(candidate.other) !== undefined) continue;
    bytes += candidate.bytes + candidate.shingles * 4;
    if (bytes > shingleCacheBytes / 2) break;
    wanted.set(candidate.other, candidate.shingles);
  }
  if (wanted.size === 0) return;
  for (const [id, body] of await engine.plan.readBodies([...wanted.keys()])) {
    const shingles = shinglesOf(normaliseBody(body), engine.plan.settings.shingleWords);
    engine.shingles.set(id, shingles);
  }
}

async function linkNear(
  engine: Engine,
  candidates: readonly Candidate[],
  edges: Edge[],
): Promise<void> {
  await prefetch(engine, candidates);
  engine.counts.candidates += candidates.length;
  for (const { id, other } of candidates) {
    if (engine.sets.find(id) === engine.sets.find(other)) continue;
    const similarity = jaccard(await shinglesFor(engine, id), await shinglesFor(engine, other));
    engine.counts.compared += 1;
    if (similarity < engine.plan.settings.threshold) continue;
    engine.sets.join(id, other);
    edges.push({ message_id: id, other_id: other, kind: "near", similarity });
    engine.counts.nearEdges += 1;
  }
}

async function runBatch(
  engine: Engine,
  sql: TransactionSql,
  ids: readonly string[],
): Promise<void> {
  const { plan, counts } = engine;
  // Two runs at once would each miss what the other is about to commit.
  await sql`select pg_advisory_xact_lock(hashtextextended(${`${plan.schema}.dedup`}, 0))`;
  const bodies = await plan.readBodies(ids);
  const signed = ids.flatMap((id) => {
    const body = bodies.get(id);
    return body === undefined ? [] : [sign(engine, id, body)];
  });
  if (signed.length === 0) return;
  const edges: Edge[] = [];
  const fresh = await linkExact(engine, signed, edges);
  await storeSignatures(engine, sql, signed, fresh);
  if (fresh.length > 0) await linkNear(engine, await findCandidates(engine, sql, fresh), edges);
  if (edges.length > 0)
    await sql`insert into ${sql(plan.schema)}.duplicate_edges ${sql([...edges])}`;
  counts.messages += signed.length;
}

async function loadSets(sql: Sql, schema: string): Promise<UnionFind> {
  const sets = createUnionFind();
  const edges = sql<{ a: string; b: string }[]>`
    select message_id::text as a, other_id::text as b from ${sql(schema)}.duplicate_edges`;
  for await (const rows of edges.cursor(5_000)) for (const { a, b } of rows) sets.join(a, b);
  return sets;
}

/** Looks at every message of the plan's pages. Returns what this call did. */
export async function findDuplicates(sql: Sql, plan: DedupPlan): Promise<DedupCounts> {
  const { permutations, seed } = plan.settings;
  const engine: Engine = {
    plan,
    sets: await loadSets(sql, plan.schema),
    shingles: createLruCache<string, Uint32Array>({
      maxBytes: shingleCacheBytes,
      sizeOf: (shingles) => shingles.byteLength + 64,
    }),
    counts: { messages: 0, exactEdges: 0, nearEdges: 0, candidates: 0, compared: 0 },
    signature: createMinHasher(permutations, seed).signature,
  };
  for await (const batch of walkBodies(plan.nextPage)) {
    plan.signal.throwIfAborted();
    const ids = batch.map(({ id }) => id);
    await sql.begin((transaction) => runBatch(engine, transaction, ids));
    await plan.onBatch({ lastId: ids.at(-1) ?? "-1", messages: ids.length });
  }
  return engine.counts;
}
