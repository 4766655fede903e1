import { afterAll, beforeAll, expect, test } from "vitest";
import type { AgentOutcome, AgentState } from "../../../../actors/ports.ts";
import type { Json } from "../../../../machines/error-code.ts";
import { callOf, recordHooks, startTestPool, type TestPool } from "../../../support/agent-pool.ts";
import { probe } from "../../../support/agents/probe.ts";
import { ensureBuilt } from "../../../support/build.ts";
import { createTestDatabase, type TestDatabase } from "../../../support/postgres.ts";

let database: TestDatabase;
let pool: TestPool;

beforeAll(async () => {
  await ensureBuilt();
  database = await createTestDatabase();
  pool = await startTestPool(database.url, {
    env: { PROBE_ALLOWED: "yes", DATABASE_URL: "secret" },
    // Every kill below is on purpose.
    intensity: { maxRestarts: 100, periodMs: 60_000 },
  });
  await pool.agents.allHealthy;
}, 180_000);

afterAll(async () => {
  await pool?.agents.stop();
  await database?.drop();
});

const run = (action: string, input: Json, hooks = recordHooks()): Promise<AgentOutcome> =>
  pool.agents.run(callOf(action, input), hooks);

async function fails(action: string, input: Json, error: object): Promise<void> {
  expect(await run(action, input)).toMatchObject({ type: "failed", error });
}

const stateOf = (name: string): AgentState => pool.agents.state(name)!;

test("run() validates the input, applies its defaults and returns the output", async () => {
  expect(await run("echo", { text: "hi", times: 2 })).toMatchObject({
    type: "succeeded",
    output: { text: "hihi", key: "wf-1/task" },
  });
  expect(await run("echo", { text: "hi" })).toMatchObject({ output: { text: "hi" } });
});

test("run() refuses an input that does not fit, naming each field", async () => {
  await fails("echo", { text: "", times: 1.5 }, { code: "INPUT_INVALID", retryable: false });
  const outcome = await run("echo", { text: "", times: 1.5 });
  expect(outcome.type === "failed" && outcome.error.message).toMatch(
    /^Cannot run PROBE\.echo: its input is invalid: \/text: .+; \/times: .+/,
  );
});

test("run() refuses an unknown action, naming those there are, and inherited names", async () => {
  const outcome = await run("nope", {});
  expect(outcome).toMatchObject({ error: { code: "ACTION_UNKNOWN", retryable: false } });
  expect(outcome.type === "failed" && outcome.error.message).toContain("it has: echo, fail,");
  await fails("constructor", {}, { code: "ACTION_UNKNOWN" });
  await fails("__proto__", {}, { code: "ACTION_UNKNOWN" });
});

test("run() refuses an unknown agent", async () => {
  const call = callOf("echo", { text: "x" }, { agent: "NOBODY" });
  expect(await pool.agents.run(call, recordHooks())).toMatchObject({
    error: { code: "AGENT_UNKNOWN" },
  });
});

test("run() keeps code, cause, name, stack and retryable of what the action threw", async () => {
  await fails(
    "fail",
    { how: "agent-error" },
    {
      name: "AgentError",
      code: "PROBE_FAILED",
      retryable: true,
      stack: expect.stringContaining("Cannot probe: told to fail"),
      cause: { name: "TypeError", message: "the root of it" },
    },
  );
  await fails("fail", { how: "type-error" }, { name: "TypeError", code: "UNEXPECTED" });
  await fails("fail", { how: "null" }, { message: "null", code: "UNEXPECTED", retryable: true });
});

test("run() refuses an output of the wrong shape, that is not JSON, or over 1 MiB", async () => {
  await fails("give", { what: "wrong-shape" }, { code: "OUTPUT_INVALID" });
  await fails(
    "give",
    { what: "map" },
    { code: "OUTPUT_INVALID", message: expect.stringContaining("/value is a Map") },
  );
  await fails(
    "give",
    { what: "nan" },
    { code: "OUTPUT_INVALID", message: expect.stringContaining("/value/deep/0 is NaN") },
  );
  await fails("give", { what: "circular" }, { code: "OUTPUT_INVALID" });
  await fails("give", { what: "large" }, { code: "OUTPUT_TOO_LARGE", retryable: false });
});

