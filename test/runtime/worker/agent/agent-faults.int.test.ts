import { afterAll, beforeAll, expect, test } from "vitest";
import type { AgentOutcome, Incident } from "../../../../actors/ports.ts";
import type { Json } from "../../../../machines/error-code.ts";
import {
  callOf,
  recordHooks,
  startTestPool,
  type TestPool,
  testAgentUrl,
} from "../../../support/agent-pool.ts";
import { faulty } from "../../../support/agents/faulty.ts";
import { other } from "../../../support/agents/probe.ts";
import { ensureBuilt } from "../../../support/build.ts";
import { serverUrl } from "../../../support/postgres.ts";

const incidents: Incident[] = [];
let pool: TestPool;

beforeAll(async () => {
  await ensureBuilt();
  pool = await startTestPool(serverUrl(), {
    definitions: [faulty, other],
    moduleUrl: (name) => testAgentUrl(name === "FAULTY" ? "faulty" : "probe"),
    intensity: { maxRestarts: 100, periodMs: 60_000 },
    incidents: { record: (incident) => incidents.push(incident) },
  });
  await pool.agents.allHealthy;
}, 180_000);

afterAll(() => pool?.agents.stop());

/** `deaths: 0`: a task, whose deaths its run counts. */
const task = (action: string, input: Json): Promise<AgentOutcome> =>
  pool.agents.run(callOf(action, input, { agent: "FAULTY", deaths: 0 }), recordHooks());
const request = (action: string, input: Json): Promise<AgentOutcome> =>
  pool.agents.run(callOf(action, input, { agent: "FAULTY" }), recordHooks());
const echo = (): Promise<AgentOutcome> => task("echo", { text: "back" });

const table = [
  ["spin", "spin", "LOOP_BLOCKED"],
  ["wait-for-ever", "spin", "LOOP_BLOCKED"],
  ["buffers", "out-of-memory", "MEMORY_EXCEEDED"],
  ["overflow", "crash", "UNEXPECTED"],
  ["exit", "exit", undefined],
  ["rejection", "unhandled-rejection", "UNEXPECTED"],
  ["null", "crash", "UNEXPECTED"],
] as const;

test.each(table)(
  "%s ends in an incident of kind %s, and the agent is back",
  async (how, kind, cause) => {
    const { restarts, incarnation } = pool.agents.state("FAULTY")!;
    incidents.length = 0;
    const outcome = await task("fault", { how });
    expect(outcome).toMatchObject({
      type: "failed",
      error: { code: "AGENT_DIED", retryable: true },
    });
    expect(outcome.type === "failed" && outcome.error.cause?.code).toBe(cause);
    expect(await echo()).toEqual({ type: "succeeded", output: { text: "back" } });
    expect(incidents).toMatchObject([
      { address: "/root/agents/FAULTY", kind, action: "restarted", error: { code: "AGENT_DIED" } },
    ]);
    expect(pool.agents.state("FAULTY")).toMatchObject({
      restarts: restarts + 1,
      incarnation: incarnation + 1,
      inFlight: 0,
    });
  },
);

test("an attempt without progress in an idle thread is aborted, and its thread lives on", async () => {
  const { threadId } = pool.agents.state("FAULTY")!;
  incidents.length = 0;
  expect(await task("hang", {})).toMatchObject({
    error: { code: "PROGRESS_TIMEOUT", retryable: true },
  });
  expect(incidents).toMatchObject([{ kind: "hang", action: "terminated" }]);
  expect(pool.agents.state("FAULTY")!.threadId).toBe(threadId);
});

test("heartbeats of synchronous work are signs of life", async () => {
  const { threadId } = pool.agents.state("FAULTY")!;
  expect(await task("toil", {})).toMatchObject({ type: "succeeded" });
  expect(pool.agents.state("FAULTY")!.threadId).toBe(threadId);
});

test("a request that three threads died of is refused; only the first death hurt its neighbours", async () => {
  const { restarts } = pool.agents.state("FAULTY")!;
  incidents.length = 0;
  for (let death = 0; death < 3; death += 1) {
    expect(await request("fault", { how: "exit" })).toMatchObject({
      error: { code: "AGENT_DIED" },
    });
    expect(await echo()).toMatchObject({ type: "succeeded" });
  }
  expect(await request("fault", { how: "exit" })).toMatchObject({
    error: { code: "POISONED", retryable: false, cause: { code: "AGENT_DIED" } },
  });
  expect(pool.agents.state("FAULTY")!.restarts).toBe(restarts + 1);
  expect(pool.agents.state("OTHER")!.restarts).toBe(0);
  expect(incidents.filter(({ kind }) => kind === "poison")).toMatchObject([
    { action: "quarantined", detail: { action: "fault" } },
  ]);
  await pool.agents.restart("FAULTY");
  expect(await request("fault", { how: "exit" })).toMatchObject({ error: { code: "AGENT_DIED" } });
});

test("calls wait for an agent that restarts, at most as many as it has places", async () => {
  expect(await echo()).toMatchObject({ type: "succeeded" });
  await pool.agents.killThread("FAULTY");
  const calls = await Promise.all([echo(), echo(), echo()]);
  expect(calls.filter(({ type }) => type === "succeeded")).toHaveLength(2);
  expect(calls.find(({ type }) => type === "failed")).toMatchObject({
    error: { code: "STASH_FULL", retryable: true },
  });
});

test("an agent says what its thread takes", async () => {
  expect(await echo()).toMatchObject({ type: "succeeded" });
  await expect
    .poll(() => pool.agents.state("FAULTY")?.figures?.heapBytes ?? 0, { timeout: 20_000 })
    .toBeGreaterThan(1_048_576);
});
