import { describe, expect, test } from "vitest";
import { type DurationHistory, noHistory } from "../../../machines/plan/duration-history.ts";
import { executionPlan } from "../../../machines/plan/execution-plan.ts";
import type { RunPlan } from "../../../machines/run/plan.ts";
import type { RunState } from "../../../machines/run/state.ts";
import { createVirtualRun } from "../../../machines/virtual/virtual-run.ts";
import * as support from "../../support/run-events.ts";

const limits = { agent: () => 4, actionConnections: () => 0, connections: 6 };

/** No attempt is timed out. */
function patient(plan: RunPlan): RunPlan {
  const tasks = [...plan.tasks].map(([key, task]) => {
    const timeouts = { ...task.timeouts, startToCloseMs: 600_000 };
    return [key, { ...task, timeouts }] as const;
  });
  return { ...plan, tasks: new Map(tasks) };
}

const planOf: typeof support.planOf = (...args) => patient(support.planOf(...args));
const chartPlanOf: typeof support.chartPlanOf = (...args) => patient(support.chartPlanOf(...args));

/** Seen fifty times each, with hardly any deviation. */
function historyOf(ms: Readonly<Record<string, number>>): DurationHistory {
  const tasks = Object.entries(ms).map(([key, value]) => {
    const durations = { count: 50, logMean: Math.log(value), logM2: 0.01 };
    return [key, { durations, failures: 0, items: undefined }] as const;
  });
  return { tasks: new Map(tasks), actions: new Map() };
}

function planned(plan: RunPlan, options: Partial<Parameters<typeof executionPlan>[0]> = {}) {
  const preset = {
    state: null,
    input: {},
    history: noHistory,
    limits,
    nowMs: 1_000_000,
    seed: "s",
  };
  return executionPlan({ plan, ...preset, ...options });
}

async function stateAfter(plan: RunPlan, ms: number, durationMs: (key: string) => number) {
  const run = createVirtualRun({
    plan,
    input: {},
    startAtMs: 1_000_000,
    execute: (call) => ({
      durationMs: durationMs(call.plan),
      outcome: { type: "succeeded", output: null },
    }),
  });
  await run.advance(ms);
  return { state: run.state() as RunState, nowMs: run.nowMs() };
}

const diamond = planOf({
  first: { a: {}, b: { after: ["a"] }, c: { after: ["a"] } },
  second: { d: { after: ["b"] } },
});
const seen = historyOf({ a: 1_000, b: 8_000, c: 2_000, d: 3_000 });

