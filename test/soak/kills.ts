/**
 * 1,000 threads of agents are killed at random moments under load: every call settles, and no
 * thread, port, listener or memory is left over.
 *
 * @module
 */

import { setTimeout as sleep } from "node:timers/promises";
import { callOf, recordHooks, startTestPool, testAgentUrl } from "../support/agent-pool.ts";
import { crowd } from "../support/agents/crowd.ts";
import { ensureBuilt } from "../support/build.ts";

const kills = Number(process.env["SOAK_KILLS"] ?? 1_000);
const warmUpKills = Math.ceil(kills / 5);
/** Growth of memory from the end of the warm-up to the end. */
const growthLimit = 1.1;

await ensureBuilt();
const before = resources();
const definitions = crowd.slice(0, 4);
const { agents } = await startTestPool("postgres://nobody@127.0.0.1:1/none", {
  definitions,
  moduleUrl: () => testAgentUrl("crowd"),
  intensity: { maxRestarts: kills * 2, periodMs: 60_000 },
  backoff: { initialMs: 1, maxMs: 5 },
});
await agents.allHealthy;

let pending = 0;
const outcomes = { succeeded: 0, failed: 0 };
const unexpected = new Set<string>();
const expectedCodes = new Set(["AGENT_DIED", "AGENT_UNAVAILABLE", "AGENT_BUSY", "STASH_FULL"]);
let going = true;

async function keepCalling(agent: string): Promise<void> {
  for (let n = 0; going; n += 1) {
    pending += 1;
    const outcome = await agents.run(
      // A task of its own each time: this is about threads, not about poison.
      callOf("echo", { n }, { agent, taskKey: `${agent}-${n}` }),
      recordHooks(),
    );
    pending -= 1;
    outcomes[outcome.type] += 1;
    if (outcome.type === "succeeded") {
      if ((outcome.output as { n: number }).n !== n)
        unexpected.add(`${agent} answered another call`);
    } else if (!expectedCodes.has(outcome.error.code)) {
      unexpected.add(`${outcome.error.code}: ${outcome.error.message}`);
    }
    await sleep(1);
  }
}

const callers = definitions.flatMap(({ name }) => [keepCalling(name), keepCalling(name)]);

async function killSome(count: number): Promise<void> {
  for (let killed = 0; killed < count; ) {
    const { name } = definitions[Math.floor(Math.random() * definitions.length)] ?? { name: "" };
    if (agents.state(name)?.status === "running") {
      await agents.killThread(name);
      killed += 1;
    }
    await sleep(Math.random() * 20);
  }
  for (const { name } of definitions) await running(name);
}

async function running(name: string): Promise<void> {
  const deadlineMs = performance.now() + 30_000;
  while (agents.state(name)?.status !== "running") {
    if (performance.now() > deadlineMs) throw new Error(`${name} does not come back`);
    await sleep(10);
  }
}

/** Resident memory in MiB, after garbage collection and a moment for threads to go. */
async function residentMb(): Promise<number> {
  for (let round = 0; round < 5; round += 1) {
    global.gc?.();
    await sleep(200);
  }
  return process.memoryUsage.rss() / 2 ** 20;
}

await killSome(warmUpKills);
const warmMb = await residentMb();
await killSome(kills - warmUpKills);
const endMb = await residentMb();
going = false;
await Promise.race([Promise.all(callers), sleep(15_000)]);
await agents.stop();
await sleep(1_000);
const after = resources();

/** What keeps or could keep this process busy, by kind. */
function resources(): Record<string, number> {
  const counts: Record<string, number> = { listeners: 0 };
  for (const kind of process.getActiveResourcesInfo()) counts[kind] = (counts[kind] ?? 0) + 1;
  for (const name of process.eventNames()) {
    counts["listeners"] = (counts["listeners"] ?? 0) + process.listenerCount(name);
  }
  return counts;
}

const leaks = ["MessagePort", "Worker", "listeners", "Timeout"].filter(
  (kind) => (after[kind] ?? 0) > (before[kind] ?? 0),
);
console.log({ kills, outcomes, pending, warmMb, endMb, before, after });
const faults = [
  ...(pending > 0 ? [`${pending} calls are still pending`] : []),
  ...unexpected,
  ...leaks.map((kind) => `left over: ${(after[kind] ?? 0) - (before[kind] ?? 0)} ${kind}`),
  ...(endMb > warmMb * growthLimit
    ? [`memory grew from ${warmMb.toFixed(0)} to ${endMb.toFixed(0)} MiB`]
    : []),
  ...(outcomes.succeeded === 0 || outcomes.failed === 0 ? ["nothing was interrupted"] : []),
];
for (const fault of faults) console.error(`FAULT ${fault}`);
process.exitCode = faults.length === 0 ? 0 : 1;
