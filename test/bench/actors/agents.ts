/**
 * Bench of agents in threads: how soon a killed one serves again, how soon a blocked one is gone,
 * and what an idle one costs.
 *
 * @module
 */

import { setTimeout as sleep } from "node:timers/promises";
import { type AgentsOptions, defaultBackoff } from "../../../runtime/worker/agent/agent-pool.ts";
import { callOf, recordHooks, startTestPool, testAgentUrl } from "../../support/agent-pool.ts";
import { crowd } from "../../support/agents/crowd.ts";
import { ensureBuilt } from "../../support/build.ts";
import { type Figure, median } from "../figure.ts";

const killsPerRun = 20;
/** A spare is made in the background; this is how long nobody needs it. */
const calmMs = 600;
const unresponsiveMs = 1_000;
const crowdSize = 200;

/** No action of the crowd opens a connection. */
const noDatabase = "postgres://nobody@127.0.0.1:1/none";

async function startCrowd(size: number, options: Partial<AgentsOptions>) {
  await ensureBuilt();
  const { agents } = await startTestPool(noDatabase, {
    definitions: crowd.slice(0, size),
    moduleUrl: () => testAgentUrl("crowd"),
    startTimeoutMs: 120_000,
    ...options,
  });
  await agents.allHealthy;
  return agents;
}

export async function benchRecovery(runs: number): Promise<Figure[]> {
  const withSpare = await recoveriesMs(runs, { spares: 1 });
  const without = await recoveriesMs(runs, { spares: 0 });
  return [
    {
      name: "thread killed → the same agent answers its next call, with a warm spare, p50",
      values: withSpare.map((times) => quantile(times, 0.5)),
      unit: "ms",
      goal: { atMost: 30 },
    },
    {
      name: "the same without a spare, p50",
      values: without.map((times) => quantile(times, 0.5)),
      unit: "ms",
    },
    {
      name: "the same without a spare, p99",
      values: without.map((times) => quantile(times, 0.99)),
      unit: "ms",
      goal: { atMost: 250 },
    },
    {
      name: "a call in flight fails after its thread was killed",
      values: await settlesMs(runs),
      unit: "ms",
      goal: { atMost: 100 },
    },
    {
      name: `blocked loop: from its begin to the failed call (limit ${unresponsiveMs} ms)`,
      values: await spinsMs(runs),
      unit: "ms",
      goal: { atMost: 1_500 },
    },
  ];
}

/**
 * For each run the times from a kill to the answer of the next call, with the restart rules as they are by
 * default: each agent dies once, so that nobody waits for the patience with agents that keep crashing.
 */
async function recoveriesMs(runs: number, options: Partial<AgentsOptions>): Promise<number[][]> {
  const times: number[][] = [];
  for (let run = 0; run < runs; run += 1) {
    const agents = await startCrowd(killsPerRun, { backoff: defaultBackoff, ...options });
    const ofRun: number[] = [];
    for (const { name: agent } of agents.states()) {
      const call = () => agents.run(callOf("echo", { n: 1 }, { agent }), recordHooks());
      await call();
      await sleep(calmMs);
      const startMs = performance.now();
      await agents.killThread(agent);
      const outcome = await call();
      if (outcome.type === "failed") throw new Error(outcome.error.message);
      ofRun.push(performance.now() - startMs);
    }
    times.push(ofRun);
    await agents.stop();
  }
  return times;
}

/** From the kill to the end of the call that it interrupts, the death of the thread included. */
async function settlesMs(runs: number): Promise<number[]> {
  const agents = await startCrowd(1, {});
  const times: number[] = [];
  for (let run = 0; run < runs; run += 1) {
    const hooks = recordHooks();
    const call = callOf("wait", {}, { agent: "CROWD-001", taskKey: `task-${run}` });
    const outcome = agents.run(call, hooks);
    await hooks.begun;
    const startMs = performance.now();
    void agents.killThread("CROWD-001");
    if ((await outcome).type === "succeeded") throw new Error("A call outlived its thread");
    times.push(performance.now() - startMs);
    await sleep(calmMs);
  }
  await agents.stop();
  return times;
}

async function spinsMs(runs: number): Promise<number[]> {
  const intensity = { maxRestarts: runs, periodMs: 60_000 };
  const agents = await startCrowd(1, { unresponsiveMs, intensity });
  const times: number[] = [];
  for (let run = 0; run < runs; run += 1) {
    const startMs = performance.now();
    const call = callOf("spin", {}, { agent: "CROWD-001", taskKey: `task-${run}` });
    const outcome = await agents.run(call, recordHooks());
    if (outcome.type === "succeeded") throw new Error("A loop without end has ended");
    times.push(performance.now() - startMs);
  }
  await agents.stop();
  return times;
}

/** Resident memory of the process for each of 200 idle agents. */
export async function benchCrowd(): Promise<Figure[]> {
  await ensureBuilt();
  const beforeBytes = process.memoryUsage.rss();
  const startMs = performance.now();
  const agents = await startCrowd(crowdSize, { spares: 0 });
  const startedMs = performance.now() - startMs;
  await sleep(5_000);
  const eachMb = (process.memoryUsage.rss() - beforeBytes) / 2 ** 20 / crowdSize;
  await agents.stop();
  return [
    { name: `memory of each of ${crowdSize} idle agents`, values: [eachMb], unit: "MiB" },
    {
      name: `start of ${crowdSize} agents until all are healthy`,
      values: [startedMs / 1_000],
      unit: "s",
    },
  ];
}

function quantile(values: readonly number[], part: number): number {
  if (part === 0.5) return median(values);
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * part) - 1)] ?? Number.NaN;
}
