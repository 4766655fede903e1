import { describe, expect, test } from "vitest";
import { createPlan, initialPlace, nextPlace, type PlanTask } from "../../machines/run-plan.ts";

function task(key: string, stage: string, after: readonly string[] = []): PlanTask {
  return {
    key,
    stage,
    agent: "A",
    action: "do",
    after,
    priority: 3,
    maxFailures: 1,
    backoff: { kind: "fixed", initialMs: 1, maxMs: 1 },
    startToCloseMs: 1_000,
    onFailure: "fail",
  };
}

/** Two stages, and a third one that only runs when the first fails. */
const chart = {
  initial: "build",
  states: {
    build: { invoke: { src: "make", id: "made", onDone: "check", onError: "clean" } },
    check: { invoke: { src: "check", id: "check", onDone: "completed", onError: "failed" } },
    clean: { invoke: { src: "clean", id: "clean", onDone: "failed", onError: "failed" } },
    completed: { type: "final" },
    failed: { type: "final" },
  },
};

function plan() {
  const tasks = [
    task("a", "make"),
    task("b", "make", ["a"]),
    task("c", "check", ["a", "b"]),
    task("d", "clean"),
  ];
  return createPlan(tasks, chart, 4);
}

describe("createPlan()", () => {
  test("indexes tasks by key, by stage and by what they wait for, in the given order", () => {
    const { tasks, stages, dependents, maxParallel } = plan();
    expect([...tasks.keys()]).toEqual(["a", "b", "c", "d"]);
    expect(Object.fromEntries(stages)).toEqual({ make: ["a", "b"], check: ["c"], clean: ["d"] });
    expect(Object.fromEntries(dependents)).toEqual({ a: ["b", "c"], b: ["c"] });
    expect(maxParallel).toBe(4);
  });
});

describe("initialPlace()", () => {
  test("is the chart's initial state with the stage that it invokes", () => {
    expect(initialPlace(plan())).toEqual({ state: "build", stage: "make", done: false });
  });

  test("is done at once when the chart begins at its end", () => {
    const empty = createPlan([], { ...chart, initial: "completed" }, 1);
    expect(initialPlace(empty)).toEqual({ state: "completed", stage: undefined, done: true });
  });
});

describe("nextPlace()", () => {
  test.each([
    ["build", "done", { state: "check", stage: "check", done: false }],
    ["build", "error", { state: "clean", stage: "clean", done: false }],
    ["check", "done", { state: "completed", stage: undefined, done: true }],
    ["check", "error", { state: "failed", stage: undefined, done: true }],
    ["clean", "done", { state: "failed", stage: undefined, done: true }],
  ] as const)("from %s, stage %s, goes where the chart says", (state, outcome, expected) => {
    expect(nextPlace(plan(), state, outcome)).toEqual(expected);
  });

  test("depends on nothing but its arguments: the same plan answers again the same", () => {
    const shared = plan();
    nextPlace(shared, "build", "error");
    expect(nextPlace(shared, "build", "done").state).toBe("check");
    expect(initialPlace(shared).state).toBe("build");
  });
});
