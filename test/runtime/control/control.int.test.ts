import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { defineStatechart, type TaskDefinition } from "../../../actors/define-workflow.ts";
import type { AgentCallHooks, AgentOutcome, StopOrder } from "../../../actors/ports.ts";
import { RequestError, type WorkflowsPort } from "../../../runtime/system.ts";
import { createTestDatabase, type TestDatabase } from "../../support/postgres.ts";
import { soon } from "../../support/soon.ts";
import { openTestHost, type RunAgent } from "../../support/workflow-host.ts";

let database: TestDatabase;

beforeAll(async () => {
  database = await createTestDatabase();
});

afterAll(async () => {
  await database.drop();
});

const by = { actor: "test", reason: "because" };
const done: AgentOutcome = { type: "succeeded", output: { ok: true } };

function workflow(id: string, tasks: Readonly<Record<string, TaskDefinition>>) {
  return defineStatechart({ id, title: id, stages: { main: { title: "Main", tasks } } });
}

const block = { do: "WORKER.block" };
const add = { do: "WORKER.add" };

const registered = [
  workflow("blocked", { a: block }),
  workflow("many", { a: block }),
  workflow("graced", { a: { ...block, graceMs: 55 } }),
  workflow("short", { a: add }),
  workflow("two", { a: add, b: { ...add, after: ["a"] } }),
  workflow("signals", { first: block, go: { signal: "go", after: ["first"] } }),
  workflow("approve", { sign: { approval: { title: "Sign it" } } }),
  workflow("parked", {
    bad: { do: "WORKER.fail", onFailure: "escalate" },
    next: { ...add, after: ["bad"] },
  }),
];

/** Ends when it is aborted. */
function untilAborted({ signal }: AgentCallHooks): Promise<AgentOutcome> {
  const error = { name: "Error", code: "ABORTED", message: "stopped", retryable: false };
  return new Promise((resolve) =>
    signal.addEventListener("abort", () => resolve({ type: "failed", error })),
  );
}

const runAgent: RunAgent = async ({ action }, hooks) =>
  action === "block" ? await untilAborted(hooks) : done;

async function entriesOf(workflows: WorkflowsPort, id: string) {
  return (await workflows.history(id, 0, 1_000)) ?? [];
}

async function typesOf(workflows: WorkflowsPort, id: string): Promise<string[]> {
  return (await entriesOf(workflows, id)).map(({ type }) => type);
}

async function refusal(asked: Promise<unknown>): Promise<RequestError> {
  return await asked.then(
    () => Promise.reject(new Error("it was not refused")),
    (error: unknown) => {
      if (!(error instanceof RequestError)) throw error;
      return error;
    },
  );
}

