/**
 * Both hash caches keep the same contract, on real servers.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createBloomFilter, readBloomFilter } from "../../../actors/archive/bloom-filter.ts";
import { prepareDedup } from "../../../actors/archive/dedup-schema.ts";
import { dedupSettings } from "../../../actors/archive/dedup-settings.ts";
import type { HashCache } from "../../../actors/archive/hash-cache.ts";
import { openHashCache } from "../../../actors/archive/open-hash-cache.ts";
import { readRedisFacts } from "../../../actors/archive/redis-facts.ts";
import { createTestDatabase, type TestDatabase } from "../../support/postgres.ts";
import { startRedis, type TestRedis } from "../../support/redis.ts";

const settings = dedupSettings.parse({
  shingleWords: 4,
  permutations: 128,
  bands: 32,
  rows: 4,
  threshold: 0.75,
  minShingles: 12,
  seed: 1,
  bloom: { expectedMembers: 1_000, falsePositiveRate: 0.01 },
});
const hashOf = (value: unknown): string => createHash("sha256").update(String(value)).digest("hex");

let database: TestDatabase;
let redis: TestRedis;

beforeAll(async () => {
  [database, redis] = await Promise.all([createTestDatabase(), startRedis()]);
  await database.sql`create schema archive`;
  await prepareDedup(database.sql, "archive", settings);
});
afterAll(async () => {
  await Promise.all([database.drop(), redis.stop()]);
});

describe.each(["postgres", "redis"] as const)("hash cache in %s", (kind) => {
  let names = 0;
  async function open(namespace = `${kind}-${(names += 1)}`): Promise<HashCache> {
    const redisUrl = kind === "redis" ? redis.url : undefined;
    const cache = await openHashCache(database.sql, { redisUrl, schema: "archive", namespace });
    expect(cache.kind).toBe(kind);
    return cache;
  }

  it("gives the smallest id that was ever claimed for a hash, in any order", async () => {
    const cache = await open();
    const claim = async (id: string) =>
      (await cache.claim([{ hash: hashOf("a"), id }])).get(hashOf("a"));
    expect(await claim("100")).toBe("100");
    expect(await claim("99")).toBe("99");
    expect(await claim("1000")).toBe("99");
    expect(await cache.count()).toBe(1);
    await cache.close();
  });

  it("takes the same hash several times in one call", async () => {
    const cache = await open();
    const hash = hashOf("twice");
    const winners = await cache.claim(["9", "10", "8"].map((id) => ({ hash, id })));
    expect(winners.get(hash)).toBe("8");
    await cache.close();
  });

  it("takes thousands in one call, and looks them up", async () => {
    const cache = await open();
    const entries = Array.from({ length: 2_500 }, (_, at) => ({
      hash: hashOf(at),
      id: String(at + 1),
    }));
    expect((await cache.claim(entries)).size).toBe(2_500);
    expect(await cache.count()).toBe(2_500);
    const found = await cache.lookUp([...entries.map(({ hash }) => hash), hashOf("unknown")]);
    expect(found.size).toBe(2_500);
    expect(found.get(hashOf(1_234))).toBe("1235");
    await cache.close();
  });

  it("keeps namespaces apart, and clears only its own", async () => {
    const [one, other] = [await open(), await open()];
    await one.claim([{ hash: hashOf("x"), id: "1" }]);
    await other.claim([{ hash: hashOf("x"), id: "2" }]);
    await one.saveFilter(Buffer.from("filter"));
    await one.clear();
    expect(await one.count()).toBe(0);
    expect(await one.loadFilter()).toBeUndefined();
    expect((await other.lookUp([hashOf("x")])).get(hashOf("x"))).toBe("2");
    await one.close();
    await other.close();
  });

  it("gives the filter back byte for byte, also to another client", async () => {
    const cache = await open("filter");
    const filter = createBloomFilter(500, 0.01);
    for (let at = 0; at < 500; at += 1) filter.add(hashOf(at));
    await cache.saveFilter(filter.toBytes());
    await cache.close();
    const again = await open("filter");
    const read = readBloomFilter((await again.loadFilter()) ?? Buffer.alloc(0));
    expect(Array.from({ length: 500 }, (_, at) => read?.has(hashOf(at)))).not.toContain(false);
    await again.close();
  });

  it("takes and gives nothing", async () => {
    const cache = await open();
    expect((await cache.claim([])).size).toBe(0);
    expect((await cache.lookUp([])).size).toBe(0);
    await cache.close();
  });
});

describe("openHashCache()", () => {
  it("says that Redis is not there, as something to try again", async () => {
    const options = { redisUrl: "redis://127.0.0.1:1", schema: "archive", namespace: "x" };
    await expect(openHashCache(database.sql, options)).rejects.toMatchObject({
      code: "CACHE_UNREACHABLE",
      retryable: true,
    });
  });
});

describe("readRedisFacts()", () => {
  it("reads the real server, and warns that it has no persistence", async () => {
    const facts = await readRedisFacts(redis.url);
    expect(facts.version).toMatch(/^\d+\.\d+/);
    expect(facts).toMatchObject({
      appendOnly: false,
      role: "master",
      evictionPolicy: "noeviction",
    });
    expect(facts.usedMemoryBytes).toBeGreaterThan(0);
    expect(facts.warnings.join()).toContain("appendonly is off");
  });
});
