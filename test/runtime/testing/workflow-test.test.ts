import { describe, expect, test } from "vitest";
import { z } from "zod";
import { capability, defineAgent } from "../../../actors/define-agent.ts";
import { defineWorkflow, item, output, param } from "../../../actors/define-workflow.ts";
import { AgentError, type Json } from "../../../machines/error-code.ts";
import {
  assertCompleted,
  createWorkflowTest,
  stubAgent,
  type TestContext,
} from "../../../runtime/testing/index.ts";

const day = 86_400_000;

const fixed = { backoff: "fixed", initialMs: 1_000, jitter: 0 } as const;

const RENDERER = defineAgent({
  name: "RENDERER",
  concurrency: 2,
  capabilities: {
    render: capability({
      input: z.object({ file: z.string() }),
      output: z.object({ bytes: z.number() }),
      run: async (_ctx, { file }) => ({ bytes: file.length }),
    }),
  },
});

const single = defineWorkflow({
  id: "single",
  tasks: { a: { do: "A.go", retry: fixed } },
  output: output("a"),
});

describe("createWorkflowTest()", () => {
  test("carries a workflow through with stubs, filled-in inputs and a list", async () => {
    const album = defineWorkflow({
      id: "album",
      params: ["dir"],
      tasks: {
        list: { do: "FILES.list", with: { dir: param("dir") } },
        render: {
          do: "RENDERER.render",
          after: ["list"],
          forEach: output("list", "files"),
          with: { file: item() },
        },
      },
      output: { sizes: output("render") },
    });
    const run = createWorkflowTest(album, {
      input: { dir: "in" },
      agents: { RENDERER, FILES: { list: ({ dir }: { dir: string }) => ({ files: [dir, "b"] }) } },
    });
    expect(run.status).toBe("pending");
    await run.runUntilIdle();
    assertCompleted(run, { sizes: [{ bytes: 2 }, { bytes: 1 }] });
    expect(run.calls.map(({ action, input, taskKey }) => [taskKey, action, input])).toEqual([
      ["list", "FILES.list", { dir: "in" }],
      ["render[0]", "RENDERER.render", { file: "in" }],
      ["render[1]", "RENDERER.render", { file: "b" }],
    ]);
    expect(run.task("render[1]")).toMatchObject({ status: "succeeded", output: { bytes: 1 } });
    expect(() => run.task("rendr")).toThrow(/it has list, render/);
  });

  test("300 tests beside each other, each with a timer of a year", async () => {
    const patient = defineWorkflow({
      id: "patient",
      params: ["days"],
      tasks: {
        wait: { sleepMs: 365 * day },
        after: { do: "A.go", after: ["wait"], with: { days: param("days") } },
      },
      output: output("after"),
    });
    const runs = Array.from({ length: 300 }, (_, index) =>
      createWorkflowTest(patient, {
        input: { days: index },
        agents: {
          A: { go: ({ days }: { days: number }, ctx) => [days, ctx.clock.now().getTime()] },
        },
        startAt: index * day,
      }),
    );
    await Promise.all(runs.map((run) => run.advance("364d")));
    expect(new Set(runs.map(({ status }) => status))).toEqual(new Set(["running"]));
    await Promise.all(runs.map((run) => run.advance("1d")));
    for (const [index, run] of runs.entries()) {
      assertCompleted(run, [index, (index + 365) * day]);
      expect(run.now).toBe((index + 365) * day);
    }
  });

  test("timers fire in their order, whatever order they were set in", async () => {
    const order: string[] = [];
    const keys = ["c", "a", "d", "b"];
    const tasks = Object.fromEntries(
      keys.flatMap((key) => [
        [key, { sleepMs: key.charCodeAt(0) * day }],
        [`${key}x`, { do: "A.go", after: [key] }],
      ]),
    );
    const run = createWorkflowTest(defineWorkflow({ id: "order", tasks }), {
      agents: { A: { go: (_input, { taskKey }) => void order.push(taskKey) } },
    });
    await run.runUntilIdle();
    expect(order).toEqual(["ax", "bx", "cx", "dx"]);
    assertCompleted(run);
  });

  test("parses inputs and outputs by the agent's schemas, also around stubs", async () => {
    const wrong = defineWorkflow({
      id: "wrong",
      params: ["file"],
      tasks: { a: { do: "RENDERER.render", with: { file: param("file") }, retry: fixed } },
    });
    const bad = createWorkflowTest(wrong, {
      input: { file: "x" },
      agents: { RENDERER: stubAgent(RENDERER, { render: () => ({ bytes: "many" }) }) },
    });
    await bad.runUntilIdle();
    expect(bad.error).toMatchObject({ code: "OUTPUT_INVALID" });
    // As a start over HTTP: the input's type is that of the action.
    expect(() => createWorkflowTest(wrong, { input: { file: 7 }, agents: { RENDERER } })).toThrow(
      /\/input\/file .*RENDERER\.render/s,
    );
  });

  test("what stands in for nothing, and what nothing stands in for, is one clear error", () => {
    const make = (agents: object) => () => createWorkflowTest(single, { agents: { ...agents } });
    expect(make({})).toThrow('Cannot test workflow "single": nothing stands in for A.go');
    expect(make({ A: { go: () => 1, gone: () => 2 } })).toThrow(
      "Cannot stub A.gone: no task calls it; the tasks call A.go",
    );
    expect(() => stubAgent(RENDERER, { rendr: () => 1 } as object)).toThrow(
      "Cannot stub RENDERER.rendr: RENDERER has no such action, it has render",
    );
    const broken = { ...single, stages: { main: { title: "", tasks: { a: { doo: "A.go" } } } } };
    expect(() => createWorkflowTest(broken as never)).toThrow(/\/workflow\/stages\/main\/tasks\/a/);
    const run = createWorkflowTest(single, { agents: { A: { go: () => 1 } } });
    expect(() => run.failNext("A.stop", new Error("no"))).toThrow(/Cannot fail "A.stop"/);
    expect(() => run.advance("soon")).toThrow(/Cannot read the duration "soon"/);
  });

  test("an action gets its attempt, the clock, its checkpoint, and a signal that is aborted", async () => {
    const seen: Json[] = [];
    const signals: AbortSignal[] = [];
    const go = async (_input: unknown, ctx: TestContext) => {
      const { attempt, idempotencyKey, lastCheckpoint = null } = ctx;
      seen.push({ attempt, idempotencyKey, lastCheckpoint, at: ctx.clock.monotonicMs() });
      signals.push(ctx.signal);
      ctx.heartbeat({ percent: 1 });
      await ctx.checkpoint({ done: attempt });
    };
    const run = createWorkflowTest(single, {
      agents: { A: { go } },
      durations: { "A.go": ({ attempt }) => (attempt === 1 ? "20m" : "5m") },
      startAt: 0,
    });
    await run.runUntil(() => run.calls.length === 2);
    // The limit of ten minutes, and a second until the next attempt.
    expect(seen).toEqual([
      { attempt: 1, idempotencyKey: "single/a", lastCheckpoint: null, at: 0 },
      { attempt: 2, idempotencyKey: "single/a", lastCheckpoint: { done: 1 }, at: 601_000 },
    ]);
    await run.advance("1m");
    await run.cancel({ reason: "enough" });
    expect(run.status).toBe("cancelled");
    expect(signals.map(({ aborted }) => aborted)).toEqual([true, true]);
  });

  test("what needs a node is said, and may be passed", async () => {
    const go = async (_input: unknown, { host }: TestContext) => host.dataDir;
    const without = createWorkflowTest(single, { agents: { A: { go } } });
    await without.runUntilIdle();
    expect(without.error).toMatchObject({ code: "NO_SERVICE", message: /services: \{ host/ });
    const host = { dataDir: "/data", embeddedDatabase: false, redisUrl: undefined };
    const passed = createWorkflowTest(single, { agents: { A: { go } }, services: { host } });
    await passed.runUntilIdle();
    assertCompleted(passed, "/data");
  });

  test("failNext(): the next attempts of an action, a task or an instance", async () => {
    const run = createWorkflowTest(single, { agents: { A: { go: () => "done" } } });
    run.failNext("A.go", new AgentError("BUSY", "busy", { retryable: true }), { times: 2 });
    await run.runUntilIdle();
    assertCompleted(run, "done");
    expect([run.task("a").attempt, run.calls.length]).toEqual([3, 1]);
    const final = createWorkflowTest(single, { agents: { A: { go: () => "done" } } });
    final.failNext("a", new AgentError("GONE", "gone"));
    await final.runUntilIdle();
    expect([final.status, final.error?.code]).toEqual(["failed", "GONE"]);
  });

  test("killNext(): a dead thread counts as a failure, a dead node does not", async () => {
    const agents = { A: { go: () => "done" } };
    const thread = createWorkflowTest(single, { agents });
    thread.killNext("A.go", { times: 3 });
    await thread.runUntilIdle();
    expect([thread.error?.code, thread.calls.length]).toEqual(["POISONED", 3]);
    const node = createWorkflowTest(single, { agents });
    node.killNext("A.go", { what: "node", when: "before", times: 10 });
    await node.runUntilIdle();
    assertCompleted(node, "done");
    expect([node.task("a").attempt, node.calls.length]).toEqual([11, 1]);
    const once = createWorkflowTest(
      defineWorkflow({ id: "once", tasks: { a: { do: "A.go", delivery: "atMostOnce" } } }),
      { agents },
    );
    once.killNext("a", { what: "node" });
    await once.runUntilIdle();
    expect(once.task("a")).toMatchObject({ status: "parked", error: { code: "AMBIGUOUS" } });
    await once.resolve("a", "succeeded", "by hand");
    assertCompleted(once);
    expect(once.task("a").output).toBe("by hand");
  });

  test("signals, approvals and refusals come from the test", async () => {
    const ask = defineWorkflow({
      id: "ask",
      tasks: {
        go: { signal: "go" },
        ok: { approval: { title: "OK?" }, after: ["go"] },
      },
      output: [output("go"), output("ok")],
    });
    const run = createWorkflowTest(ask);
    await expect(run.approve("ok")).rejects.toThrow(/Cannot approve "ok": it is blocked/);
    await run.signal("go", 1);
    await run.approve("ok", { by: "ada" });
    assertCompleted(run, [1, { by: "ada" }]);
    const other = createWorkflowTest(ask);
    await other.signal("go");
    await other.reject("ok", "no budget");
    expect(other.error).toMatchObject({ code: "REJECTED", message: '"ok" was refused: no budget' });
  });

  test("a pause stops the clocks of timers; a retry goes on where it failed", async () => {
    const nap = defineWorkflow({
      id: "nap",
      tasks: { nap: { sleepMs: day }, go: { do: "A.go", after: ["nap"] } },
    });
    const run = createWorkflowTest(nap, { agents: { A: { go: () => null } }, startAt: 0 });
    run.failNext("go", new AgentError("NO", "no"));
    await run.advance("12h");
    await run.pause();
    await run.advance("1y");
    expect(run.status).toBe("paused");
    await run.resume();
    await run.runUntilIdle();
    expect([run.status, run.now]).toEqual(["failed", 366 * day]);
    await run.retry();
    assertCompleted(run);
  });

  test("child runs share the clock, and refuse a wrong input as the engine does", async () => {
    const child = defineWorkflow({
      id: "child",
      params: ["n"],
      tasks: { nap: { sleepMs: day }, ok: { approval: { title: "?" }, after: ["nap"] } },
      output: output("ok"),
    });
    const parent = defineWorkflow({
      id: "parent",
      tasks: { sub: { workflow: "child", with: { n: 1 } } },
      output: output("sub"),
    });
    expect(() => createWorkflowTest(parent)).toThrow(/starts the workflow "child"; pass it in/);
    const run = createWorkflowTest(parent, { workflows: [child], startAt: 0 });
    await run.advance("1d");
    const sub = run.child("sub");
    expect([sub.status, sub.task("ok").status]).toEqual(["running", "running"]);
    await sub.approve("ok", 42);
    await run.runUntilIdle();
    assertCompleted(run, 42);
    const wrong = defineWorkflow({ id: "wrong", tasks: { sub: { workflow: "child" } } });
    expect(() => createWorkflowTest(wrong, { workflows: [child] })).toThrow(/tasks\/sub/);
    const typed = defineWorkflow({
      id: "typed",
      params: ["file"],
      tasks: { a: { do: "RENDERER.render", with: { file: param("file") } } },
    });
    const late = defineWorkflow({
      id: "late",
      tasks: {
        a: { do: "A.go" },
        sub: { workflow: "typed", after: ["a"], with: { file: output("a") } },
      },
    });
    const refused = createWorkflowTest(late, {
      workflows: [typed],
      agents: { RENDERER, A: { go: () => 5 } },
    });
    await refused.runUntilIdle();
    expect(refused.error).toMatchObject({ code: "INVALID" });
  });

  test("a rollback calls what undoes a task, once more when that fails", async () => {
    const undone: Json[] = [];
    const saga = defineWorkflow({
      id: "saga",
      tasks: {
        a: { do: "A.go", compensate: true, retry: fixed },
        b: { do: "B.go", after: ["a"], compensate: "B.back" },
        c: { do: "B.fail", after: ["b"], onFailure: "rollback" },
      },
    });
    const run = createWorkflowTest(saga, {
      agents: {
        A: { go: { run: () => 1, compensate: (_input, ctx) => void undone.push(ctx.taskKey) } },
        B: {
          go: () => 2,
          back: (_input, { taskKey }) => void undone.push(taskKey),
          fail: () => {
            throw new AgentError("NO", "no");
          },
        },
      },
    });
    run.failNext("a", new AgentError("BUSY", "busy", { retryable: true }), { undo: true });
    await run.runUntilIdle();
    expect([run.status, run.error?.code, undone]).toEqual(["failed", "NO", ["b", "a"]]);
    expect([run.task("a").status, run.task("b").status]).toEqual(["compensated", "compensated"]);
  });

  test("what actions spend counts towards the budget", async () => {
    const costly = defineWorkflow({
      id: "costly",
      budget: { tokens: { hard: 10 } },
      tasks: { a: { do: "A.go" }, b: { do: "A.go", after: ["a"] } },
    });
    const go = (_input: unknown, ctx: TestContext) => ctx.spend("tokens", 10);
    const run = createWorkflowTest(costly, { agents: { A: { go } } });
    await run.runUntilIdle();
    expect([run.status, run.calls.length]).toEqual(["paused", 1]);
    await run.raiseBudget({ tokens: 100 });
    await run.resume();
    await run.runUntilIdle();
    assertCompleted(run);
  });

  test("runUntil() says when there is nothing left that could make it true", async () => {
    const run = createWorkflowTest(single, { agents: { A: { go: () => 1 } } });
    await expect(run.runUntil(() => run.calls.length === 2)).rejects.toThrow(
      "Cannot reach the condition: the run is completed",
    );
  });
});
