/**
 * Week 3 on real mails: design, cache, engine and its accuracy; killed, incremental, with and without Redis.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { Redis } from "ioredis";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import {
  chooseThreshold,
  designDeduplicationSystem,
} from "../../../actors/agents/architect/design-deduplication-system.ts";
import { deployRedisCluster } from "../../../actors/agents/infrastructure/deploy-redis-cluster.ts";
import { implementDeduplicationEngine } from "../../../actors/agents/optimizer/implement-deduplication-engine.ts";
import { testDeduplicationAccuracy } from "../../../actors/agents/testbed/test-deduplication-accuracy.ts";
import { type DedupSettings, dedupSettings } from "../../../actors/archive/dedup-settings.ts";
import type { Capability } from "../../../actors/define-agent.ts";
import type { AgentContext } from "../../../actors/ports.ts";
import { createAgentContext } from "../../support/agent-context.ts";
import { addMails, loadMails, type Mail } from "../../support/mail-archive.ts";
import { createTestDatabase, type TestDatabase } from "../../support/postgres.ts";
import { startRedis, type TestRedis } from "../../support/redis.ts";

const settings: DedupSettings = dedupSettings.parse({
  shingleWords: 4,
  permutations: 128,
  bands: 32,
  rows: 4,
  threshold: 0.75,
  minShingles: 12,
  seed: 1,
  bloom: { expectedMembers: 5_000, falsePositiveRate: 0.01 },
});

let redis: TestRedis;
let database: TestDatabase;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(async () => {
  await redis.stop();
});
beforeEach(async () => {
  database = await createTestDatabase();
});
afterEach(async () => {
  await database.drop();
});

const hostWith = (redisUrl: string | undefined): Partial<AgentContext> => ({
  host: { dataDir: "/tmp/spectra-test", embeddedDatabase: false, redisUrl },
});

async function run(
  action: Capability,
  input: object = { settings },
  overrides: Partial<AgentContext> = {},
): Promise<Record<string, unknown>> {
  const ctx = { ...createAgentContext(database.sql), ...overrides };
  return action.output.parse(await action.run(ctx, action.input.parse(input))) as Record<
    string,
    unknown
  >;
}

/** All results of the engine as one hash. */
async function resultState(): Promise<string> {
  const clusters = await database.sql`select * from archive.duplicate_clusters order by id`;
  const members = await database.sql`select * from archive.duplicates order by message_id`;
  const edges = await database.sql`select * from archive.duplicate_edges order by 1, 2`;
  return createHash("sha256")
    .update(JSON.stringify([clusters, members, edges]))
    .digest("hex");
}

/** The same mail as another relay delivered it, and with two words changed. */
function copiesOf(mail: Mail): readonly [Mail, Mail] {
  const text = mail.body.toString("latin1");
  const relayed = `Received: from elsewhere\n${text.replace(/^From .*\n/, "")}\n\n`;
  const changed = text.replace(/\b(the|and) (\w+)/i, "$1 entirely different words $2");
  return [
    { ...mail, group: "copies", body: Buffer.from(relayed, "latin1") },
    { ...mail, group: "copies", body: Buffer.from(changed, "latin1") },
  ];
}

const clusterOf = async (id: number): Promise<number | undefined> => {
  const [row] = await database.sql<{ cluster: number }[]>`
    select cluster_id::int as cluster from archive.duplicates where message_id = ${id}`;
  return row?.cluster;
};

