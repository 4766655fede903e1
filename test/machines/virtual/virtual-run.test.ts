import { describe, expect, test } from "vitest";
import type { Json } from "../../../machines/error-code.ts";
import type { RunPlan } from "../../../machines/run/plan.ts";
import type { TaskOutcome } from "../../../machines/run/state.ts";
import {
  createVirtualRun,
  type VirtualAnswer,
  type VirtualCall,
  type VirtualRunOptions,
} from "../../../machines/virtual/virtual-run.ts";
import { chartPlanOf, planOf } from "../../support/run-events.ts";

const year = 365 * 24 * 3_600_000;

function succeeded(output: Json = null): TaskOutcome {
  return { type: "succeeded", output };
}

function failed(code: string, retryable = true): TaskOutcome {
  return { type: "failed", error: { name: "Error", message: code, code, retryable } };
}

/** A run whose tasks take `ms` and do `outcome`; both may depend on the call. */
function runOf(
  plan: RunPlan,
  answer: (call: VirtualCall) => Partial<VirtualAnswer> | undefined = () => ({}),
  options: Partial<VirtualRunOptions> = {},
) {
  const calls: VirtualCall[] = [];
  const run = createVirtualRun({
    plan,
    input: {},
    ...options,
    execute: (call) => {
      calls.push(call);
      const given = answer(call);
      return given && { durationMs: 10, outcome: succeeded(), ...given };
    },
  });
  return { run, calls };
}

const statusOf = (run: ReturnType<typeof runOf>["run"], key: string) =>
  run.state().tasks.get(key)?.status;

