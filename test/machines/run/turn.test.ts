import { describe, expect, test } from "vitest";
import type { Json } from "../../../machines/error-code.ts";
import type { RunPlan } from "../../../machines/run/plan.ts";
import { initialRun, type RunEffect, type RunEvent } from "../../../machines/run/state.ts";
import { beginTurn } from "../../../machines/run/turn.ts";
import { event, planOf, task } from "../../support/run-events.ts";

/** A run that takes each event in a turn of its own. */
function open(plan: RunPlan) {
  let state = initialRun("run", plan);
  const journal: { type: string; payload: Json }[] = [];
  const effects: RunEffect[] = [];
  function apply(...events: readonly RunEvent[]): void {
    for (const one of events) {
      const turn = beginTurn(state, plan);
      turn.apply(one);
      state = turn.state();
      journal.push(...turn.journal());
      effects.push(...turn.effects());
    }
  }
  return {
    apply,
    /** Dispatches a task and ends its attempt. */
    run: (key: string, end: (key: string, attempt: number) => RunEvent) => {
      apply(event.dispatch(key));
      apply(end(key, task(state, key).attempt));
    },
    state: () => state,
    statuses: () =>
      Object.fromEntries([...state.tasks.values()].map(({ key, status }) => [key, status])),
    words: () => journal.map(({ type }) => type),
    effects,
  };
}

describe("beginTurn()", () => {
  test("leads a run of two stages to its end, and says so in the journal", () => {
    const run = open(planOf({ one: { a: {}, b: { after: ["a"] } }, two: { c: { after: ["b"] } } }));
    run.apply(event.start);
    for (const key of ["a", "b", "c"]) run.run(key, event.succeeded);
    expect(run.state()).toMatchObject({ status: "completed", error: null, finishedAtMs: 1 });
    expect(run.words()).toEqual([
      "run.started",
      "stage.entered",
      "task.ready",
      "task.dispatched",
      "task.succeeded",
      "task.ready",
      "task.dispatched",
      "task.succeeded",
      "stage.entered",
      "task.ready",
      "task.dispatched",
      "task.succeeded",
      "run.completed",
    ]);
  });

  test("after a final failure cancels what has not started, and lets run what runs", () => {
    const run = open(planOf({ one: { a: {}, b: {}, c: {}, d: { after: ["b"] } } }));
    run.apply(event.start, event.dispatch("a"), event.dispatch("b"), event.failed("a", 1));
    expect(run.statuses()).toEqual({
      a: "failed",
      b: "dispatched",
      c: "cancelled",
      d: "cancelled",
    });
    expect(run.state().status).toBe("running");
    run.apply(event.succeeded("b", 1));
    expect(run.state()).toMatchObject({ status: "failed", error: { code: "BOOM" } });
  });

  test("repeats a retryable failure until its attempts are used up", () => {
    const run = open(planOf({ one: { a: { maxFailures: 2 } } }));
    run.apply(event.start, event.dispatch("a"), event.failed("a", 1, true));
    expect(run.state().timers.get("retry/a")).toEqual({
      event: { type: "retry.due", taskKey: "a", attempt: 1, by: "timer" },
      dueAtMs: 2,
      remainingMs: null,
    });
    run.apply(event.due("a", 1), event.dispatch("a"), event.failed("a", 2, true));
    expect(run.state().status).toBe("failed");
  });

  test("a lost attempt does not count as a failure", () => {
    const run = open(planOf({ one: { a: { maxFailures: 1 } } }));
    run.apply(event.start);
    for (const attempt of [1, 2, 3]) run.apply(event.dispatch("a"), event.lost("a", attempt));
    run.run("a", event.succeeded);
    expect(run.state().status).toBe("completed");
    expect(task(run.state(), "a")).toMatchObject({ attempt: 4, failures: 0 });
  });

  test("refuses the result of a lost attempt, and keeps the refusal in the journal", () => {
    const run = open(planOf({ one: { a: {} } }));
    run.apply(event.start, event.dispatch("a"), event.lost("a", 1), event.dispatch("a"));
    run.apply(event.succeeded("a", 1));
    expect(run.words().at(-1)).toBe("attempt.refused");
    expect(run.statuses()).toEqual({ a: "dispatched" });
  });

  test("cancel aborts what is in flight, by attempt", () => {
    const run = open(planOf({ one: { a: {}, b: {}, c: { after: ["a"] } } }));
    run.apply(event.start, event.dispatch("a"), event.lost("a", 1), event.dispatch("a"));
    run.apply(event.cancel);
    expect(run.effects.filter(({ type }) => type === "abort")).toEqual([
      { type: "abort", taskKey: "a", attempt: 2, node: null },
    ]);
    expect(run.state().status).toBe("cancelled");
  });

  test("retry repeats what failed and what was cancelled, and keeps what succeeded", () => {
    const run = open(planOf({ one: { a: {}, b: { after: ["a"] }, c: { after: ["b"] } } }));
    run.apply(event.start);
    run.run("a", event.succeeded);
    run.run("b", event.failed);
    run.apply(event.retry(null));
    expect(run.statuses()).toEqual({ a: "succeeded", b: "ready", c: "blocked" });
    expect(run.state()).toMatchObject({ status: "running", error: null, finishedAtMs: null });
    for (const key of ["b", "c"]) run.run(key, event.succeeded);
    expect(run.state().status).toBe("completed");
  });

  test("retry of one of two failed tasks ends, because what waits for the other stays cancelled", () => {
    const run = open(planOf({ one: { a: {}, b: {}, "after b": { after: ["b"] } } }));
    run.apply(event.start, event.dispatch("a"), event.dispatch("b"));
    run.apply(event.failed("a", 1), event.failed("b", 1), event.retry("a"));
    expect(run.statuses()).toMatchObject({ a: "ready", b: "failed" });
    run.run("a", event.succeeded);
    expect(run.statuses()).toEqual({ a: "succeeded", b: "failed", "after b": "cancelled" });
    expect(run.state()).toMatchObject({ status: "failed", error: { code: "BOOM" } });
  });

  test("a task that waits for a later stage fails the run, and does not hold it for ever", () => {
    const run = open(planOf({ one: { a: {}, early: { after: ["late"] } }, two: { late: {} } }));
    run.apply(event.start);
    run.run("a", event.succeeded);
    expect(run.state()).toMatchObject({
      status: "failed",
      error: { code: "DEPENDENCY_UNREACHABLE" },
    });
    expect(run.statuses()).toMatchObject({ early: "cancelled" });
  });

  test("an event for a task that does not exist throws, and leaves the state before as it was", () => {
    const plan = planOf({ one: { a: {} } });
    const before = initialRun("run", plan);
    const turn = beginTurn(before, plan);
    expect(() => turn.apply(event.started("nobody", 1))).toThrow('no task "nobody"');
    expect(before).toEqual(initialRun("run", plan));
  });
});