describe("ARCHITECT.design_deduplication_system", () => {
  it("designs from the profile, and what it expects agrees with its own figures", async () => {
    await loadMails(database.sql, 400);
    const output = await run(designDeduplicationSystem, {});
    const designed = dedupSettings.parse(output["settings"]);
    expect(designed.bands * designed.rows).toBeLessThanOrEqual(designed.permutations);
    expect(designed.threshold).toBeGreaterThanOrEqual(0.7);
    expect(output["expected"]).toMatchObject({ recallAtThreshold: expect.any(Number) });
    const { recallAtThreshold } = output["expected"] as { recallAtThreshold: number };
    expect(recallAtThreshold).toBeGreaterThanOrEqual(0.999);
  });

  it("puts the threshold where the fewest pairs lie", () => {
    const near = (value: number): number[] => [value - 0.01, value, value + 0.01];
    expect(chooseThreshold([])).toEqual({ threshold: 0.8, pairsNearby: 0 });
    const crowded = [0.7, 0.75, 0.8, 0.9].flatMap(near);
    expect(chooseThreshold(crowded)).toEqual({ threshold: 0.85, pairsNearby: 0 });
  });
});

describe.each(["postgres", "redis"] as const)("with the cache in %s", (kind) => {
  const host = (): Partial<AgentContext> => hostWith(kind === "redis" ? redis.url : undefined);

  it("fills the cache and reports what is there", async () => {
    await loadMails(database.sql, 200);
    const output = await run(deployRedisCluster, { settings }, host());
    expect(output).toMatchObject({ cache: kind, messages: 200, bloom: { falseNegatives: 0 } });
    expect(output["cachedHashes"]).toBe(output["distinctHashes"]);
    if (kind === "redis") expect(output["redis"]).toMatchObject({ role: "master" });
    else expect(output["note"]).toContain("REDIS_URL is not set");
    expect(await run(deployRedisCluster, { settings }, host())).toMatchObject({
      cachedHashes: output["cachedHashes"],
    });
    await deployRedisCluster.compensate?.(createAgentContext(database.sql, host()), { settings });
    expect(await run(implementDeduplicationEngine, { settings }, host())).toMatchObject({
      messages: 200,
    });
  });

  it("finds relayed and edited copies of a mail in another conversation", async () => {
    const mails = await loadMails(database.sql, 300);
    const long = mails.findIndex(
      ({ body }) => body.length > 4_000 && /\bthe \w+/.test(String(body)),
    );
    await addMails(database.sql, copiesOf(mails[long]!), 1_001, 100);
    await run(deployRedisCluster, { settings }, host());
    const output = await run(implementDeduplicationEngine, { settings }, host());
    expect(await clusterOf(1_001)).toBe(await clusterOf(long + 1));
    expect(await clusterOf(1_002)).toBe(await clusterOf(long + 1));
    expect(await clusterOf(long + 1)).toBeLessThanOrEqual(long + 1);
    expect(output["acrossConversations"]).toBeGreaterThanOrEqual(1);
  });

  it("reaches the target on planted truth, and leaves nothing behind", async () => {
    await loadMails(database.sql, 500);
    const keysBefore = await redisKeys();
    const output = await run(testDeduplicationAccuracy, { settings, planted: 220 }, host());
    expect(output["accuracy"]).toBeGreaterThanOrEqual(0.995);
    expect(output["precision"]).toBe(1);
    expect(output["messages"]).toBe(220);
    await expectNoScratch();
    expect(await redisKeys()).toEqual(keysBefore);
  });
});

async function expectNoScratch(): Promise<void> {
  const schemas = await database.sql`
    select nspname from pg_namespace where nspname like 'dedup_scratch%'`;
  expect([...schemas]).toEqual([]);
}

async function redisKeys(): Promise<readonly string[]> {
  const client = new Redis(redis.url);
  const keys = await client.keys("*");
  client.disconnect();
  return keys.sort();
}