describe("createVirtualRun()", () => {
  test("runs a graph in the time of its longest chain", async () => {
    const plan = planOf({
      main: { a: {}, b: { after: ["a"] }, c: { after: ["a"] }, d: { after: ["b", "c"] } },
    });
    const { run } = runOf(plan, ({ plan: key }) => ({ durationMs: key === "b" ? 30 : 10 }));
    expect(await run.runUntilIdle()).toMatchObject({ status: "completed", finishedAtMs: 50 });
    expect(run.nowMs()).toBe(50);
    expect(
      run.attempts().map(({ taskKey, startMs, finishMs }) => [taskKey, startMs, finishMs]),
    ).toEqual([
      ["a", 0, 10],
      ["c", 10, 20],
      ["b", 10, 40],
      ["d", 40, 50],
    ]);
  });

  test("writes the journal of a real run, without gaps", async () => {
    const { run } = runOf(planOf({ one: { a: {} }, two: { b: {} } }), undefined, { startAtMs: 5 });
    await run.runUntilIdle();
    expect(run.journal().map(({ seq }) => seq)).toEqual(run.journal().map((_, index) => index + 1));
    expect(run.journal().map(({ atMs, type }) => `${atMs} ${type}`)).toEqual([
      "5 run.started",
      "5 stage.entered",
      "5 task.ready",
      "5 task.dispatched",
      "5 task.started",
      "15 task.succeeded",
      "15 stage.entered",
      "15 task.ready",
      "15 task.dispatched",
      "15 task.started",
      "25 task.succeeded",
      "25 run.completed",
    ]);
  });

  test("keeps to the limits of agents and of the run", async () => {
    const tasks = Object.fromEntries(Array.from({ length: 6 }, (_, index) => [`t${index}`, {}]));
    const { run } = runOf(planOf({ main: tasks }), undefined, { limits: { agent: () => 2 } });
    await run.runUntilIdle();
    expect(run.nowMs()).toBe(30);
    const wide = runOf({ ...planOf({ main: tasks }), maxParallel: 3 });
    await wide.run.runUntilIdle();
    expect(wide.run.nowMs()).toBe(20);
  });

  test("repeats failed attempts after their pause, and fails when there is no further", async () => {
    const retry = { maxFailures: 3, kind: "exponential" as const, initialMs: 100, maxMs: 1_000 };
    const plan = planOf({ main: { a: { retry } } });
    const twice = runOf(plan, ({ attempt }) => ({
      outcome: attempt < 3 ? failed("BUSY") : succeeded(),
    }));
    expect(await twice.run.runUntilIdle()).toMatchObject({ status: "completed" });
    // 10 + 100 + 10 + 200 + 10
    expect(twice.run.nowMs()).toBe(330);
    expect(twice.run.attempts().map(({ error }) => error?.code)).toEqual([
      "BUSY",
      "BUSY",
      undefined,
    ]);
    const always = runOf(plan, () => ({ outcome: failed("BUSY") }));
    expect(await always.run.runUntilIdle()).toMatchObject({
      status: "failed",
      error: { code: "BUSY" },
    });
  });

  test("an attempt that takes longer than its limit is timed out", async () => {
    const plan = planOf({ main: { a: { timeouts: { startToCloseMs: 500 } } } });
    const { run } = runOf(plan, () => ({ durationMs: 10_000 }));
    expect(await run.runUntilIdle()).toMatchObject({
      status: "failed",
      finishedAtMs: 500,
      error: { code: "START_TO_CLOSE_TIMEOUT" },
    });
  });

  test("a sleep of a year takes no time", async () => {
    const { run } = runOf(planOf({ main: { wait: { kind: "sleep", sleepMs: year } } }));
    await run.runUntilIdle();
    expect(run.state()).toMatchObject({ status: "completed", finishedAtMs: year });
  });

  test("advance() lets exactly this much time pass", async () => {
    const { run } = runOf(planOf({ main: { wait: { kind: "sleep", sleepMs: 1_000 } } }));
    await run.advance(999);
    expect([run.nowMs(), statusOf(run, "wait")]).toEqual([999, "running"]);
    await run.advance(1);
    expect([run.nowMs(), run.state().status]).toEqual([1_000, "completed"]);
  });

  test("fills inputs from the run's input and from outputs", async () => {
    const plan = planOf({
      main: {
        a: { input: { from: { $param: "dir" } } },
        b: { after: ["a"], input: { list: { $output: "a", path: "files" } } },
      },
    });
    const { calls, run } = runOf(plan, () => ({ outcome: succeeded({ files: [1, 2] }) }), {
      input: { dir: "/x" },
    });
    await run.runUntilIdle();
    expect(calls.map(({ input }) => input)).toEqual([{ from: "/x" }, { list: [1, 2] }]);
  });

  test("an input that cannot be filled fails the attempt as it would for real", async () => {
    const plan = planOf({
      main: { a: {}, b: { after: ["a"], input: { x: { $output: "a", path: "no" } } } },
    });
    const { run } = runOf(plan, () => ({ outcome: succeeded({}) }));
    await run.runUntilIdle();
    expect(run.state()).toMatchObject({ status: "failed", error: { code: "INPUT_UNRESOLVED" } });
  });

  test("fans out over a list, within its window, and gives the outputs in order", async () => {
    const plan = planOf(
      {
        main: {
          list: {},
          each: { after: ["list"], group: "each", forEach: [], input: { n: { $item: true } } },
          sum: { after: ["each"], input: { all: { $output: "each" } } },
        },
      },
      { groups: [{ key: "each", items: { $output: "list" }, window: 2, tasks: ["each"] }] },
    );
    const { calls, run } = runOf(plan, ({ input, plan: key }) => {
      if (key === "list") return { outcome: succeeded([3, 1, 2, 1]) };
      if (key === "sum") return {};
      const { n } = input as { n: number };
      return { durationMs: n * 10, outcome: succeeded(n * n) };
    });
    expect(await run.runUntilIdle()).toMatchObject({ status: "completed" });
    expect(calls.at(-1)?.input).toEqual({ all: [9, 1, 4, 1] });
    // 10, then 3 beside 1 and 2, then 1 alone in the freed place, then 10.
    expect(run.nowMs()).toBe(10 + 40 + 10);
  });

  test("waits for a signal that nobody sends, and takes it when it comes", async () => {
    const plan = planOf({
      main: { wait: { kind: "signal", signal: "go" }, next: { after: ["wait"] } },
    });
    const { run } = runOf(plan, ({ kind }) => (kind === "signal" ? undefined : {}));
    expect(await run.runUntilIdle()).toMatchObject({ status: "running" });
    await run.advance(year);
    await run.signal("go", { yes: true });
    expect(run.outputs().get("wait")).toEqual({ yes: true });
    expect(await run.runUntilIdle()).toMatchObject({
      status: "completed",
      finishedAtMs: year + 10,
    });
  });

  test("what waits for a signal, a person or a child is answered when the caller says so", async () => {
    const plan = planOf({
      main: {
        signal: { kind: "signal", signal: "go" },
        person: { kind: "approval" },
        child: { kind: "workflow", workflow: "other" },
      },
    });
    const { run } = runOf(plan, ({ kind }) => ({ durationMs: 100, outcome: succeeded(kind) }));
    expect(await run.runUntilIdle()).toMatchObject({ status: "completed", finishedAtMs: 100 });
    expect(Object.fromEntries(run.outputs())).toEqual({
      signal: "signal",
      person: "approval",
      child: "workflow",
    });
  });

  test("a child run that is known runs with its parent, in the same time", async () => {
    const child = planOf(
      { main: { x: {}, y: { after: ["x"] } } },
      { output: { from: { $output: "y" } } },
    );
    const plan = planOf({
      main: { a: { kind: "workflow", workflow: "child" }, b: { after: ["a"] } },
    });
    const { run } = runOf(plan, ({ plan: key }) => ({ outcome: succeeded(key) }), {
      childPlan: (name) => (name === "child" ? child : undefined),
    });
    expect(await run.runUntilIdle()).toMatchObject({ status: "completed", finishedAtMs: 30 });
    expect(run.outputs().get("a")).toEqual({ from: "y" });
    const [, childId = ""] = run.runs();
    expect(run.child(childId)?.state().status).toBe("completed");
  });

  test("undoes what finished, newest first, when a task's strategy is rollback", async () => {
    const undo = { agent: "A", action: "undo" };
    const plan = planOf({
      main: {
        a: { compensate: undo },
        b: { after: ["a"], compensate: undo },
        c: { after: ["b"], onFailure: "rollback" },
      },
    });
    const { calls, run } = runOf(plan, ({ plan: key }) =>
      key === "c" ? { outcome: failed("NO", false) } : {},
    );
    expect(await run.runUntilIdle()).toMatchObject({ status: "failed", finishedAtMs: 50 });
    expect(calls.filter((call) => call.undo).map(({ taskKey }) => taskKey)).toEqual(["b", "a"]);
    expect([statusOf(run, "a"), statusOf(run, "b")]).toEqual(["compensated", "compensated"]);
  });

  test("stops attempts of a run that is cancelled", async () => {
    const { run } = runOf(planOf({ main: { a: {} } }), () => ({ durationMs: 900 }));
    await run.advance(100);
    await run.post({ type: "run.cancel", reason: "enough" }, "me");
    expect(await run.runUntilIdle()).toMatchObject({ status: "cancelled", finishedAtMs: 100 });
    expect(run.attempts()).toMatchObject([{ outcome: "stopped", finishMs: 100 }]);
    expect(run.nowMs()).toBe(100);
  });

  test("starts paused, and goes on when it is resumed", async () => {
    const { calls, run } = runOf(planOf({ main: { a: {} } }), undefined, { startPaused: true });
    await run.advance(1_000);
    expect(calls).toEqual([]);
    await run.post({ type: "run.resume", reason: null });
    expect(await run.runUntilIdle()).toMatchObject({ status: "completed", finishedAtMs: 1_010 });
  });

  test("follows a statechart with timers and parallel states", async () => {
    const plan = chartPlanOf(
      { build: { b: {} }, lint: { l: {} }, ship: { s: {} } },
      {
        initial: "check",
        states: {
          check: {
            type: "parallel",
            onDone: "rest",
            states: {
              build: {
                initial: "go",
                states: {
                  go: { invoke: { src: "build", id: "build", onDone: "ok" } },
                  ok: { type: "final" },
                },
              },
              lint: {
                initial: "go",
                states: {
                  go: { invoke: { src: "lint", id: "lint", onDone: "ok" } },
                  ok: { type: "final" },
                },
              },
            },
          },
          rest: { after: { 5_000: "ship" } },
          ship: { invoke: { src: "ship", id: "ship", onDone: "completed", onError: "failed" } },
          completed: { type: "final" },
          failed: { type: "final" },
        },
      },
    );
    const { run } = runOf(plan);
    expect(await run.runUntilIdle()).toMatchObject({ status: "completed", finishedAtMs: 5_020 });
  });

  test("is the same journal for the same answers, entry by entry", async () => {
    const journalOf = async () => {
      const tasks = Object.fromEntries(
        Array.from({ length: 30 }, (_, index) => [
          `t${index}`,
          { after: index < 3 ? [] : [`t${index - 3}`], maxFailures: 3 },
        ]),
      );
      const { run } = runOf(planOf({ main: tasks }), ({ attempt, plan: key }) => ({
        durationMs: key.length * 7 + attempt,
        outcome: attempt === 1 && key.endsWith("3") ? failed("FLAKY") : succeeded(key),
      }));
      await run.runUntilIdle();
      return run.journal();
    };
    expect(await journalOf()).toEqual(await journalOf());
  });

  test("a run that never ends is ended by its limit of events", async () => {
    const plan = chartPlanOf(
      { again: { a: {} } },
      {
        initial: "again",
        states: {
          again: {
            invoke: { src: "again", id: "again", onDone: { target: "again", reenter: true } },
          },
          completed: { type: "final" },
        },
      },
    );
    const { run } = runOf(plan, undefined, { eventLimit: 500 });
    await expect(run.runUntilIdle()).rejects.toMatchObject({ code: "SIMULATION_TOO_LONG" });
  });

  test("300 runs that sleep for a year are independent of each other", async () => {
    const plan = planOf({
      main: { wait: { kind: "sleep", sleepMs: year }, then: { after: ["wait"] } },
    });
    const runs = Array.from({ length: 300 }, () => runOf(plan).run);
    const ended = await Promise.all(runs.map((run) => run.runUntilIdle()));
    expect(new Set(ended.map(({ finishedAtMs }) => finishedAtMs))).toEqual(new Set([year + 10]));
  });

  test("steps that overlap are taken one after the other", async () => {
    const plan = planOf({ main: { a: {}, b: { after: ["a"] } } });
    const { run } = runOf(plan);
    await Promise.all([run.step(), run.step(), run.step(), run.step()]);
    expect(run.state().status).toBe("completed");
  });
});
