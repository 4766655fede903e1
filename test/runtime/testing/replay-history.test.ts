import { describe, expect, test } from "vitest";
import { defineWorkflow, item, output } from "../../../actors/define-workflow.ts";
import { AgentError } from "../../../machines/error-code.ts";
import {
  assertReplays,
  createWorkflowTest,
  type RecordedHistory,
  recordedHistory,
  replayHistory,
  type WorkflowTest,
} from "../../../runtime/testing/index.ts";

const busy = new AgentError("BUSY", "busy", { retryable: true });
const no = new AgentError("NO", "no");
const fixed = { backoff: "fixed", initialMs: 1_000, jitter: 0 } as const;

/** Something of everything that can happen to a run, and what happens to it. */
const cases: Readonly<Record<string, () => Promise<WorkflowTest>>> = {
  "a list, retries with chance, and deaths": async () => {
    let chance = 0;
    const run = createWorkflowTest(
      defineWorkflow({
        id: "list",
        tasks: {
          list: { do: "A.list" },
          each: {
            do: "A.each",
            after: ["list"],
            forEach: output("list"),
            with: { n: item() },
            window: 2,
          },
          sum: { do: "A.sum", after: ["each"], with: { all: output("each") } },
        },
        output: output("sum"),
      }),
      {
        agents: {
          A: { list: () => [1, 2, 3, 4], each: ({ n }: { n: number }) => n, sum: () => 10 },
        },
        durations: { "A.each": ({ attempt }) => attempt * 700 },
        random: () => {
          chance = (chance + 0.37) % 1;
          return chance;
        },
      },
    );
    run.failNext("A.each", busy, { times: 3 });
    run.killNext("sum");
    run.killNext("each[2]", { what: "node" });
    await run.runUntilIdle();
    return run;
  },
  "a task that kills three threads": async () => {
    const run = createWorkflowTest(defineWorkflow({ id: "poison", tasks: { a: { do: "A.go" } } }), {
      agents: { A: { go: () => 1 } },
    });
    run.killNext("a", { times: 3 });
    await run.runUntilIdle();
    await run.retry();
    await run.runUntilIdle();
    return run;
  },
  "time limits, timers, a pause and a cancellation": async () => {
    const run = createWorkflowTest(
      defineWorkflow({
        id: "times",
        tasks: {
          slow: {
            do: "A.go",
            timeouts: { startToCloseMs: 500 },
            retry: { ...fixed, attempts: 2 },
            onFailure: "skip",
          },
          late: { do: "A.go", timeouts: { scheduleToCloseMs: 300 }, onFailure: "skip" },
          nap: { sleepMs: 60_000, after: ["slow"] },
          long: { do: "A.go", after: ["nap"] },
        },
      }),
      {
        agents: { A: { go: () => 1 } },
        durations: { slow: Infinity, late: Infinity, long: 5_000 },
      },
    );
    await run.advance(30_000);
    await run.pause({ reason: "lunch" });
    await run.advance("1h");
    await run.resume();
    await run.runUntil(() => run.task("long").status === "running");
    await run.cancel({ reason: "enough" });
    await run.runUntilIdle();
    return run;
  },
  "signals, approvals, conditions and an alternative": async () => {
    const run = createWorkflowTest(
      defineWorkflow({
        id: "people",
        tasks: {
          go: { signal: "go" },
          ok: { approval: { title: "?" }, after: ["go"] },
          main: { do: "A.main", after: ["ok"], onFailure: { run: "other" } },
          other: { do: "A.other" },
          local: { do: "A.other", after: ["main"], local: true },
        },
        output: { by: output("ok", "by"), of: output("main") },
      }),
      { agents: { A: { main: () => 1, other: () => ({ is: "other" }) } } },
    );
    run.failNext("main", no);
    await run.signal("early", 1);
    await run.signal("go", { yes: true });
    await run.approve("ok", { by: "ada" });
    await run.runUntilIdle();
    return run;
  },
  "a rollback whose undoing fails at first": async () => {
    const run = createWorkflowTest(
      defineWorkflow({
        id: "saga",
        tasks: {
          a: { do: "A.go", compensate: "A.back" },
          b: { do: "A.go", after: ["a"], onFailure: "rollback" },
        },
      }),
      { agents: { A: { go: () => 1, back: () => null } } },
    );
    run.failNext("b", no);
    run.failNext("a", busy, { undo: true });
    await run.runUntilIdle();
    return run;
  },
  "a budget that pauses, and is raised": async () => {
    const run = createWorkflowTest(
      defineWorkflow({
        id: "budget",
        budget: { tokens: { soft: 5, hard: 10 }, tasks: { hard: 3 } },
        tasks: {
          a: { do: "A.go" },
          b: { do: "A.go", after: ["a"] },
          c: { do: "A.go", after: ["b"] },
        },
      }),
      { agents: { A: { go: (_input, ctx) => ctx.spend("tokens", 6) } } },
    );
    await run.runUntilIdle();
    await run.raiseBudget({ tokens: 100, tasks: 100 });
    await run.resume();
    await run.runUntilIdle();
    return run;
  },
  "a task of unknown outcome, decided by hand": async () => {
    const run = createWorkflowTest(
      defineWorkflow({
        id: "once",
        tasks: {
          a: { do: "A.go", delivery: "atMostOnce" },
          b: { do: "A.go", delivery: "atMostOnce" },
          c: { do: "A.go", after: ["a", "b"], onFailure: "escalate" },
        },
      }),
      { agents: { A: { go: () => 1 } } },
    );
    run.killNext("a", { what: "node" });
    run.killNext("b");
    run.failNext("c", no);
    await run.runUntilIdle();
    await run.resolve("a", "succeeded", 5);
    await run.resolve("b", "retry");
    await run.runUntilIdle();
    await run.resolve("c", "skip");
    await run.runUntilIdle();
    return run;
  },
  "a child run": async () => {
    const child = defineWorkflow({
      id: "child",
      tasks: { a: { do: "A.go" } },
      output: output("a"),
    });
    const run = createWorkflowTest(
      defineWorkflow({
        id: "parent",
        tasks: { sub: { workflow: "child" }, bad: { workflow: "child", onFailure: "skip" } },
        output: output("sub"),
      }),
      { workflows: [child], agents: { A: { go: () => 7 } } },
    );
    run.failNext("a", no);
    await run.runUntilIdle();
    return run;
  },
};

