import { readdirSync } from "node:fs";
import { afterEach, beforeAll, expect, test } from "vitest";
import type { AgentsOptions } from "../../../../runtime/worker/agent/agent-pool.ts";
import {
  callOf,
  recordHooks,
  startTestPool,
  type TestPool,
  testAgentUrl,
} from "../../../support/agent-pool.ts";
import { broken } from "../../../support/agents/broken.ts";
import { doomed } from "../../../support/agents/doomed.ts";
import { other, probe } from "../../../support/agents/probe.ts";
import { stuck } from "../../../support/agents/stuck.ts";
import { ensureBuilt } from "../../../support/build.ts";
import { serverUrl } from "../../../support/postgres.ts";

let pool: TestPool;

beforeAll(ensureBuilt, 180_000);
afterEach(() => pool.agents.stop());

const modules: Record<string, string> = { BROKEN: "broken", DOOMED: "doomed", STUCK: "stuck" };

async function start(options: Partial<AgentsOptions>): Promise<TestPool> {
  pool = await startTestPool(serverUrl(), {
    moduleUrl: (name) => testAgentUrl(modules[name] ?? "probe"),
    intensity: { maxRestarts: 3, periodMs: 60_000 },
    ...options,
  });
  return pool;
}

const echo = (agent: string) =>
  pool.agents.run(callOf("echo", { text: "hello" }, { agent }), recordHooks());

async function fails(name: string): Promise<void> {
  await expect.poll(() => pool.agents.state(name)?.status, { timeout: 20_000 }).toBe("failed");
}

test("agents that cannot load or live end failed after their intensity, and hurt nobody", async () => {
  await start({ definitions: [probe, broken, doomed] });
  const hooks = recordHooks();
  const running = pool.agents.run(callOf("wait", {}), hooks);
  await fails("BROKEN");
  await fails("DOOMED");
  await expect(pool.agents.allHealthy).rejects.toMatchObject({ code: "AGENT_UNAVAILABLE" });
  expect(pool.agents.state("BROKEN")).toMatchObject({
    health: "unhealthy",
    restarts: 4,
    lastError: {
      code: "RESTART_INTENSITY",
      cause: {
        code: "AGENT_START_FAILED",
        message: "Cannot start agent BROKEN: this module cannot load",
      },
    },
  });
  expect(pool.agents.state("DOOMED")?.lastError?.cause?.cause?.message).toBe(
    "this agent cannot live",
  );
  expect(pool.agents.view?.().children).toMatchObject([
    { id: "PROBE", status: "running" },
    { id: "BROKEN", status: "failed" },
    { id: "DOOMED", status: "failed" },
  ]);
  expect(await echo("DOOMED")).toMatchObject({ error: { code: "AGENT_UNAVAILABLE" } });
  expect(await echo("PROBE")).toMatchObject({ type: "succeeded" });
  hooks.controller.abort();
  await running;
  expect(pool.agents.state("PROBE")).toMatchObject({ restarts: 0, health: "healthy" });
});

test("resume() tries a failed agent again, with a fresh intensity", async () => {
  await start({ definitions: [doomed], intensity: { maxRestarts: 0, periodMs: 60_000 } });
  await fails("DOOMED");
  const { restarts } = pool.agents.state("DOOMED")!;
  const resumed = pool.agents.resume("DOOMED").catch(() => undefined);
  await expect.poll(() => pool.agents.state("DOOMED")!.restarts).toBeGreaterThan(restarts);
  await resumed;
  await fails("DOOMED");
});

test("a thread that is not ready in time is ended with START_TIMEOUT", async () => {
  await start({
    definitions: [stuck],
    startTimeoutMs: 300,
    intensity: { maxRestarts: 0, periodMs: 60_000 },
  });
  await fails("STUCK");
  expect(pool.agents.state("STUCK")?.lastError).toMatchObject({ cause: { code: "START_TIMEOUT" } });
});

test("a module without the agent's definition is named", async () => {
  await start({
    definitions: [{ ...probe, name: "ABSENT" }],
    intensity: { maxRestarts: 0, periodMs: 60_000 },
  });
  await fails("ABSENT");
  expect(pool.agents.state("ABSENT")?.lastError?.message).toContain(
    "probe.js exports no definition of that name",
  );
});

test("a thread whose loop is blocked is found through shared memory and replaced", async () => {
  await start({ definitions: [probe], unresponsiveMs: 2_000 });
  await pool.agents.allHealthy;
  const hooks = recordHooks();
  const outcome = await pool.agents.run(callOf("wait", { spin: true }), hooks);
  expect(outcome).toMatchObject({
    error: { code: "AGENT_DIED", message: "Cannot go on with agent PROBE: its loop is blocked" },
  });
  expect(await echo("PROBE")).toMatchObject({ type: "succeeded" });
});

test("stop() lets a running attempt end by its shutdown time, then ends its thread", async () => {
  await start({ definitions: [probe], shutdownMs: 100 });
  await pool.agents.allHealthy;
  const hooks = recordHooks();
  const running = pool.agents.run(callOf("wait", {}), hooks);
  await hooks.begun;
  await pool.agents.stop();
  expect(await running).toMatchObject({ error: { code: "AGENT_DIED" } });
  expect(pool.agents.state("PROBE")).toMatchObject({
    status: "stopped",
    inFlight: 0,
    threadId: null,
  });
  expect(await pool.agents.exited).toEqual({ type: "normal" });
});

test("after kills at random moments no call is pending, and stop() leaves no thread", async () => {
  const osThreads = (): number => readdirSync("/proc/self/task").length;
  // The first pool lets V8 and libuv start the threads that they keep.
  await start({ definitions: [probe, other] });
  await pool.agents.allHealthy;
  await pool.agents.stop();
  const before = osThreads();

  await start({
    definitions: [probe, other],
    intensity: { maxRestarts: 1_000, periodMs: 60_000 },
  });
  await pool.agents.allHealthy;
  for (let round = 0; round < 12; round += 1) {
    const calls = [echo("PROBE"), echo("PROBE"), echo("OTHER")];
    const die = pool.agents.run(callOf("die", { how: "exit" }, { deaths: 0 }), recordHooks());
    const outcomes = await Promise.all([...calls, die]);
    expect(outcomes[3]).toMatchObject({ error: { code: "AGENT_DIED" } });
  }
  expect(pool.agents.states().map((state) => state.inFlight)).toEqual([0, 0]);
  expect(pool.agents.state("PROBE")?.restarts).toBe(12);
  expect(pool.agents.state("OTHER")?.restarts).toBe(0);
  await pool.agents.stop();
  await expect.poll(osThreads).toBeLessThanOrEqual(before);
});
