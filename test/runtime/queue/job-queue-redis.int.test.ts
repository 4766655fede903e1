import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openJobQueue } from "../../../runtime/queue/job-queue.ts";
import { describeJobQueue } from "../../support/queue-conformance.ts";
import { startRedis, type TestRedis } from "../../support/redis.ts";

let redis: TestRedis;

beforeAll(async () => {
  redis = await startRedis();
});

afterAll(async () => {
  await redis.stop();
});

describeJobQueue("redis", () => ({ type: "redis", url: redis.url }));

async function refusal(url: string): Promise<unknown> {
  const silent = () => undefined;
  return await openJobQueue({
    name: "unreachable",
    backend: { type: "redis", url },
    concurrency: 1,
    log: { debug: silent, info: silent, warn: silent, error: silent },
    process: async () => undefined,
  }).then(
    async (queue) => {
      await queue.close();
      return "opened";
    },
    (error: unknown) => error,
  );
}

test("openJobQueue() says at once that Redis does not answer, without the password", async () => {
  await using gone = await startRedis();
  await gone.kill();
  const host = gone.url.slice("redis://".length);
  for (const secret of ["user:s3cret", ":p%40ss@s3cret", "user:a%2Fs3cret"]) {
    const error = await refusal(`redis://${secret}@${host}/2`);
    expect(error).toMatchObject({ name: "QueueError", code: "REDIS_UNREACHABLE", retryable: true });
    const { message } = error as Error;
    expect(message).toContain(`Cannot reach Redis at redis://${host}/2: connect ECONNREFUSED`);
    expect(message).toContain("REDIS_URL");
    expect(message).not.toContain("s3cret");
  }
});

test("openJobQueue() refuses a port that takes the connection and says nothing", async () => {
  const mute = createServer().listen(0, "127.0.0.1");
  await once(mute, "listening");
  const { port } = mute.address() as AddressInfo;
  const error = await refusal(`redis://127.0.0.1:${port}`);
  expect(error).toMatchObject({ code: "REDIS_UNREACHABLE" });
  mute.close();
});
