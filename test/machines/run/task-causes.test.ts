import { expect, test } from "vitest";
import type { RunPlan } from "../../../machines/run/plan.ts";
import { taskCauses } from "../../../machines/run/task-causes.ts";
import { createVirtualRun, type VirtualCall } from "../../../machines/virtual/virtual-run.ts";
import { planOf } from "../../support/run-events.ts";

/** A run after 100 ms in which actions take 1,000 ms, and fail when they are called `bad`. */
async function runOf(plan: RunPlan, options: { startPaused?: boolean } = {}) {
  const run = createVirtualRun({
    plan,
    input: {},
    ...options,
    execute: ({ kind, plan: key }: VirtualCall) => {
      if (kind !== "action") return undefined;
      const error = { name: "Error", code: "BUSY", message: "is busy", retryable: true };
      return key === "bad"
        ? { durationMs: 50, outcome: { type: "failed", error } }
        : { durationMs: 900, outcome: { type: "succeeded", output: null } };
    },
  });
  await run.advance(100);
  return { run, why: (key: string) => taskCauses(run.state(), plan, key) };
}

test("a blocked task names what it waits for, since when that runs, and its stage", async () => {
  const { why } = await runOf(planOf({ one: { a: {}, b: { after: ["a"] } }, two: { c: {} } }));
  expect(why("a")).toEqual([]);
  expect(why("b")).toEqual([
    {
      kind: "dependency",
      of: "a",
      status: "running",
      sinceMs: 0,
      sentence: 'waits for "a" (running)',
    },
  ]);
  expect(why("c")).toMatchObject([{ kind: "stage", of: "two" }]);
});

test("a pause between attempts has its due time and the error", async () => {
  const retry = { maxFailures: 3, initialMs: 5_000, maxMs: 5_000 };
  const { why } = await runOf(planOf({ main: { bad: { retry } } }));
  expect(why("bad")).toEqual([
    {
      kind: "retry",
      code: "BUSY",
      dueAtMs: 5_050,
      sentence: "waits to repeat after BUSY: is busy",
    },
  ]);
});

test("waits for time, signals, people and children say what they wait for", async () => {
  const { why } = await runOf(
    planOf({
      main: {
        nap: { kind: "sleep", sleepMs: 60_000 },
        go: { kind: "signal", signal: "go", timeouts: { scheduleToCloseMs: 9_000 } },
        ok: { kind: "approval" },
        child: { kind: "workflow", workflow: "other" },
      },
    }),
  );
  expect(why("nap")).toMatchObject([{ kind: "sleep", sinceMs: 0, dueAtMs: 60_000 }]);
  expect(why("go")).toMatchObject([{ kind: "signal", of: "go", dueAtMs: 9_000 }]);
  expect(why("ok")).toMatchObject([{ kind: "approval", sinceMs: 0 }]);
  expect(why("child")).toMatchObject([{ kind: "child", of: "virtual.child.1" }]);
});

test("a run that is paused, or over, holds its tasks", async () => {
  const plan = planOf({ main: { a: {}, b: { after: ["a"] } } });
  const { why } = await runOf(plan, { startPaused: true });
  expect(why("a")).toEqual([{ kind: "paused", sinceMs: 0, sentence: "the run is paused" }]);
  expect(why("b").map(({ kind }) => kind)).toEqual(["dependency", "paused"]);
  const failing = planOf({ one: { bad: {} }, two: { c: {} } });
  const failed = await runOf(failing);
  expect(failed.run.state().status).toBe("failed");
  expect(failed.why("c")).toEqual([{ kind: "run-over", sentence: "the run is failed" }]);
});

test("a task that nobody can decide but an operator says so", async () => {
  const { why } = await runOf(planOf({ main: { bad: { onFailure: "escalate" } } }));
  expect(why("bad")).toEqual([
    { kind: "operator", code: "BUSY", sentence: "waits for an operator's decision: is busy" },
  ]);
});

test("an item that its group's window keeps out", async () => {
  const plan = planOf(
    { main: { each: { group: "each", forEach: [1, 2, 3] } } },
    { groups: [{ key: "each", items: [1, 2, 3], window: 2, tasks: ["each"] }] },
  );
  const { why } = await runOf(plan);
  expect(why("each")).toEqual([]);
  expect(why("each[2]")).toMatchObject([{ kind: "window", of: "each" }]);
});

test("every open task of a run that does not run has a cause", async () => {
  const plan = planOf({
    one: { a: {}, nap: { kind: "sleep", sleepMs: 5_000 }, b: { after: ["a", "nap"] } },
    two: { c: { onFailure: "d" }, d: { alternativeTo: "c", after: ["c"] } },
  });
  const { run, why } = await runOf(plan);
  for (const { key, status } of run.state().tasks.values()) {
    if (status === "blocked") expect(why(key).length, key).toBeGreaterThan(0);
  }
});