test("heartbeats are sampled, the last one always arrives; a checkpoint is stored when it resolves", async () => {
  const hooks = recordHooks();
  const outcome = await pool.agents.run(
    callOf("report", { beats: 500, checkpointBytes: 10 }, { lastCheckpoint: { from: 7 } }),
    hooks,
  );
  expect(outcome).toEqual({ type: "succeeded", output: { last: { from: 7 } } });
  expect(hooks.heartbeats.length).toBeLessThan(50);
  expect(hooks.heartbeats[0]).toEqual({ done: 1, total: 500 });
  expect(hooks.heartbeats.at(-1)).toEqual({ done: 500, total: 500 });
  expect(hooks.checkpoints).toEqual([{ text: "x".repeat(10) }]);
  expect(pool.logged).toContainEqual({
    level: "info",
    message: "probe.reported",
    fields: { agent: "PROBE", workflowId: "wf-1", taskKey: "task", attempt: 1, beats: 500 },
  });
});

test("a checkpoint over 64 KiB is refused, and one that cannot be stored fails the action", async () => {
  await fails("report", { beats: 1, checkpointBytes: 65_536 }, { code: "CHECKPOINT_TOO_LARGE" });
  const lost = recordHooks({
    onCheckpoint: () =>
      Promise.reject(
        Object.assign(new Error("fenced off"), { code: "LEASE_LOST", retryable: false }),
      ),
  });
  expect(await run("report", { beats: 1, checkpointBytes: 1 }, lost)).toMatchObject({
    error: { message: "fenced off", code: "LEASE_LOST", retryable: false },
  });
});

test("times of tasks come from the main thread as dates, and its refusal reaches the action", async () => {
  const startedAt = new Date("2024-01-01T00:00:00.000Z");
  const asked = recordHooks({
    onTaskTimes: async () => [{ key: "first", startedAt, finishedAt: null, attempt: 2 }],
  });
  expect(await run("times", {}, asked)).toEqual({
    type: "succeeded",
    output: {
      times: [
        { key: "first", startedAt: "2024-01-01T00:00:00.000Z", finishedAt: null, attempt: 2 },
      ],
    },
  });
  const refused = recordHooks({
    onTaskTimes: () =>
      Promise.reject(
        Object.assign(new Error("belongs to no run"), { code: "NOT_A_TASK", retryable: false }),
      ),
  });
  expect(await run("times", {}, refused)).toMatchObject({
    error: { message: "belongs to no run", code: "NOT_A_TASK", retryable: false },
  });
});

test("bus calls reach the main thread, and its errors come back whole", async () => {
  expect(await run("ask", { agent: "ORACLE" })).toEqual({
    type: "succeeded",
    output: { answer: { action: "answer", input: { a: 1 }, timeoutMs: 5_000 } },
  });
  expect(pool.published).toContainEqual({ topic: "probe.asked", body: { agent: "ORACLE" } });
  await fails(
    "ask",
    { agent: "NOBODY" },
    {
      code: "AGENT_UNKNOWN",
      message: 'Cannot ask "NOBODY": no such agent',
      cause: { name: "RangeError", message: "not in the list" },
    },
  );
});

test("a thread sees only granted variables, has a heap limit, and prints into the log", async () => {
  const outcome = await run("look", {});
  expect(outcome).toMatchObject({ type: "succeeded", output: { env: ["PROBE_ALLOWED"] } });
  const limit = (outcome as unknown as { output: { heapLimitMb: number } }).output.heapLimitMb;
  expect(limit).toBeGreaterThan(200);
  expect(limit).toBeLessThan(512);
  await expect
    .poll(() => pool.logged)
    .toContainEqual({
      level: "info",
      message: "agent.printed",
      fields: { agent: "PROBE", text: "printed by the probe" },
    });
});