describe("commands to a run", () => {
  test("pause tells what is in flight, and the journal who and why; later it is drained", async () => {
    await using node = await openTestHost({ url: database.url, workflows: registered, runAgent });
    const { workflows } = node;
    const run = await workflows.start({ workflow: "blocked" }, by);
    await soon(async () => (await workflows.state(run.id))?.inFlight).toBe(1);
    const { command, status } = await workflows.control(
      run.id,
      { type: "run.pause", clocks: "run" },
      by,
    );
    expect(status).toBe("paused");
    expect(command).toMatchObject({ taken: true, status: "paused", inFlight: 1 });
    const entry = (await entriesOf(workflows, run.id)).find(({ type }) => type === "run.paused");
    expect(entry).toMatchObject({
      seq: command.entry?.seq,
      actor: "test",
      payload: { reason: "because", clocks: "run", inFlight: 1 },
    });
    expect((await workflows.state(run.id))?.pause).toMatchObject({ clocks: "run", drained: false });
    await workflows.control(run.id, { type: "task.skip", taskKey: "a" }, by);
    await soon(async () => (await workflows.get(run.id))?.status).toBe("completed");
  });

  test("the same key twice is one command with one answer; for another request it is refused", async () => {
    await using node = await openTestHost({ url: database.url, workflows: registered, runAgent });
    const { workflows } = node;
    const run = await workflows.start({ workflow: "blocked" }, by);
    await node.until(run.id, "running");
    const keyed = { ...by, idempotencyKey: "once" };
    const answers = await Promise.all(
      [1, 2, 3, 4].map(() => workflows.control(run.id, { type: "run.pause" }, keyed)),
    );
    const [first] = answers;
    for (const { command } of answers) expect(command).toEqual(first?.command);
    await workflows.resume(run.id, by);
    const replayed = await workflows.control(run.id, { type: "run.pause" }, keyed);
    expect(replayed.command).toEqual(first?.command);
    expect(replayed.status).toBe("running");
    expect((await typesOf(workflows, run.id)).filter((type) => type === "run.paused")).toHaveLength(
      1,
    );
    const other = await refusal(workflows.control(run.id, { type: "run.cancel" }, keyed));
    expect(other.code).toBe("INVALID");
    expect(other.fields[0]?.pointer).toBe("/idempotency-key");
    await workflows.cancel(run.id, by);
  });

  test("a refused command says why, the same each time, and changes nothing", async () => {
    await using node = await openTestHost({ url: database.url, workflows: registered, runAgent });
    const { workflows } = node;
    const run = await workflows.start({ workflow: "short" }, by);
    await node.until(run.id, "completed");
    const before = await typesOf(workflows, run.id);
    const keyed = { ...by, idempotencyKey: "late" };
    for (const [order, code] of [
      [{ type: "run.pause" }, "CONFLICT"],
      [{ type: "run.cancel" }, "CONFLICT"],
      [{ type: "run.retry", taskKey: null }, "CONFLICT"],
      [{ type: "run.signal", name: "x", payload: 1 }, "CONFLICT"],
      [{ type: "task.skip", taskKey: "a" }, "CONFLICT"],
    ] as const) {
      const error = await refusal(workflows.control(run.id, order, by));
      expect(error.code).toBe(code);
      expect(error.message).toContain("completed");
    }
    const first = await refusal(workflows.control(run.id, { type: "run.pause" }, keyed));
    const second = await refusal(workflows.control(run.id, { type: "run.pause" }, keyed));
    expect(second.message).toBe(first.message);
    expect(await typesOf(workflows, run.id)).toEqual(before);
    expect((await refusal(workflows.pause("nobody", by))).code).toBe("NOT_FOUND");
  });

  test("an unknown task is refused as such", async () => {
    await using node = await openTestHost({ url: database.url, workflows: registered, runAgent });
    const { workflows } = node;
    const run = await workflows.start({ workflow: "blocked" }, by);
    await node.until(run.id, "running");
    const order = { type: "task.skip", taskKey: "zzz" } as const;
    expect((await refusal(workflows.control(run.id, order, by))).code).toBe("NOT_FOUND");
    await workflows.cancel(run.id, by);
  });

  test("cancel hands its grace to the attempt, and all three steps are in the journal", async () => {
    const graces: unknown[] = [];
    await using node = await openTestHost({
      url: database.url,
      workflows: registered,
      runAgent: async (_call, hooks) => {
        const ended = await untilAborted(hooks);
        graces.push((hooks.signal.reason as StopOrder).graceMs);
        return ended;
      },
    });
    const { workflows } = node;
    const run = await workflows.start({ workflow: "blocked" }, by);
    await soon(async () => (await workflows.tasks(run.id))?.[0]?.status).toBe("running");
    await workflows.control(run.id, { type: "run.cancel", graceMs: 77 }, by);
    await soon(() => graces).toEqual([77]);
    await soon(async () => (await typesOf(workflows, run.id)).slice(-1)[0]).toBe("task.stopped");
    const types = await typesOf(workflows, run.id);
    expect(types.filter((type) => /cancel|stopped/.test(type))).toEqual([
      "run.cancelling",
      "task.cancelled",
      "run.cancelled",
      "task.stopped",
    ]);
    const last = (await entriesOf(workflows, run.id)).at(-1);
    expect(last?.payload).toMatchObject({ how: "by itself", afterMs: expect.any(Number) });
  });

  test("a task's own grace is handed to each of its attempts, and a cancel without one keeps it", async () => {
    const seen: unknown[] = [];
    await using node = await openTestHost({
      url: database.url,
      workflows: registered,
      runAgent: async (_call, hooks) => {
        seen.push(hooks.graceMs);
        const ended = await untilAborted(hooks);
        seen.push((hooks.signal.reason as StopOrder).graceMs);
        return ended;
      },
    });
    const { workflows } = node;
    const run = await workflows.start({ workflow: "graced" }, by);
    await soon(() => seen).toEqual([55]);
    await workflows.control(run.id, { type: "run.cancel" }, by);
    await soon(() => seen).toEqual([55, undefined]);
  });

  test("a paused start, priorities, run now and skip reach run and task", async () => {
    await using node = await openTestHost({ url: database.url, workflows: registered, runAgent });
    const { workflows } = node;
    const run = await workflows.start({ workflow: "two", startPaused: true }, by);
    await node.until(run.id, "paused");
    const ranked = await workflows.control(run.id, { type: "run.priority", priority: 5 }, by);
    expect(ranked.priority).toBe(5);
    await workflows.control(run.id, { type: "task.priority", taskKey: "a", priority: 1 }, by);
    await workflows.control(run.id, { type: "task.run-now", taskKey: "a" }, by);
    await workflows.control(run.id, { type: "task.skip", taskKey: "b" }, by);
    await workflows.control(run.id, { type: "run.budget", limits: { tasks: 9 } }, by);
    expect((await workflows.state(run.id))?.budget.raised).toEqual({ tasks: 9 });
    await workflows.resume(run.id, by);
    await node.until(run.id, "completed");
    const types = await typesOf(workflows, run.id);
    for (const type of ["run.priority", "task.priority", "task.urgent", "budget.raised"]) {
      expect(types).toContain(type);
    }
  });
});

