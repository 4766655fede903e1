/**
 * INFRASTRUCTURE.deploy_redis_cluster: fills the hash cache and the bloom filter of deduplication, in
 * Redis where one is configured, else in PostgreSQL.
 *
 * @module
 */

import { randomBytes } from "node:crypto";
import type { Sql } from "postgres";
import { z } from "zod";
import { createBloomFilter, expectedFalsePositiveRate } from "../../archive/bloom-filter.ts";
import { type BodyRef, walkBodies } from "../../archive/body-batches.ts";
import { openBodyStore } from "../../archive/body-store.ts";
import { prepareDedup } from "../../archive/dedup-schema.ts";
import { type DedupSettings, dedupSettings } from "../../archive/dedup-settings.ts";
import { hashNormalised, normaliseBody } from "../../archive/dedup-text.ts";
import type { HashCache } from "../../archive/hash-cache.ts";
import { openHashCache } from "../../archive/open-hash-cache.ts";
import { percentile } from "../../archive/percentile.ts";
import { readRedisFacts } from "../../archive/redis-facts.ts";
import { capability } from "../../define-agent.ts";
import type { AgentContext } from "../../ports.ts";

const pageRows = 2_000;
const latencyProbes = 200;
const falsePositiveProbes = 20_000;

const input = z.object({ settings: dedupSettings });

const output = z.object({
  cache: z.enum(["redis", "postgres"]),
  note: z.string(),
  redis: z
    .object({
      version: z.string(),
      mode: z.string(),
      role: z.string(),
      appendOnly: z.boolean(),
      snapshotOk: z.boolean(),
      maxMemoryBytes: z.number(),
      usedMemoryBytes: z.number(),
      evictionPolicy: z.string(),
      warnings: z.array(z.string()),
    })
    .nullable(),
  messages: z.number(),
  distinctHashes: z.number(),
  cachedHashes: z.number(),
  lookUpP50Ms: z.number(),
  lookUpP95Ms: z.number(),
  bloom: z.object({
    bits: z.number(),
    hashes: z.number(),
    sizeBytes: z.number(),
    falsePositiveRateExpected: z.number(),
    falsePositiveRateMeasured: z.number(),
    /** Of all cached hashes; 0, or the filter is broken and the task fails. */
    falseNegatives: z.number(),
  }),
  durationMs: z.number(),
});

const empty = hashNormalised(new Uint8Array(0));

async function messagePage(sql: Sql, after: string): Promise<readonly BodyRef[]> {
  return await sql<BodyRef[]>`
    select m.id::text as id, m.body_bytes as "sizeBytes" from archive.messages m
    where m.id > ${after} order by m.id limit ${pageRows}`;
}

/** Claims the hash of every message; returns the distinct ones. Claims are idempotent, so it may run again. */
async function loadHashes(ctx: AgentContext, cache: HashCache) {
  const store = openBodyStore(ctx.sql, { cacheBytes: 0 });
  const [row] = await ctx.sql<{ total: number }[]>`
    select count(*)::float8 as total from archive.messages`;
  const hashes = new Set<string>();
  let messages = 0;
  for await (const batch of walkBodies((after) => messagePage(ctx.sql, after))) {
    ctx.signal.throwIfAborted();
    const bodies = await store.read(batch.map(({ id }) => id));
    const entries = [...bodies]
      .map(([id, body]) => ({ id, hash: hashNormalised(normaliseBody(body)) }))
      .filter(({ hash }) => hash !== empty);
    await cache.claim(entries);
    for (const { hash } of entries) hashes.add(hash);
    messages += batch.length;
    ctx.heartbeat({ done: messages, total: row?.total ?? 0, message: `filling ${cache.kind}` });
  }
  return { hashes, messages };
}

async function timeLookUps(ctx: AgentContext, cache: HashCache, hashes: ReadonlySet<string>) {
  const latencies: number[] = [];
  for (const hash of hashes) {
    if (latencies.length >= latencyProbes) break;
    const startedMs = ctx.clock.monotonicMs();
    await cache.lookUp([hash]);
    latencies.push(ctx.clock.monotonicMs() - startedMs);
  }
  return { lookUpP50Ms: percentile(latencies, 0.5), lookUpP95Ms: percentile(latencies, 0.95) };
}

async function loadFilter(
  cache: HashCache,
  settings: DedupSettings,
  hashes: ReadonlySet<string>,
): Promise<z.output<typeof output>["bloom"]> {
  const { expectedMembers, falsePositiveRate } = settings.bloom;
  const filter = createBloomFilter(Math.max(expectedMembers, hashes.size), falsePositiveRate);
  for (const hash of hashes) filter.add(hash);
  const bytes = filter.toBytes();
  await cache.saveFilter(bytes);
  let falsePositives = 0;
  for (let probe = 0; probe < falsePositiveProbes; probe += 1) {
    if (filter.has(randomBytes(32).toString("hex"))) falsePositives += 1;
  }
  let falseNegatives = 0;
  for (const hash of hashes) if (!filter.has(hash)) falseNegatives += 1;
  return {
    bits: filter.bits,
    hashes: filter.hashes,
    sizeBytes: bytes.byteLength,
    falsePositiveRateExpected: expectedFalsePositiveRate(filter.bits, filter.hashes, hashes.size),
    falsePositiveRateMeasured: falsePositives / falsePositiveProbes,
    falseNegatives,
  };
}

async function run(
  ctx: AgentContext,
  { settings }: z.output<typeof input>,
): Promise<z.input<typeof output>> {
  const startedMs = ctx.clock.monotonicMs();
  const { redisUrl } = ctx.host;
  const facts = redisUrl === undefined ? null : await readRedisFacts(redisUrl);
  const { namespace } = await prepareDedup(ctx.sql, "archive", settings);
  const cache = await openHashCache(ctx.sql, { redisUrl, schema: "archive", namespace });
  try {
    const { hashes, messages } = await loadHashes(ctx, cache);
    const bloom = await loadFilter(cache, settings, hashes);
    return {
      cache: cache.kind,
      note:
        cache.kind === "redis"
          ? "hash cache and bloom filter are in Redis"
          : "REDIS_URL is not set: hash cache and bloom filter are in PostgreSQL",
      redis: facts === null ? null : { ...facts, warnings: [...facts.warnings] },
      messages,
      distinctHashes: hashes.size,
      cachedHashes: await cache.count(),
      ...(await timeLookUps(ctx, cache, hashes)),
      bloom,
      durationMs: ctx.clock.monotonicMs() - startedMs,
    };
  } finally {
    await cache.close();
  }
}

/** Empties this archive's part of the cache. */
async function compensate(ctx: AgentContext, { settings }: z.output<typeof input>): Promise<void> {
  const { namespace } = await prepareDedup(ctx.sql, "archive", settings);
  const cache = await openHashCache(ctx.sql, {
    redisUrl: ctx.host.redisUrl,
    schema: "archive",
    namespace,
  });
  try {
    await cache.clear();
  } finally {
    await cache.close();
  }
}

export const deployRedisCluster = capability({
  description:
    "Checks Redis where one is configured and fills the hash cache and bloom filter there, else in PostgreSQL.",
  input,
  output,
  run,
  compensate,
});
