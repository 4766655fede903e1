import { describe, expect, test } from "vitest";
import { openRun } from "../../support/open-run.ts";
import { planOf, type TaskOptions } from "../../support/run-events.ts";

const undo = { agent: "A", action: "undo" };
/** Of a child run: its own rollback. */
const own = { agent: "", action: "" };

/** A chain of tasks that can be undone, and one that fails at its end. */
function opened(tasks: Readonly<Record<string, TaskOptions>>, at = 0) {
  const run = openRun(planOf({ main: tasks }));
  run.at(at);
  run.start();
  return run;
}

function chain() {
  const run = opened({
    a: { compensate: undo },
    b: { compensate: undo, after: ["a"], maxFailures: 2 },
    c: { after: ["b"] },
    d: { after: ["c"], onFailure: "rollback" },
  });
  let ms = 0;
  for (const key of ["a", "b", "c"]) {
    run.at((ms += 10));
    run.done(key);
  }
  run.at(ms + 10);
  run.begin("d");
  run.fail("d");
  return run;
}

describe("rollback", () => {
  test("undoes what finished in reverse order, one after another, and then fails the run", () => {
    const run = chain();
    expect(run.undone()).toEqual(["b"]);
    expect(run.statuses()).toMatchObject({ b: "compensating", a: "succeeded" });
    run.succeed("b");
    expect(run.undone()).toEqual(["b", "a"]);
    run.succeed("a");
    expect(run.statuses()).toEqual({
      a: "compensated",
      b: "compensated",
      c: "succeeded",
      d: "failed",
    });
    expect(run.state()).toMatchObject({
      status: "failed",
      rollback: null,
      error: { code: "BOOM" },
    });
  });

  test("repeats what failed after its delay, and parks it when it fails for good", () => {
    const run = chain();
    run.fail("b", { retryable: true });
    expect(run.words().at(-1)).toBe("task.compensation-retrying");
    // The same end once more is no second failure.
    run.fail("b", { retryable: true });
    expect(run.task("b").failures).toBe(1);
    run.until(1_000);
    expect(run.undone()).toEqual(["b", "b"]);
    run.fail("b", { retryable: true });
    expect(run.status("b")).toBe("parked");
    expect(run.state().status).toBe("running");
    expect(run.undone()).toEqual(["b", "b"]);
  });

  test.each([
    ["succeeded", "compensated"],
    ["failed", "failed"],
    ["skip", "failed"],
  ] as const)("goes on when an operator resolves what could not be undone as %s", (as, status) => {
    const run = chain();
    run.fail("b");
    run.apply({ type: "task.resolve", taskKey: "b", as, reason: null });
    expect(run.status("b")).toBe(status);
    expect(run.undone()).toEqual(["b", "a"]);
    run.succeed("a");
    expect(run.state().status).toBe("failed");
  });

  test("tries again what could not be undone when an operator says so", () => {
    const run = chain();
    run.fail("b");
    run.apply({ type: "task.resolve", taskKey: "b", as: "retry", reason: null });
    expect(run.undone()).toEqual(["b", "b"]);
    expect(run.task("b")).toMatchObject({ status: "compensating", failures: 0 });
  });

  test("makes an attempt again that was lost with its node", () => {
    const run = chain();
    const { attempt } = run.task("b");
    run.apply({ type: "task.lost", taskKey: "b", attempt, reason: "node died" });
    expect(run.undone()).toEqual(["b", "b"]);
    expect(run.task("b").attempt).toBe(attempt + 1);
  });

  test("waits for attempts that were told to stop, and undoes what they may have done", () => {
    const run = opened({ a: { compensate: undo }, b: { compensate: undo } });
    run.at(5);
    run.done("a");
    run.at(9);
    run.begin("b");
    run.apply({ type: "run.cancel", rollback: true, reason: null });
    expect(run.task("b")).toMatchObject({ status: "cancelled", stopping: true });
    expect(run.undone()).toEqual([]);
    run.apply({ type: "task.stopped", taskKey: "b", attempt: 1, how: "by itself", afterMs: 1 });
    expect(run.undone()).toEqual(["b"]);
    run.succeed("b");
    run.succeed("a");
    expect(run.state().status).toBe("cancelled");
  });

  test("undoes a failed task only when what it did is unknown, in any of its attempts", () => {
    const known = opened({ a: { compensate: undo, onFailure: "rollback" } });
    known.begin("a");
    known.fail("a");
    expect(known.state().status).toBe("failed");
    expect(known.undone()).toEqual([]);
    const unknown = opened({ a: { compensate: undo, onFailure: "rollback", maxFailures: 2 } });
    unknown.begin("a");
    unknown.fail("a", { code: "START_TO_CLOSE_TIMEOUT", retryable: true });
    unknown.until(10);
    unknown.begin("a");
    unknown.fail("a");
    expect(unknown.undone()).toEqual(["a"]);
  });

  test("stands still while the run is paused, also for a delay that runs out", () => {
    const run = chain();
    run.apply({ type: "run.pause", reason: null });
    run.succeed("b");
    expect(run.undone()).toEqual(["b"]);
    run.apply({ type: "run.resume", reason: null });
    expect(run.undone()).toEqual(["b", "a"]);
    run.fail("a", { code: "X", retryable: true });
    expect(run.status("a")).toBe("parked");
    const other = chain();
    other.fail("b", { retryable: true });
    other.apply({ type: "run.pause", reason: null, clocks: "run" });
    other.until(1_000);
    expect(other.undone()).toEqual(["b"]);
    other.apply({ type: "run.resume", reason: null });
    other.until(1_001);
    expect(other.undone()).toEqual(["b", "b"]);
  });

  test("is not stopped by another cancel with rollback, and given up by one without", () => {
    const run = chain();
    run.apply({ type: "run.cancel", rollback: true, reason: null });
    expect(run.state()).toMatchObject({ status: "running", rollback: { then: "cancelled" } });
    run.apply({ type: "run.cancel", reason: "enough" });
    expect(run.state()).toMatchObject({ status: "cancelled", rollback: null, inFlight: 0 });
    expect(run.task("b")).toMatchObject({ status: "cancelled", unknownOutcome: true });
    expect(run.effects.at(-1)).toEqual({ type: "abort", taskKey: "b", attempt: 2, node: null });
    run.succeed("b");
    expect(run.undone()).toEqual(["b"]);
  });

  test("lets neither the chart nor signals nor budgets lead elsewhere", () => {
    const run = chain();
    run.apply({ type: "chart.due", timer: "t", event: { type: "xstate.after.1.chart.main" } });
    run.apply({ type: "run.signal", name: "s", payload: null });
    run.apply({ type: "task.skip", taskKey: "b", reason: null });
    expect(run.status("b")).toBe("compensating");
    expect(run.state().status).toBe("running");
  });
});