describe("what waits for people", () => {
  test("a signal is kept until a task takes it; an update tells the journal entry", async () => {
    await using node = await openTestHost({ url: database.url, workflows: registered, runAgent });
    const { workflows } = node;
    const definition = "signals";
    const run = await workflows.start({ workflow: definition }, by);
    await node.until(run.id, "running");
    const update = await workflows.update(run.id, "go", { by: 7 }, by);
    expect(update.answer.taken).toBe(true);
    expect(update.entry).toMatchObject({
      type: "signal.received",
      payload: { name: "go", payload: { by: 7 } },
    });
    expect((await workflows.state(run.id))?.signals).toMatchObject([{ name: "go" }]);
    await workflows.control(run.id, { type: "task.skip", taskKey: "first" }, by);
    await node.until(run.id, "completed");
    const late = await workflows.update(run.id, "go", 1, by);
    expect(late.answer).toMatchObject({ taken: false, entry: null });
    expect(late.answer.refusal?.message).toContain("completed");
  });

  test("an approval is decided once, by whoever has its token", async () => {
    await using node = await openTestHost({ url: database.url, workflows: registered, runAgent });
    const { workflows } = node;
    const definition = "approve";
    const run = await workflows.start({ workflow: definition }, by);
    await soon(async () => (await workflows.approvals(run.id))?.length).toBe(1);
    const [approval] = (await workflows.approvals(run.id)) ?? [];
    expect(approval).toMatchObject({ task: "sign", title: "Sign it", decided: false });
    const token = approval?.token ?? "";
    expect((await workflows.state(run.id))?.waiting).toMatchObject([
      { task: "sign", for: "approval" },
    ]);
    const yes = { approve: true, payload: { note: "fine" } };
    const [one, two] = await Promise.all([
      workflows.decide(token, yes, by),
      workflows.decide(token, yes, by),
    ]);
    expect(two.command).toEqual(one.command);
    const other = await refusal(workflows.decide(token, { approve: false }, by));
    expect(other).toMatchObject({ code: "CONFLICT" });
    await node.until(run.id, "completed");
    expect((await workflows.approval(token))?.decided).toBe(true);
    expect(await workflows.approvals(run.id)).toEqual([]);
    const [task] = (await workflows.tasks(run.id)) ?? [];
    expect(task?.output).toMatchObject({ approved: true, payload: { note: "fine" } });
    expect((await refusal(workflows.decide("no-token", yes, by))).code).toBe("NOT_FOUND");
  });

  test("a parked task is resolved with an output", async () => {
    const error = { name: "Error", code: "BROKEN", message: "broken", retryable: false };
    await using node = await openTestHost({
      url: database.url,
      workflows: registered,
      runAgent: async ({ action }) => (action === "fail" ? { type: "failed", error } : done),
    });
    const { workflows } = node;
    const definition = "parked";
    const run = await workflows.start({ workflow: definition }, by);
    await soon(async () => (await workflows.state(run.id))?.parked).toMatchObject([
      { task: "bad", error: { code: "BROKEN" } },
    ]);
    const order = { type: "task.resolve", taskKey: "bad", as: "succeeded", output: 42 } as const;
    await workflows.control(run.id, order, by);
    await node.until(run.id, "completed");
    const tasks = (await workflows.tasks(run.id)) ?? [];
    expect(tasks.find(({ key }) => key === "bad")?.output).toBe(42);
    expect((await refusal(workflows.control(run.id, order, by))).code).toBe("CONFLICT");
  });
});

describe("commands to many runs", () => {
  test("go to all that match, once, and tell who refused", async () => {
    await using node = await openTestHost({ url: database.url, workflows: registered, runAgent });
    const { workflows } = node;
    const definition = "many";
    const ids: string[] = [];
    for (let index = 0; index < 20; index += 1) {
      ids.push((await workflows.start({ workflow: definition }, by)).id);
    }
    const [first = ""] = ids;
    await node.until(ids.at(-1) ?? "", "running");
    await workflows.cancel(first, by);
    const keyed = { ...by, idempotencyKey: "bulk-1" };
    const all = await workflows.bulk({ type: "run.pause" }, { workflow: "many" }, keyed);
    expect(all).toMatchObject({ id: "bulk-1", matched: 20, taken: 19, refused: 1, pending: 0 });
    expect(all.refusals).toEqual([
      { workflowId: first, message: expect.stringContaining("cancelled") },
    ]);
    const again = await workflows.bulk({ type: "run.pause" }, { workflow: "many" }, keyed);
    expect(again).toEqual(all);
    expect(await workflows.bulkState("bulk-1")).toEqual(all);
    const other = workflows.bulk({ type: "run.resume" }, { workflow: "many" }, keyed);
    expect((await refusal(other)).code).toBe("INVALID");
    const ended = await workflows.bulk(
      { type: "run.cancel" },
      { workflow: "many", status: ["paused"] },
      by,
    );
    expect(ended).toMatchObject({ matched: 19, taken: 19 });
  });
});
