/**
 * Bench of the engine on chains of ten tasks: throughput, latency of one alone, and the start.
 *
 * @module
 */

import { setTimeout as sleep } from "node:timers/promises";
import { openJobQueue, type QueueBackend } from "../../../runtime/queue/job-queue.ts";
import type { Figure } from "../figure.ts";
import { silent, startRedis } from "../queue.ts";
import { type BenchServer, startBenchServer } from "../server.ts";
import { type BenchHost, by, chainOf, commitMs, commits, openBenchHost } from "./host.ts";

const chainLength = 10;
const atOnce = 16;
const chainsPerRun = 160;
/** What PostgreSQL's statistics need to be written. */
const statisticsMs = 1_500;

const startIsSlow =
  "A start is six statements, and its run is loaded again by four more. One function that inserts, and handing the new run to the engine, is what to try first; how much of the gap that closes is not measured.";
const queueIsSlow =
  "Per task there are a commit that dispatches, one that takes the attempt and one that ends it, and BullMQ's own two, each with its share of JavaScript on one core; the start of each chain is the rest. See the start below.";

const queued = chainOf(chainLength, false);
const local = chainOf(chainLength, true);

export async function benchChains(runs: number): Promise<Figure[]> {
  await using server = await startBenchServer();
  const postgresQueue = { type: "postgres", target: { type: "url", url: server.url } } as const;
  const figures = await benchBackend("PostgreSQL", postgresQueue, 8, server, runs);
  const redis = await startRedis();
  if (redis !== undefined) {
    const redisQueue = { type: "redis", url: redis.url } as const;
    figures.push(...(await benchBackend("Redis", redisQueue, 3, server, runs)));
    redis.stop();
  }
  figures.push(...(await benchLocal(server, postgresQueue, runs)));
  return figures;
}

async function benchBackend(
  name: string,
  backend: QueueBackend,
  goalMs: number,
  server: BenchServer,
  runs: number,
): Promise<Figure[]> {
  const raw: number[] = [];
  const rate: number[] = [];
  const alone: number[] = [];
  for (let run = 0; run < runs; run += 1) {
    raw.push(await rawJobsPerSecond(backend, `bench-raw-${process.pid}-${run}`));
    await using host = await openBenchHost(server.url, backend, [queued]);
    await host.complete(queued.id);
    rate.push(await tasksPerSecond(host, queued.id));
    alone.push(await msPerTask(host, queued.id));
  }
  return [
    {
      name: `tasks of chains, ${atOnce} at a time, through the queue in ${name}, against raw jobs`,
      values: rate.map((one, index) => one / (raw[index] ?? Number.NaN)),
      unit: "×",
      goal: { atLeast: 0.6 },
      ifMissed: queueIsSlow,
      raw: { name: "raw jobs per second", value: middle(raw) },
    },
    { name: `the same in tasks per second, ${name}`, values: rate, unit: "/s" },
    {
      name: `one chain alone through the queue in ${name}, per task`,
      values: alone,
      unit: "ms",
      goal: { atMost: goalMs },
      ifMissed: queueIsSlow,
    },
  ];
}

async function benchLocal(
  server: BenchServer,
  backend: QueueBackend,
  runs: number,
): Promise<Figure[]> {
  const rate: number[] = [];
  const alone: number[] = [];
  const perTask: number[] = [];
  const starts: number[] = [];
  const slowest: number[] = [];
  const commit: number[] = [];
  for (let run = 0; run < runs; run += 1) {
    const oneCommitMs = await commitMs(server.url);
    commit.push(oneCommitMs);
    await using host = await openBenchHost(server.url, backend, [local]);
    await host.complete(local.id);
    const before = await commits(server.adminUrl, server.database);
    rate.push(await tasksPerSecond(host, local.id));
    await sleep(statisticsMs);
    const made = (await commits(server.adminUrl, server.database)) - before;
    perTask.push(made / (chainsPerRun * chainLength));
    alone.push((await msPerTask(host, local.id)) / oneCommitMs);
    const times = await startTimes(host);
    starts.push((times[Math.floor(times.length / 2)] ?? Number.NaN) / oneCommitMs);
    slowest.push(times[Math.floor(times.length * 0.99)] ?? Number.NaN);
  }
  const raw = { name: "one commit, ms", value: middle(commit) };
  return [
    {
      name: `local tasks of chains, ${atOnce} at a time`,
      values: rate,
      unit: "/s",
      goal: { atLeast: 4_000 },
      ifMissed: startIsSlow,
    },
    { name: "transactions of the server for each of them", values: perTask, unit: "" },
    {
      name: "one chain of local tasks alone, per task, against one commit",
      values: alone,
      unit: "×",
      goal: { atMost: 1.5 },
      ifMissed: startIsSlow,
      raw,
    },
    {
      name: "start acknowledged, p50, against one commit",
      values: starts,
      unit: "×",
      goal: { atMost: 1.5 },
      ifMissed: startIsSlow,
      raw,
    },
    {
      name: "start acknowledged, p99",
      values: slowest,
      unit: "ms",
      goal: { atMost: 20 },
      ifMissed: startIsSlow,
    },
  ];
}

async function tasksPerSecond(host: BenchHost, workflow: string): Promise<number> {
  const startMs = performance.now();
  let left = chainsPerRun;
  await Promise.all(
    Array.from({ length: atOnce }, async () => {
      while (left > 0) {
        left -= 1;
        await host.complete(workflow);
      }
    }),
  );
  return (chainsPerRun * chainLength) / ((performance.now() - startMs) / 1_000);
}

/** Median over chains that run alone, one after another. */
async function msPerTask(host: BenchHost, workflow: string): Promise<number> {
  const times: number[] = [];
  for (let round = 0; round < 20; round += 1) {
    const startMs = performance.now();
    await host.complete(workflow);
    times.push((performance.now() - startMs) / chainLength);
  }
  return middle(times);
}

/** Sorted milliseconds until the start of a run was acknowledged. */
async function startTimes(host: BenchHost): Promise<number[]> {
  const times: number[] = [];
  for (let round = 0; round < 200; round += 1) {
    const startMs = performance.now();
    await host.workflows.start({ workflow: local.id }, by);
    times.push(performance.now() - startMs);
  }
  return times.sort((a, b) => a - b);
}

/** Jobs of our queue that do nothing, added in batches of 16 as a turn adds them. */
async function rawJobsPerSecond(backend: QueueBackend, name: string): Promise<number> {
  const total = 1_600;
  let done = 0;
  let finish: () => void = () => undefined;
  const finished = new Promise<void>((resolve) => {
    finish = resolve;
  });
  const queue = await openJobQueue({
    name,
    backend,
    concurrency: 32,
    log: silent,
    process: async () => {
      done += 1;
      if (done === total) finish();
    },
  });
  const startMs = performance.now();
  for (let first = 0; first < total; first += atOnce) {
    await queue.add(
      Array.from({ length: atOnce }, (_, index) => ({
        workflowId: name,
        taskKey: `t${first + index}`,
        attempt: 1,
        priority: 3,
      })),
    );
  }
  await finished;
  const seconds = (performance.now() - startMs) / 1_000;
  await queue.close();
  return total / seconds;
}

function middle(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}