/** As the HTTP API tells it. */
function withoutPatches(history: RecordedHistory): RecordedHistory {
  const journal = history.journal.map(({ atMs, patch: _patch, ...entry }) => ({
    ...entry,
    at: new Date(atMs).toISOString(),
  }));
  const tasks = Object.entries(history.outputs).map(([key, value]) => ({ key, output: value }));
  const { definition, id, input, priority } = history;
  return recordedHistory({ definition, run: { id, input, priority }, journal, tasks });
}

describe("replayHistory()", () => {
  for (const [name, make] of Object.entries(cases)) {
    test(`${name}: leads to the same journal, patch by patch`, async () => {
      const run = await make();
      const history = run.history();
      expect(replayHistory(history)).toEqual({
        compared: history.journal.length,
        patches: true,
        adopted: [],
        difference: null,
        status: run.status,
      });
      expect(history.journal.length).toBeGreaterThan(8);
    });
  }

  test("compares what the HTTP API tells, without patches", async () => {
    for (const name of [
      "a list, retries with chance, and deaths",
      "signals, approvals, conditions and an alternative",
    ]) {
      const run = await cases[name]?.();
      if (run === undefined) throw new Error(`no case ${name}`);
      const report = replayHistory(withoutPatches(run.history()));
      expect(report).toMatchObject({ difference: null, patches: false, status: run.status });
    }
  });

  test("a child run's own history replays too", async () => {
    const run = await cases["a child run"]?.();
    const history = run?.child("bad").history();
    expect(history).toMatchObject({ parent: { taskKey: "bad" }, definition: { id: "child" } });
    if (history !== undefined) assertReplays(history);
  });

  const recorded = async () => {
    const definition = defineWorkflow({
      id: "order",
      tasks: { a: { do: "A.go", retry: fixed }, b: { do: "A.go", after: ["a"] } },
    });
    const run = createWorkflowTest(definition, { agents: { A: { go: () => 1 } } });
    run.failNext("a", busy);
    await run.runUntilIdle();
    return { definition, history: run.history() };
  };

  test("finds the first entry that another definition writes differently", async () => {
    const { history } = await recorded();
    const parallel = defineWorkflow({
      id: "order",
      tasks: { a: { do: "A.go", retry: fixed }, b: { do: "A.go" } },
    });

    expect(replayHistory(history, { definition: parallel }).difference).toMatchObject({
      seq: 4,
      recorded: { type: "task.dispatched", payload: { task: "a" } },
      replayed: { type: "task.ready", payload: { task: "b" } },
    });
    const slower = defineWorkflow({
      id: "order",
      tasks: {
        a: { do: "A.go", retry: { ...fixed, initialMs: 9 } },
        b: { do: "A.go", after: ["a"] },
      },
    });
    expect(() => assertReplays(history, { definition: slower })).toThrow(
      /goes another way from entry 6 on:\n- recorded .*"delayMs":1000.*\n\+ replayed .*"delayMs":9/,
    );
    const without = defineWorkflow({ id: "order", tasks: { b: { do: "A.go" } } });
    expect(replayHistory(history, { definition: without }).difference).not.toBeNull();
  });

  test("finds an entry that was changed, and a gap", async () => {
    const { history } = await recorded();
    const journal = history.journal.map((entry) =>
      entry.seq === 9 ? { ...entry, payload: { task: "a", attempt: 7 } } : entry,
    );
    expect(replayHistory({ ...history, journal }).difference).toMatchObject({ seq: 9 });
    expect(() => replayHistory({ ...history, journal: journal.slice(1) })).toThrow(
      /HISTORY|its journal has 2 where entry 1 must stand/,
    );
  });

  test("refuses a run that begins in the middle of another one", async () => {
    const { history } = await recorded();
    const [first, ...rest] = history.journal;
    if (first === undefined) throw new Error("no entry");
    const journal = [{ ...first, type: "run.forked" }, ...rest];
    expect(() => replayHistory({ ...history, journal })).toThrow(/replay that one/);
  });

  test("takes over what no rule writes, and says so", async () => {
    const { history } = await recorded();
    const seq = history.journal.length + 1;
    const moved = { seq, type: "run.moved", atMs: 1, actor: "cli", payload: {}, patch: {} };
    const report = replayHistory({ ...history, journal: [...history.journal, moved] });
    expect(report).toMatchObject({ adopted: [seq], difference: null, status: "completed" });
  });
});
