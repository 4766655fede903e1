/**
 * 1,000 threads of agents are killed at random moments under load: every call settles, and no
 * thread, port, listener or memory is left over.
 *
 * @module
 */

import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import v8 from "node:v8";
import { MessageChannel, MessagePort, Worker } from "node:worker_threads";
import { callOf, recordHooks, startTestPool, testAgentUrl } from "../support/agent-pool.ts";
import { crowd } from "../support/agents/crowd.ts";
import { ensureBuilt } from "../support/build.ts";
import { reportSoak } from "../support/soak-report.ts";

const kills = Number(process.env["SOAK_KILLS"] ?? 1_000);
const warmUpKills = Math.ceil(kills / 5);
/** Between two calls of a caller: load enough that most kills interrupt one, and little beside the starts. */
const calmMs = 5;
/** Growth of memory from the end of the warm-up to the end. */
const growthLimit = 1.1;

let threads = 0;
process.on("worker", (worker: Worker) => {
  threads += 1;
  worker.once("exit", () => {
    threads -= 1;
  });
});
await ensureBuilt();
await proveThatLeaksAreSeen();
const before = resources();
const definitions = crowd.slice(0, 4);
const { agents } = await startTestPool("postgres://nobody@127.0.0.1:1/none", {
  definitions,
  moduleUrl: () => testAgentUrl("crowd"),
  intensity: { maxRestarts: kills * 2, periodMs: 60_000 },
  // As OTP: at once, as long as the intensity allows. What is tested is what threads leave behind.
  backoff: { initialMs: 0, maxMs: 0 },
});
await agents.allHealthy;

/** A check that cannot fail proves nothing: a planted thread and port must show. */
async function proveThatLeaksAreSeen(): Promise<void> {
  const calm = resources();
  const planted = new Worker("setInterval(() => undefined, 1000)", { eval: true });
  const { port1 } = new MessageChannel();
  await once(planted, "online");
  const seen = resources();
  await planted.terminate();
  const portsSeen = calm["ports"] === undefined || (seen["ports"] ?? 0) > calm["ports"];
  port1.close();
  if (seen["threads"] !== (calm["threads"] ?? 0) + 1 || !portsSeen)
    throw new Error(`A planted leak is not seen: ${JSON.stringify({ calm, seen })}`);
}

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
    await sleep(calmMs);
  }
}

const callers = definitions.flatMap(({ name }) => [keepCalling(name), keepCalling(name)]);

/** Each agent is killed again as soon as it is back, all at the same time. */
async function killSome(count: number): Promise<void> {
  let left = count;
  const killAgain = async (name: string): Promise<void> => {
    while (left > 0) {
      left -= 1;
      await running(name);
      await sleep(Math.random() * 20);
      await agents.killThread(name);
    }
    await running(name);
  };
  await Promise.all(definitions.map(({ name }) => killAgain(name)));
}

async function running(name: string): Promise<void> {
  const deadlineMs = performance.now() + 120_000;
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

const startMs = performance.now();
await killSome(warmUpKills);
const warmMb = await residentMb();
await killSome(kills - warmUpKills);
const endMb = await residentMb();
const tookMs = performance.now() - startMs;
going = false;
await Promise.race([Promise.all(callers), sleep(15_000, undefined, { ref: false })]);
await agents.stop();
const after = await settled();

/** What is left when nothing goes away any more; some time limits of dead threads last seconds. */
async function settled(): Promise<Record<string, number>> {
  let last = resources();
  for (let round = 0; round < 20; round += 1) {
    await residentMb();
    last = resources();
    if (Object.keys(before).every((kind) => (last[kind] ?? 0) <= (before[kind] ?? 0))) break;
  }
  return last;
}

/** What an agent's thread could leave behind, by kind. */
function resources(): Record<string, number> {
  const { queryObjects } = v8 as { queryObjects?: (kind: unknown, how: object) => number };
  return {
    threads,
    ...(queryObjects === undefined
      ? {}
      : { ports: queryObjects(MessagePort, { format: "count" }) }),
    timers: process.getActiveResourcesInfo().filter((kind) => kind === "Timeout").length,
    listeners: process
      .eventNames()
      .reduce((sum, name) => sum + process.listenerCount(name as never), 0),
  };
}

const leaks = Object.keys(before).filter((kind) => (after[kind] ?? 0) > (before[kind] ?? 0));
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
const growth = ((endMb / warmMb - 1) * 100).toFixed(1);
reportSoak(
  "kills",
  [
    {
      run: `${kills.toLocaleString("en-US")} kills of ${definitions.length} agents under load`,
      passed: faults.length === 0,
      found: [
        `${pending} pending calls of ${outcomes.succeeded + outcomes.failed}, ${outcomes.failed} interrupted`,
        `left over: ${leaks.length === 0 ? `no ${Object.keys(before).join(", ")}` : leaks.join(", ")}`,
        `memory ${warmMb.toFixed(0)} → ${endMb.toFixed(0)} MiB (${growth} %)`,
      ],
      ms: tookMs,
    },
  ],
  { outcomes, pending, warmMb, endMb, before, after },
);