describe("OPTIMIZER.implement_deduplication_engine", () => {
  it.each([1, 2])("ends in the same state when it is stopped after batch %d", async (batch) => {
    await loadMails(database.sql, 1_300);
    await run(implementDeduplicationEngine);
    const undisturbed = await resultState();
    await implementDeduplicationEngine.compensate?.(createAgentContext(database.sql), { settings });
    const stop = new AbortController();
    let seen = 0;
    const checkpoint = async (): Promise<void> => {
      seen += 1;
      if (seen === batch) stop.abort(new Error("stopped by the test"));
    };
    await expect(
      run(implementDeduplicationEngine, { settings }, { signal: stop.signal, checkpoint }),
    ).rejects.toThrow("stopped by the test");
    const [half] = await database.sql`select count(*)::int as n from archive.signatures`;
    expect(half!["n"]).toBeGreaterThan(0);
    expect(half!["n"]).toBeLessThan(1_300);
    await run(implementDeduplicationEngine, { settings }, { attempt: 2 });
    expect(await resultState()).toBe(undisturbed);
  });

  it("looks only at new messages, and joins them to known clusters", async () => {
    const mails = await loadMails(database.sql, 300);
    await run(implementDeduplicationEngine);
    const long = mails.findIndex(
      ({ body }) => body.length > 4_000 && /\bthe \w+/.test(String(body)),
    );
    await addMails(database.sql, copiesOf(mails[long]!), 1_001, 100);
    const output = await run(implementDeduplicationEngine);
    expect(output).toMatchObject({ signedByThisAttempt: 2, messages: 302, restarted: false });
    expect(await clusterOf(1_001)).toBe(await clusterOf(long + 1));
    expect(await clusterOf(1_002)).toBe(await clusterOf(long + 1));
    const again = await resultState();
    expect(await run(implementDeduplicationEngine)).toMatchObject({ signedByThisAttempt: 0 });
    expect(await resultState()).toBe(again);
  });

  it("puts back what the cache lost before it looks at new messages", async () => {
    const mails = await loadMails(database.sql, 200);
    const host = hostWith(redis.url);
    await run(implementDeduplicationEngine, { settings }, host);
    const client = new Redis(redis.url);
    await client.flushall();
    client.disconnect();
    await addMails(database.sql, [copiesOf(mails[0]!)[0]], 1_001);
    const output = await run(implementDeduplicationEngine, { settings }, host);
    expect(output["cacheRestored"]).toBeGreaterThan(100);
    expect(await clusterOf(1_001)).toBe(await clusterOf(1));
  });

  it("starts anew with other settings", async () => {
    await loadMails(database.sql, 200);
    await run(implementDeduplicationEngine);
    const other = { ...settings, threshold: 0.9 };
    const output = await run(implementDeduplicationEngine, { settings: other });
    expect(output).toMatchObject({ restarted: true, signedByThisAttempt: 200 });
  });

  it("does not take two empty bodies for duplicates", async () => {
    await loadMails(database.sql, 0);
    const empty = { group: "g", name: "n", body: Buffer.from("From: a\nTo: b\n\n") };
    await addMails(database.sql, [empty, { ...empty, body: Buffer.alloc(0) }]);
    expect(await run(implementDeduplicationEngine)).toMatchObject({ clusters: 0, messages: 2 });
  });
});

describe("TESTBED.test_deduplication_accuracy", () => {
  it("fails with bands that cannot find near duplicates, and still cleans up", async () => {
    await loadMails(database.sql, 500);
    const blind = { ...settings, bands: 2, rows: 64 };
    await expect(
      run(testDeduplicationAccuracy, { settings: blind, planted: 220 }),
    ).rejects.toMatchObject({ code: "DEDUP_BELOW_TARGET" });
    await expectNoScratch();
  });

  it("cleans up when it is stopped", async () => {
    await loadMails(database.sql, 500);
    const stop = new AbortController();
    const heartbeat = (): void => stop.abort(new Error("stopped by the test"));
    const limited = { settings, planted: 220 };
    await expect(
      run(testDeduplicationAccuracy, limited, { signal: stop.signal, heartbeat }),
    ).rejects.toThrow();
    await expectNoScratch();
  });

  it("refuses an archive with too little text", async () => {
    await loadMails(database.sql, 20);
    await expect(run(testDeduplicationAccuracy)).rejects.toMatchObject({ code: "TOO_LITTLE_TEXT" });
  });
});
