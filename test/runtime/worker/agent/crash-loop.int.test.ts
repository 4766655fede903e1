/** @module An agent that keeps crashing is its own affair: the others neither restart nor stop. */

import { afterAll, beforeAll, expect, test } from "vitest";
import {
  callOf,
  recordHooks,
  startTestPool,
  type TestPool,
  testAgentUrl,
} from "../../../support/agent-pool.ts";
import { crowd } from "../../../support/agents/crowd.ts";
import { faulty } from "../../../support/agents/faulty.ts";
import { ensureBuilt } from "../../../support/build.ts";
import { soon } from "../../../support/soon.ts";

const limitMs = 120_000;
const maxRestarts = 4;
const neighbours = crowd.slice(0, 2);
let pool: TestPool;

beforeAll(async () => {
  await ensureBuilt();
  pool = await startTestPool("postgres://nobody@127.0.0.1:1/none", {
    definitions: [faulty, ...neighbours],
    moduleUrl: (name) => testAgentUrl(name === "FAULTY" ? "faulty" : "crowd"),
    intensity: { maxRestarts, periodMs: 600_000 },
  });
  await pool.agents.allHealthy;
}, 180_000);

afterAll(() => pool?.agents.stop());

test("while one agent crashes until it is given up, the others answer every call", {
  timeout: limitMs,
}, async () => {
  const { agents } = pool;
  const answered = new Map<string, number>(neighbours.map(({ name }) => [name, 0]));
  const failures: unknown[] = [];
  let going = true;
  const callers = neighbours.map(async ({ name: agent }) => {
    for (let n = 0; going; n += 1) {
      const outcome = await agents.run(callOf("echo", { n }, { agent }), recordHooks());
      if (outcome.type === "failed") failures.push(outcome.error);
      answered.set(agent, n + 1);
      // Also those that only wait for a turn get one.
      await new Promise((resolve) => setImmediate(resolve));
    }
  });
  for (let crash = 0; crash <= maxRestarts; crash += 1) {
    const before = new Map(answered);
    // A task of its own each time: this is about the agent, not about poison.
    const taskKey = `task-${crash}`;
    const call = callOf("fault", { how: "exit" }, { agent: "FAULTY", deaths: 0, taskKey });
    expect(await agents.run(call, recordHooks())).toMatchObject({ error: { code: "AGENT_DIED" } });
    for (const { name } of neighbours) {
      await soon(() => answered.get(name) ?? 0, limitMs).toBeGreaterThan(before.get(name) ?? 0);
    }
  }
  await soon(() => agents.state("FAULTY")?.status, limitMs).toBe("failed");
  const atTheEnd = new Map(answered);
  for (const { name } of neighbours) {
    await soon(() => answered.get(name) ?? 0, limitMs).toBeGreaterThan(atTheEnd.get(name) ?? 0);
  }
  going = false;
  await Promise.all(callers);
  expect(failures).toEqual([]);
  for (const { name } of neighbours) {
    expect(agents.state(name)).toMatchObject({ status: "running", restarts: 0, incarnation: 1 });
  }
  expect(agents.state("FAULTY")).toMatchObject({ lastError: { code: "RESTART_INTENSITY" } });
  await agents.resume("FAULTY");
  const echo = callOf("echo", { text: "back" }, { agent: "FAULTY" });
  expect(await agents.run(echo, recordHooks())).toEqual({
    type: "succeeded",
    output: { text: "back" },
  });
});