const connections = async (): Promise<number> => {
  const [row] = await database.sql<{ count: number }[]>`
    select count(*)::int as count from pg_stat_activity where application_name = 'spectra PROBE.query'
      and datname = current_database()`;
  return row!.count;
};

test("the database client of an attempt is closed after it, also when it failed", async () => {
  const hooks = recordHooks();
  const running = run("query", { sleepSeconds: 0.3 }, hooks);
  await hooks.begun;
  expect(await connections()).toBeGreaterThan(0);
  expect(await running).toMatchObject({ type: "succeeded" });
  await expect.poll(connections).toBe(0);
  await fails("query", { fail: true }, { code: "PROBE_FAILED" });
  await expect.poll(connections).toBe(0);
  await fails("query_without", {}, { code: "NO_CONNECTIONS" });
});

test("compensate() runs the capability's compensation, and refuses where there is none", async () => {
  const undo = (action: string) =>
    pool.agents.compensate(callOf(action, { text: "x" }), recordHooks());
  expect(await undo("query")).toEqual({ type: "succeeded", output: null });
  expect(await database.sql`select * from probe_undone`).toHaveLength(0);
  expect(await undo("echo")).toMatchObject({ error: { code: "COMPENSATION_UNKNOWN" } });
});

test("an aborted action that listens ends, and its thread lives on", async () => {
  const { threadId } = stateOf("PROBE");
  const hooks = recordHooks();
  const running = run("wait", {}, hooks);
  await hooks.begun;
  hooks.controller.abort(new Error("cancelled by the test"));
  expect(await running).toMatchObject({ error: { code: "ABORTED" } });
  expect(stateOf("PROBE").threadId).toBe(threadId);
  expect(await run("wait", {}, hooks)).toMatchObject({ error: { code: "ABORTED" } });
});

test("an action that waits for a query is cut off before the grace period costs its thread", async () => {
  const { threadId } = stateOf("PROBE");
  const hooks = recordHooks();
  const running = run("query", { sleepSeconds: 50 }, hooks);
  await hooks.begun;
  hooks.controller.abort();
  expect(await running).toMatchObject({ error: { code: "ABORTED" } });
  expect(stateOf("PROBE").threadId).toBe(threadId);
});

test("an aborted action that spins costs its thread after the grace period; its neighbour is told", async () => {
  const { threadId } = stateOf("PROBE");
  const hooks = recordHooks({ graceMs: 200 });
  const neighbour = recordHooks();
  const both = [run("wait", {}, neighbour), run("wait", { spin: true }, hooks)];
  await Promise.all([hooks.begun, neighbour.begun]);
  hooks.controller.abort();
  const [left, spun] = await Promise.all(both);
  expect(spun).toMatchObject({ error: { code: "ABORTED", cause: { code: "AGENT_DIED" } } });
  expect(left).toMatchObject({ error: { code: "AGENT_DIED", retryable: true } });
  expect(await run("echo", { text: "back" })).toMatchObject({ output: { text: "back" } });
  expect(stateOf("PROBE").threadId).not.toBe(threadId);
});

test("an agent's own grace holds where its caller says none, and a stop order goes before both", async () => {
  const definitions = [{ ...probe, limits: { graceMs: 150 } }];
  const intensity = { maxRestarts: 100, periodMs: 60_000 };
  const own = await startTestPool(database.url, { definitions, intensity });
  try {
    await own.agents.allHealthy;
    for (const reason of [new Error("cancelled"), { why: "stale", graceMs: 40 }]) {
      const { graceMs: _, ...hooks } = recordHooks();
      const running = own.agents.run(callOf("wait", { spin: true }), hooks);
      await hooks.begun;
      hooks.controller.abort(reason);
      expect(await running).toMatchObject({ error: { cause: { code: "AGENT_DIED" } } });
    }
    const ended = own.logged.filter(({ message }) => message === "agent.terminated");
    expect(ended.map(({ fields }) => fields["graceMs"])).toEqual([150, 40]);
  } finally {
    await own.agents.stop();
  }
});

