import { describe, expect, test } from "vitest";
import type { Json } from "../../../machines/error-code.ts";
import { openRun } from "../../support/open-run.ts";
import { chartPlanOf, planOf, type Stages } from "../../support/run-events.ts";

const end = { done: { type: "final" }, failed: { type: "final" } };
const when = (condition: object) => ({ type: "when", params: condition });
const set = (values: object) => ({ type: "set", params: values });

function opened(
  stages: Stages,
  chart: { readonly initial: string; readonly context?: Json; readonly states: object },
  input: Json = {},
) {
  const states = { ...end, ...chart.states } as Readonly<Record<string, object>>;
  const run = openRun(chartPlanOf(stages, { ...chart, states }), { input });
  run.start();
  return run;
}

function stage(name: string, onDone: unknown, onError: unknown = "failed") {
  return { src: name, id: name, onDone, onError };
}

describe("a chart", () => {
  test("runs states that stand inside of each other", () => {
    const run = opened(
      { one: { a: {} }, two: { b: {} } },
      {
        initial: "outer",
        states: {
          outer: {
            initial: "first",
            states: {
              first: { invoke: stage("one", "second", "bad") },
              second: { invoke: stage("two", "end", "bad") },
              end: { type: "final" },
              bad: {},
            },
            onDone: "done",
          },
        },
      },
    );
    expect(run.state().place).toBe("outer.first");
    run.done("a");
    expect(run.state().place).toBe("outer.second");
    run.done("b");
    expect(run.state().status).toBe("completed");
  });

  test("runs regions side by side, and waits for all of them", () => {
    const region = (name: string) => ({
      initial: "work",
      states: { work: { invoke: stage(name, "end", "#chart.failed") }, end: { type: "final" } },
    });
    const chart = {
      initial: "both",
      states: {
        both: {
          type: "parallel",
          states: { left: region("one"), right: region("two") },
          onDone: "done",
        },
      },
    };
    const run = opened({ one: { a: {} }, two: { b: {} } }, chart);
    expect(run.state().place).toBe("left.work + right.work".replace(/^/, "both."));
    run.done("b");
    expect(run.state().status).toBe("running");
    run.done("a");
    expect(run.state().status).toBe("completed");
    const broken = opened({ one: { a: {} }, two: { b: {} } }, chart);
    broken.begin("b");
    broken.begin("a");
    broken.fail("a");
    expect(broken.statuses()).toEqual({ a: "failed", b: "cancelled" });
    expect(broken.state().status).toBe("failed");
  });

  test("enters a stage again: other tasks, and what the first ones do has no say", () => {
    const run = opened(
      { work: { a: {}, b: { after: ["a"] } } },
      {
        initial: "working",
        states: {
          working: {
            invoke: stage("work", "done"),
            on: { again: { target: "working", reenter: true } },
          },
        },
      },
    );
    run.done("a");
    run.begin("b");
    run.apply({ type: "run.signal", name: "again", payload: null });
    expect(run.statuses()).toEqual({
      a: "succeeded",
      b: "cancelled",
      "a#2": "ready",
      "b#2": "blocked",
    });
    run.succeed("b");
    expect(run.status("b")).toBe("cancelled");
    run.done("a#2", "b#2");
    expect(run.state().status).toBe("completed");
    expect(run.task("b#2")).toMatchObject({ iteration: 2, plan: "b", attempt: 1 });
  });

  test("goes by guards over outputs, inputs and its context, which it sets", () => {
    const chart = {
      initial: "working",
      context: { rounds: 0 },
      states: {
        working: {
          invoke: stage("work", [
            {
              guard: when({ $eq: [{ $output: "a" }, { $param: "wanted" }] }),
              target: "done",
              actions: set({ last: { $output: "a" } }),
            },
            { target: "check" },
          ]),
        },
        check: {
          always: [{ target: "failed", guard: when({ $not: { $param: "patient" } }) }, "working"],
        },
      },
    };
    const patient = opened({ work: { a: {} } }, chart, { wanted: "a#2", patient: true });
    patient.done("a");
    patient.done("a#2");
    expect(patient.state()).toMatchObject({
      status: "completed",
      chart: { context: { rounds: 0, last: "a#2" } },
    });
    const hasty = opened({ work: { a: {} } }, chart, { wanted: "a#2", patient: false });
    hasty.done("a");
    expect(hasty.state()).toMatchObject({ status: "failed", error: { code: "WORKFLOW_FAILED" } });
  });

  test("has timers of its own: they fire, and are gone once their state is left", () => {
    const chart = {
      initial: "working",
      states: {
        working: { invoke: stage("work", "done"), after: { 100: "late" } },
        late: { invoke: stage("instead", "done"), after: { 50: "failed" } },
      },
    };
    const run = opened({ work: { a: {} }, instead: { b: {} } }, chart);
    run.until(100);
    expect(run.statuses()).toEqual({ a: "cancelled", b: "ready" });
    run.done("b");
    expect(run.state().status).toBe("completed");
    expect(run.state().timers.size).toBe(0);
  });

  test("remembers where it was: history leads back, over a copy of its state", () => {
    const chart = {
      initial: "busy",
      states: {
        busy: {
          initial: "one",
          states: {
            one: { invoke: stage("one", "two", "#chart.failed") },
            two: { invoke: stage("two", "#chart.done", "#chart.failed") },
            back: { type: "history" },
          },
          on: { hold: "held" },
        },
        held: { on: { go: "busy.back" } },
      },
    };
    const run = opened({ one: { a: {} }, two: { b: {} } }, chart);
    run.done("a");
    run.apply({ type: "run.signal", name: "hold", payload: null });
    expect(run.state().place).toBe("held");
    run.apply({ type: "run.signal", name: "go", payload: null });
    expect(run.state().place).toBe("busy.two");
    run.done("b#2");
    expect(run.state().status).toBe("completed");
  });

  test("takes a signal before any task that waits for it, and those that came earlier once it can", () => {
    const run = opened(
      { one: { a: { kind: "signal", signal: "go" } }, two: { b: {} } },
      {
        initial: "first",
        states: {
          first: { invoke: stage("one", "done"), on: { go: "second" } },
          second: { invoke: stage("two", "third") },
          third: { on: { late: "done" } },
        },
      },
    );
    run.apply({ type: "run.signal", name: "late", payload: null });
    run.apply({ type: "run.signal", name: "go", payload: null });
    expect(run.statuses()).toEqual({ a: "cancelled", b: "ready" });
    run.done("b");
    expect(run.state()).toMatchObject({ status: "completed", signals: [] });
  });

  test("that cannot read what its guard asks for fails the run with the reason", () => {
    const chart = {
      initial: "working",
      states: {
        working: {
          invoke: stage("work", [
            { guard: when({ $eq: [{ $output: "a", path: "not.there" }, 1] }), target: "done" },
          ]),
        },
      },
    };
    const run = opened({ work: { a: {} } }, chart);
    run.done("a");
    expect(run.state()).toMatchObject({ status: "failed", error: { code: "CHART_FAILED" } });
    expect(run.state().error?.message).toContain('no "not.there"');
  });

  test("that goes round without any work is stopped", () => {
    const empty = stage("nothing", "there");
    const run = opened(
      { nothing: {}, nothing2: {} },
      {
        initial: "here",
        states: {
          here: { invoke: empty },
          there: { invoke: { ...stage("nothing2", "here"), id: "other" } },
        },
      },
    );
    expect(run.state()).toMatchObject({ status: "failed", error: { code: "CHART_LOOPS" } });
  });
});

test("a run whose output cannot be filled in fails, and says why", () => {
  const plan = planOf({ main: { a: {} } }, { output: { $output: "a", path: "x.y" } });
  const run = openRun(plan);
  run.start();
  run.done("a");
  expect(run.state()).toMatchObject({ status: "failed", error: { code: "INPUT_UNRESOLVED" } });
});

test("a task that waits for 100 others begins when the last of them has ended, in any order", () => {
  const keys = Array.from({ length: 100 }, (_, index) => `t${index}`);
  const tasks = Object.fromEntries(keys.map((key) => [key, {}]));
  const run = openRun(planOf({ main: { ...tasks, end: { after: keys } } }));
  run.start();
  const order = [...keys].sort(
    (a, b) => ((Number(a.slice(1)) * 37) % 101) - ((Number(b.slice(1)) * 37) % 101),
  );
  for (const key of order) {
    expect(run.status("end")).toBe("blocked");
    run.done(key);
  }
  run.done("end");
  expect(run.state().status).toBe("completed");
});