describe("executionPlan()", () => {
  test("before the start: path, slack, groups, checkpoints, finish", () => {
    const plan = planned(diamond, { history: seen });
    expect(plan.criticalPath).toEqual(["a", "b", "d"]);
    expect(plan.criticalPathMs).toBeCloseTo(12_000, 0);
    expect(plan.groups).toEqual([
      { level: 1, keys: ["a"] },
      { level: 2, keys: ["b", "c"] },
      { level: 3, keys: ["d"] },
    ]);
    expect(plan.checkpoints).toEqual(["a", "stage first", "d", "stage second"]);
    expect(plan.tasks.find(({ key }) => key === "c")).toMatchObject({
      critical: false,
      source: "task",
      observations: 50,
    });
    expect(plan.tasks.find(({ key }) => key === "c")?.slackMs).toBeCloseTo(6_000, 0);
    expect(Math.abs((plan.finish?.expectedAtMs ?? 0) - 1_012_000)).toBeLessThan(600);
    expect(plan.finish?.lowAtMs).toBeLessThan(plan.finish?.highAtMs ?? 0);
    expect(plan.complete).toBe(true);
  });

  test("while it runs: what is over counts as it was, and the end follows", async () => {
    // `a` took five times as long as ever before.
    const { nowMs, state } = await stateAfter(diamond, 6_000, (key) =>
      key === "a" ? 5_000 : 8_000,
    );
    const plan = planned(diamond, { history: seen, state, nowMs });
    expect(plan.tasks.find(({ key }) => key === "a")).toMatchObject({
      source: "actual",
      expectedMs: 5_000,
      startAtMs: 1_000_000,
      finishAtMs: 1_005_000,
    });
    // 5 s + 8 s of b, of which 1 s has passed, + 3 s.
    expect(Math.abs((plan.finish?.expectedAtMs ?? 0) - 1_016_000)).toBeLessThan(800);
    expect(plan.criticalPath).toEqual(["a", "b", "d"]);
  });

  test("of a run that has ended there is nothing to expect", async () => {
    const { nowMs, state } = await stateAfter(diamond, 60_000, () => 100);
    expect(state.status).toBe("completed");
    const plan = planned(diamond, { history: seen, state, nowMs });
    expect(plan.finish).toBeNull();
    expect(plan.tasks.every(({ source }) => source === "actual")).toBe(true);
    expect(plan.criticalPathMs).toBe(300);
  });

  test("a group counts its items, in waves of its window; a list of the input is known", () => {
    const group = { key: "each", items: { $param: "files" }, window: 2, tasks: ["each"] };
    const fan = planOf(
      { main: { each: { group: "each", forEach: { $param: "files" } }, end: { after: ["each"] } } },
      { groups: [group] },
    );
    const history = historyOf({ each: 1_000, end: 500 });
    const plan = planned(fan, { input: { files: [1, 2, 3, 4, 5] }, history });
    const each = plan.tasks.find(({ key }) => key === "each");
    expect(each?.task.items).toEqual({ count: 5, known: true });
    expect(plan.criticalPath).toEqual(["each", "end"]);
    expect(plan.criticalPathMs).toBeCloseTo(3_500, 0);
    expect(plan.agents).toMatchObject([{ agent: "A", tasks: 6, peak: 2 }]);
    const unknown = { ...fan, groups: new Map([["each", { ...group, items: { $output: "x" } }]]) };
    const guess = planned(unknown, { history }).tasks.find(({ key }) => key === "each");
    expect(guess?.task.items).toEqual({ count: 10, known: false });
  });

  test("names what a rollback undoes up to each checkpoint, and what stays", () => {
    const undo = { agent: "A", action: "undo" };
    const saga = planOf({
      one: { a: { compensate: undo }, b: { after: ["a"] } },
      two: { c: { compensate: undo, onFailure: "rollback" } },
    });
    expect(planned(saga).rollbackPoints).toEqual([
      { at: "a", undoes: ["a"], permanent: [] },
      { at: "b", undoes: [], permanent: ["b"] },
      { at: "c", undoes: ["c"], permanent: [] },
    ]);
  });

  test("leaves out what takes another's place, and what its condition rules out", () => {
    const plan = planned(
      planOf({
        main: {
          a: { onFailure: "b" },
          b: { alternativeTo: "a", after: ["a"] },
          c: { when: { $eq: [{ $param: "mode" }, "full"] } },
          d: { when: { $output: "a" }, after: ["a"] },
        },
      }),
      { input: { mode: "quick" } },
    );
    expect(plan.tasks.map(({ key, task }) => [key, task.skipped, task.conditional])).toEqual([
      ["a", false, false],
      ["b", true, false],
      ["c", true, false],
      ["d", false, true],
    ]);
  });

  test("follows parallel states and timers of a statechart, and stops where a signal decides", () => {
    const region = (src: string) => ({
      initial: "go",
      states: {
        go: { invoke: { src, id: src, onDone: "ok" } },
        ok: { type: "final" },
      },
    });
    const states = {
      check: {
        type: "parallel",
        onDone: "rest",
        states: { build: region("build"), lint: region("lint") },
      },
      rest: { after: { 5_000: "ship" } },
      ship: { invoke: { src: "ship", id: "ship", onDone: "completed" } },
      completed: { type: "final" },
    };
    const stages = { build: { b: {} }, lint: { l: {} }, ship: { s: {} } };
    const plan = planned(chartPlanOf(stages, { initial: "check", states }), {
      history: historyOf({ b: 1_000, l: 4_000, s: 1_000 }),
    });
    expect(plan.complete).toBe(true);
    expect(plan.groups).toMatchObject([{ keys: ["b", "l"] }, { keys: ["s"] }]);
    expect(plan.criticalPath).toEqual(["l", "s"]);
    expect(plan.criticalPathMs).toBeCloseTo(10_000, 0);
    const waits = chartPlanOf(stages, {
      initial: "check",
      states: { ...states, rest: { on: { go: "ship" } } },
    });
    expect(planned(waits)).toMatchObject({ complete: false, groups: [{ keys: ["b", "l"] }] });
  });

  test("an agent's limit makes the end later, though the critical path stays", () => {
    const tasks = Object.fromEntries(Array.from({ length: 6 }, (_, index) => [`t${index}`, {}]));
    const wide = planOf({ main: tasks });
    const history = historyOf(Object.fromEntries(Object.keys(tasks).map((key) => [key, 1_000])));
    const endsAfterMs = (limit: number) =>
      (planned(wide, { history, limits: { ...limits, agent: () => limit } }).finish?.expectedAtMs ??
        0) - 1_000_000;
    expect(Math.round(endsAfterMs(6) / 1_000)).toBe(1);
    expect(Math.round(endsAfterMs(2) / 1_000)).toBe(3);
    expect(Math.round(endsAfterMs(1) / 1_000)).toBe(6);
  });

  test("agrees with the virtual run: same durations, same end", async () => {
    const ms: Record<string, number> = { a: 700, b: 300, c: 900, d: 100, e: 400, f: 800 };
    const plan = planOf({
      one: { a: {}, b: { after: ["a"] }, c: {} },
      two: { d: {}, e: { priority: 5 }, f: {} },
    });
    const { state } = await stateAfter(plan, 60_000, (key) => ms[key] ?? 0);
    const forecast = planned(plan, { history: historyOf(ms) });
    const expectedMs = (forecast.finish?.expectedAtMs ?? 0) - 1_000_000;
    expect(Math.abs(expectedMs - ((state.finishedAtMs ?? 0) - 1_000_000))).toBeLessThan(50);
  });

  test("a timer of a task is exact", () => {
    const plan = planned(planOf({ main: { nap: { kind: "sleep", sleepMs: { $param: "ms" } } } }), {
      input: { ms: 86_400_000 },
    });
    expect(plan.finish).toEqual({
      expectedAtMs: 87_400_000,
      lowAtMs: 87_400_000,
      highAtMs: 87_400_000,
    });
  });
});
