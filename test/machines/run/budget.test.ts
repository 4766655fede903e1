import { describe, expect, test } from "vitest";
import { openRun } from "../../support/open-run.ts";
import { planOf } from "../../support/run-events.ts";

const chain = { main: { a: {}, b: { after: ["a"] }, c: { after: ["b"] } } };

function opened(
  budget: Readonly<Record<string, { soft?: number; hard?: number }>>,
  onBudget: "pause" | "fail" = "pause",
) {
  const full = Object.entries(budget).map(([unit, { soft, hard }]) => [
    unit,
    { soft: soft ?? null, hard: hard ?? null },
  ]);
  const run = openRun(planOf(chain, { budget: Object.fromEntries(full), onBudget }));
  run.start();
  return run;
}

function spend(run: ReturnType<typeof opened>, key: string, token: number): void {
  const attempt = run.begin(key);
  const outcome = { type: "succeeded", output: null, spent: { token } } as const;
  run.apply({ type: "task.finished", taskKey: key, attempt, outcome });
}

describe("a budget of a unit", () => {
  test("counts each attempt's spending once, warns at the soft limit", () => {
    const run = opened({ token: { soft: 10 } });
    spend(run, "a", 6);
    const again = { type: "succeeded", output: null, spent: { token: 6 } } as const;
    run.apply({ type: "task.finished", taskKey: "a", attempt: 1, outcome: again });
    expect(run.state().spent).toEqual({ token: 6 });
    expect(run.words()).not.toContain("budget.warning");
    spend(run, "b", 6);
    spend(run, "c", 6);
    expect(run.words().filter((word) => word === "budget.warning")).toHaveLength(1);
    expect(run.state()).toMatchObject({ status: "completed", spent: { token: 18 } });
  });

  test("pauses at the hard limit; a raise beyond what is spent resumes, another does not", () => {
    const run = opened({ token: { hard: 10 } });
    spend(run, "a", 15);
    expect(run.state()).toMatchObject({ status: "paused", pause: { budget: "token" } });
    run.apply({ type: "run.budget", limits: { token: 15 }, reason: null });
    expect(run.state().status).toBe("paused");
    run.apply({ type: "run.budget", limits: { token: 20 }, reason: null });
    expect(run.state().status).toBe("running");
    run.done("b", "c");
    expect(run.state().status).toBe("completed");
  });

  test("that is used up exactly lets end what runs, and lets nothing begin", () => {
    const run = opened({ token: { hard: 10 } });
    spend(run, "a", 10);
    expect(run.state().status).toBe("running");
    run.apply({ type: "task.dispatch", taskKey: "b" });
    expect(run.status("b")).toBe("ready");
    expect(run.state()).toMatchObject({
      status: "paused",
      pause: { budget: "token", drained: true },
    });
    // A resume without a raise stops at the same place.
    run.apply({ type: "run.resume", reason: null });
    run.apply({ type: "task.dispatch", taskKey: "b" });
    expect(run.state().status).toBe("paused");
  });

  test("fails the run when it says so, and a raise lets a retry go on", () => {
    const run = opened({ token: { hard: 10 } }, "fail");
    spend(run, "a", 15);
    expect(run.state()).toMatchObject({ status: "failed", error: { code: "BUDGET_EXCEEDED" } });
    run.apply({ type: "run.budget", limits: { token: 100 }, reason: null });
    run.apply({ type: "run.retry", taskKey: null, reason: null });
    run.done("b", "c");
    expect(run.state().status).toBe("completed");
  });

  test("counts what a failed attempt and a stopped one spent", () => {
    const run = opened({});
    const attempt = run.begin("a");
    const error = { name: "Error", code: "X", message: "x", retryable: true };
    run.apply({ type: "run.cancel", reason: null });
    const outcome = { type: "failed", error, spent: { token: 4 } } as const;
    run.apply({ type: "task.finished", taskKey: "a", attempt, outcome });
    run.apply({ type: "task.finished", taskKey: "a", attempt, outcome });
    expect(run.state().spent).toEqual({ token: 4 });
  });

  test("an operator's pause outlasts the raise", () => {
    const run = opened({ token: { hard: 10 } });
    spend(run, "a", 15);
    run.apply({ type: "run.pause", reason: "let me look" });
    run.apply({ type: "run.budget", limits: { token: 100 }, reason: null });
    expect(run.state().status).toBe("paused");
  });
});

test("a budget of tasks lets exactly so many attempts begin", () => {
  const enough = opened({ tasks: { hard: 3 } });
  enough.done("a", "b", "c");
  expect(enough.state().status).toBe("completed");
  const short = opened({ tasks: { hard: 2 } });
  short.done("a", "b");
  short.apply({ type: "task.dispatch", taskKey: "c" });
  expect(short.status("c")).toBe("ready");
  expect(short.state().status).toBe("paused");
});

describe("a budget of wall time", () => {
  test("stands still while the run is paused, and counts on after a raise", () => {
    const run = opened({ wallMs: { hard: 1_000, soft: 600 } });
    run.until(500);
    run.apply({ type: "run.pause", reason: null });
    run.until(50_000);
    run.apply({ type: "run.resume", reason: null });
    run.until(50_100);
    expect(run.words()).toContain("budget.warning");
    run.until(50_499);
    expect(run.state().status).toBe("running");
    run.until(50_500);
    expect(run.state()).toMatchObject({ status: "paused", pause: { budget: "wallMs" } });
    run.until(90_000);
    run.apply({ type: "run.budget", limits: { wallMs: 1_200 }, reason: null });
    expect(run.state().status).toBe("running");
    run.until(90_199);
    expect(run.state().status).toBe("running");
    run.until(90_200);
    expect(run.state().status).toBe("paused");
  });

  test("does not count the time between an end and a retry", () => {
    const run = opened({ wallMs: { hard: 1_000 } });
    run.until(100);
    run.begin("a");
    run.fail("a");
    run.until(99_000);
    run.apply({ type: "run.retry", taskKey: null, reason: null });
    run.until(99_899);
    expect(run.state().status).toBe("running");
    run.until(99_900);
    expect(run.state().status).toBe("paused");
  });
});
