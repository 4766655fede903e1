import { Redis } from "ioredis";
import { describe, expect, test } from "vitest";
import { by, chains, gate, openFaultDatabase, watched } from "../../support/fault-run.ts";
import { startRedis, type TestRedis } from "../../support/redis.ts";
import { soon } from "../../support/soon.ts";
import { openTestHost } from "../../support/workflow-host.ts";

/** Jobs that a test host takes at once; what is dispatched beyond waits in Redis. */
const inHand = 8;
const width = 12;

/** Empties Redis in one way or another while some jobs are in hand and others wait there. */
async function check(lose: (redis: TestRedis) => Promise<void>): Promise<void> {
  await using database = await openFaultDatabase();
  await using redis = await startRedis();
  const lost = gate();
  const { runAgent, calls } = watched(async () => {
    await lost.passed;
    return { type: "succeeded", output: null };
  });
  {
    await using node = await openTestHost({
      url: database.url,
      queue: { type: "redis", url: redis.url },
      agentLimit: width,
      runAgent,
    });
    const { id } = await node.workflows.start({ workflow: chains(width, 2) }, by);
    await soon(async () =>
      (await node.workflows.tasks(id))?.map(({ status }) => status).sort(),
    ).toEqual([
      ...Array.from({ length: width }, () => "blocked"),
      ...Array.from({ length: width - inHand }, () => "dispatched"),
      ...Array.from({ length: inHand }, () => "running"),
    ]);
    await lose(redis);
    lost.open();
    await database.completed(id);
    expect(calls.map(({ taskKey }) => taskKey)).toHaveLength(2 * width);
    expect(calls.every(({ attempt }) => attempt === 1)).toBe(true);
  }
}

describe.concurrent("engine on Redis", () => {
  test("completes when Redis forgets every job", async () => {
    await check(async ({ url }) => {
      const client = new Redis(url);
      expect(await client.flushall()).toBe("OK");
      client.disconnect();
    });
  });

  test("stops while Redis is away, and the next start completes what was not sent", async () => {
    await using database = await openFaultDatabase();
    await using redis = await startRedis();
    const queue = { type: "redis", url: redis.url } as const;
    const { runAgent, calls } = watched(async () => ({ type: "succeeded", output: null }));
    let id = "";
    {
      await using node = await openTestHost({ url: database.url, queue, runAgent });
      await redis.kill();
      ({ id } = await node.workflows.start({ workflow: chains(2, 2) }, by));
      await soon(async () => (await node.workflows.tasks(id))?.[0]?.status).toBe("dispatched");
    }
    expect(calls).toEqual([]);
    await redis.restart();
    {
      await using _ = await openTestHost({ url: database.url, queue, runAgent });
      await database.completed(id);
    }
    expect(calls).toHaveLength(4);
  });

  test("completes when Redis is killed and comes back empty", async () => {
    await check(async (redis) => {
      const { pid } = redis;
      await redis.kill();
      await redis.restart();
      expect(redis.pid).not.toBe(pid);
    });
  });
});
