/**
 * Bench of the engine on large runs: long chains, wide fan-outs, and many runs that wait.
 *
 * @module
 */

import { setTimeout as sleep } from "node:timers/promises";
import { defineWorkflow, param } from "../../../actors/define-workflow.ts";
import type { Figure } from "../figure.ts";
import { type BenchServer, startBenchServer } from "../server.ts";
import { type BenchHost, by, chainOf, commits, openBenchHost } from "./host.ts";

const short = chainOf(1_000, true);
const long = chainOf(10_000, true);
const wideItems = 2_000;
const fan = defineWorkflow({
  id: "fan",
  params: ["items"],
  maxParallel: 64,
  tasks: {
    each: { do: "WORKER.add", local: true, forEach: param("items"), with: { n: 1 } },
    last: { do: "WORKER.add", local: true, after: ["each"], with: { n: 1 } },
  },
});
const waiting = defineWorkflow({ id: "waiting", tasks: { wait: { signal: "go" } } });
/** Runs that wait; `SPECTRA`'s goal is 100,000, which takes this bench some minutes to start. */
const waitingRuns = 10_000;
const idleSeconds = 20;

export async function benchWide(runs: number): Promise<Figure[]> {
  await using server = await startBenchServer();
  const backend = { type: "postgres", target: { type: "url", url: server.url } } as const;
  const perTaskShort: number[] = [];
  const growth: number[] = [];
  const fanMs: number[] = [];
  for (let run = 0; run < runs; run += 1) {
    await using host = await openBenchHost(server.url, backend, [short, long, fan]);
    const shortMs = (await timed(() => host.complete(short.id))) / 1_000;
    const longMs = (await timed(() => host.complete(long.id))) / 10_000;
    perTaskShort.push(shortMs);
    growth.push(longMs / shortMs);
    fanMs.push((await timed(() => fanOut(host))) / wideItems);
  }
  return [
    { name: "one chain of 1,000 local tasks, per task", values: perTaskShort, unit: "ms" },
    {
      name: "one chain of 10,000 against one of 1,000, per task",
      values: growth,
      unit: "×",
      goal: { atMost: 1.2 },
    },
    { name: "fan-out over 2,000 items, per item", values: fanMs, unit: "ms" },
    ...(await benchWaiting(server)),
  ];
}

async function fanOut(host: BenchHost): Promise<void> {
  const items = Array.from({ length: wideItems }, (_, index) => index);
  const { id } = await host.workflows.start({ workflow: fan.id, input: { items } }, by);
  for (;;) {
    const view = await host.workflows.get(id);
    if (view?.status === "completed") return;
    if (view?.status === "failed") throw new Error("The fan-out failed");
    await sleep(50);
  }
}

/** Memory and queries of a node whose runs all wait for a signal. */
async function benchWaiting(server: BenchServer): Promise<Figure[]> {
  const backend = { type: "postgres", target: { type: "url", url: server.url } } as const;
  await using host = await openBenchHost(server.url, backend, [waiting]);
  globalThis.gc?.();
  const before = process.memoryUsage().rss;
  for (let first = 0; first < waitingRuns; first += 100) {
    await Promise.all(
      Array.from({ length: 100 }, () => host.workflows.start({ workflow: waiting.id }, by)),
    );
  }
  await sleep(3_000);
  globalThis.gc?.();
  const bytes = process.memoryUsage().rss - before;
  const started = await commits(server.adminUrl, server.database);
  await sleep(idleSeconds * 1_000);
  const made = (await commits(server.adminUrl, server.database)) - started;
  return [
    { name: "memory of each waiting run", values: [bytes / waitingRuns / 1_024], unit: "KiB" },
    {
      name: `transactions per second with ${waitingRuns.toLocaleString("en-US")} waiting runs`,
      values: [made / idleSeconds],
      unit: "/s",
      goal: { atMost: 1 },
    },
  ];
}

async function timed(work: () => Promise<void>): Promise<number> {
  const startMs = performance.now();
  await work();
  return performance.now() - startMs;
}