for (const how of ["exit", "exit-0", "uncaught", "rejection", "null", "memory"]) {
  test(`a thread that dies in mid-call (${how}) settles the call and is replaced`, async () => {
    const before = stateOf("PROBE");
    await fails("die", { how }, { code: "AGENT_DIED", retryable: true });
    expect(await run("echo", { text: "again" })).toMatchObject({ output: { text: "again" } });
    const after = stateOf("PROBE");
    expect(after.restarts).toBe(before.restarts + 1);
    expect(after.threadId).not.toBe(before.threadId);
    expect(after.lastError?.code).toBe("AGENT_DIED");
    expect(after.inFlight).toBe(0);
  });
}

test("the reason of a death is its cause", () => {
  const messages = pool.states.map((state) => state.lastError?.cause?.message);
  for (const message of ["nobody caught this", "nobody awaited this", "null"]) {
    expect(messages).toContain(message);
  }
  const codes = pool.states.map((state) => state.lastError?.cause?.code);
  expect(codes).toContain("ERR_WORKER_OUT_OF_MEMORY");
});

test("an agent at its concurrency refuses with AGENT_BUSY", async () => {
  const hooks = Array.from({ length: 4 }, () => recordHooks());
  const running = hooks.map((one) => run("wait", {}, one));
  await Promise.all(hooks.map((one) => one.begun));
  await fails("echo", { text: "x" }, { code: "AGENT_BUSY", retryable: true });
  for (const one of hooks) one.controller.abort();
  await Promise.all(running);
  expect(stateOf("PROBE").inFlight).toBe(0);
});

test("pause() refuses calls until resume(); running ones go on", async () => {
  const hooks = recordHooks();
  const running = run("wait", {}, hooks);
  await hooks.begun;
  pool.agents.pause("PROBE");
  expect(stateOf("PROBE")).toMatchObject({ status: "paused", health: "healthy", inFlight: 1 });
  await fails("echo", { text: "x" }, { code: "AGENT_UNAVAILABLE", retryable: true });
  hooks.controller.abort();
  await running;
  await pool.agents.resume("PROBE");
  expect(await run("echo", { text: "x" })).toMatchObject({ type: "succeeded" });
});

test("drain() waits for running calls, then ends the thread; resume() starts a new one", async () => {
  const { threadId } = stateOf("PROBE");
  const hooks = recordHooks();
  const running = run("wait", {}, hooks);
  await hooks.begun;
  const drained = pool.agents.drain("PROBE");
  await fails("echo", { text: "x" }, { code: "AGENT_UNAVAILABLE" });
  expect(stateOf("PROBE").status).toBe("draining");
  hooks.controller.abort();
  await running;
  await drained;
  expect(stateOf("PROBE")).toMatchObject({ status: "stopped", threadId: null });
  await pool.agents.resume("PROBE");
  expect(await run("echo", { text: "x" })).toMatchObject({ type: "succeeded" });
  expect(stateOf("PROBE").threadId).not.toBe(threadId);
});

test("restart() replaces the thread; calls made meanwhile wait for the new one", async () => {
  const { threadId, restarts } = stateOf("PROBE");
  const restarted = pool.agents.restart("PROBE");
  expect(await run("echo", { text: "x" })).toMatchObject({ type: "succeeded" });
  await restarted;
  expect(stateOf("PROBE").threadId).not.toBe(threadId);
  expect(stateOf("PROBE").restarts).toBe(restarts + 1);
});

test("the other agent never noticed", () => {
  expect(stateOf("OTHER")).toMatchObject({ status: "running", health: "healthy", restarts: 0 });
  expect(pool.agents.view?.()).toMatchObject({
    id: "agents",
    strategy: "one_for_one",
    status: "running",
    children: [
      { id: "PROBE", kind: "supervisor" },
      { id: "OTHER", status: "running" },
    ],
  });
});