describe("rollback over child runs", () => {
  const child = { kind: "workflow", workflow: "w" } as const;

  test("has a child that completed undo itself, and waits until it has", () => {
    const run = opened({
      a: { compensate: undo },
      pay: { ...child, compensate: own, after: ["a"] },
      d: { after: ["pay"], onFailure: "rollback" },
    });
    run.at(1);
    run.done("a");
    run.at(2);
    const childId = String(run.task("pay").childId);
    const outcome = { type: "succeeded", output: 1 } as const;
    run.apply({ type: "child.finished", taskKey: "pay", childId, outcome });
    run.at(3);
    run.begin("d");
    run.fail("d");
    expect(run.commands()).toEqual([`run.undo ${childId}`]);
    expect(run.state().inFlight).toBe(0);
    // The news of its end once more is not that of its rollback.
    run.apply({ type: "child.finished", taskKey: "pay", childId, outcome });
    expect(run.undone()).toEqual([]);
    run.apply({ type: "child.undone", taskKey: "pay", childId });
    expect(run.status("pay")).toBe("compensated");
    expect(run.undone()).toEqual(["a"]);
  });

  test("cancels a child that runs, waits for its end, and then has it undo what it did", () => {
    const run = opened({ pay: { ...child, compensate: own } });
    const childId = String(run.task("pay").childId);
    run.apply({ type: "run.cancel", rollback: true, reason: null });
    expect(run.commands()).toEqual([`run.cancel ${childId}`]);
    const error = { name: "Error", code: "CHILD_CANCELLED", message: "x", retryable: false };
    const outcome = { type: "failed", error, spent: { token: 7 } } as const;
    run.apply({ type: "child.finished", taskKey: "pay", childId, outcome });
    expect(run.state().spent).toEqual({ token: 7 });
    expect(run.commands()).toEqual([`run.cancel ${childId}`, `run.undo ${childId}`]);
    run.apply({ type: "child.undone", taskKey: "pay", childId });
    expect(run.state().status).toBe("cancelled");
  });

  test("calls the action that the task names instead, when it names one", () => {
    const run = opened({
      pay: { ...child, compensate: undo },
      d: { after: ["pay"], onFailure: "rollback" },
    });
    const childId = String(run.task("pay").childId);
    const outcome = { type: "succeeded", output: 1 } as const;
    run.apply({ type: "child.finished", taskKey: "pay", childId, outcome });
    run.begin("d");
    run.fail("d");
    expect(run.commands()).toEqual([]);
    expect(run.undone()).toEqual(["pay"]);
  });

  test("run.undo undoes a run that has completed, and tells its parent at the end", () => {
    const parent = { workflowId: "p", taskKey: "pay" };
    const run = openRun(planOf({ main: { a: { compensate: undo } } }), { parent });
    run.start();
    run.done("a");
    expect(run.state().status).toBe("completed");
    run.apply({ type: "run.undo", reason: null });
    expect(run.state().status).toBe("running");
    run.apply({ type: "run.undo", reason: "again" });
    expect(run.undone()).toEqual(["a"]);
    run.succeed("a");
    expect(run.state()).toMatchObject({ status: "cancelled", error: { code: "CANCELLED" } });
    const told = run.effects.flatMap((one) => (one.type === "tell-parent" ? [one.event] : []));
    expect(told).toMatchObject([
      { type: "child.finished" },
      { type: "child.undone", childId: "run", taskKey: "pay" },
    ]);
    run.apply({ type: "run.undo", reason: "once more" });
    expect(run.undone()).toEqual(["a"]);
    expect(run.effects.at(-1)).toMatchObject({ event: { type: "child.undone" } });
  });
});
