import { describe, expect, test } from "vitest";
import { openRun } from "../../support/open-run.ts";
import { planOf, type TaskOptions } from "../../support/run-events.ts";

function opened(tasks: Readonly<Record<string, TaskOptions>>, output: unknown = { $output: "a" }) {
  const run = openRun(planOf({ main: tasks }, { output }));
  run.start();
  return run;
}

const signal = (name: string, payload: string) => ({ type: "run.signal", name, payload }) as const;

describe("sleep", () => {
  test("ends when its time is over, and stands still in a pause", () => {
    const run = opened({ a: { kind: "sleep", sleepMs: 100 } });
    run.until(50);
    run.apply({ type: "run.pause", reason: null });
    run.until(10_000);
    run.apply({ type: "run.resume", reason: null });
    run.until(10_049);
    expect(run.status("a")).toBe("running");
    run.until(10_050);
    expect(run.state().status).toBe("completed");
    expect(run.state().timers.size).toBe(0);
  });

  test("fails without a number", () => {
    const run = opened({ a: { kind: "sleep", sleepMs: { $param: "ms" } } });
    expect(run.state()).toMatchObject({ status: "failed", error: { code: "NO_DURATION" } });
  });
});

describe("signals", () => {
  test("are kept until somebody waits, and are taken in the order in which they came", () => {
    const run = opened(
      {
        first: {},
        a: { kind: "signal", signal: "s", after: ["first"] },
        b: { kind: "signal", signal: "s", after: ["a"] },
      },
      [{ $output: "a" }, { $output: "b" }],
    );
    run.apply(signal("s", "one"));
    run.apply(signal("other", "x"));
    run.apply(signal("s", "two"));
    run.done("first");
    expect(run.state()).toMatchObject({ status: "completed", output: ["one", "two"] });
    expect(run.state().signals).toMatchObject([{ name: "other" }]);
  });

  test("go to who has waited longest", () => {
    const run = opened({
      first: {},
      late: { kind: "signal", signal: "s" },
      a: { kind: "signal", signal: "s", after: ["first"] },
    });
    run.at(5);
    run.done("first");
    run.apply(signal("s", "one"));
    expect(run.statuses()).toMatchObject({ late: "succeeded", a: "running" });
    expect([...(run.state().waiting.get("signal/s") ?? [])]).toEqual(["a"]);
    run.apply(signal("s", "two"));
    expect(run.state()).toMatchObject({ status: "completed", output: "two" });
  });

  test("that do not come in time fail the task", () => {
    const run = opened({ a: { kind: "signal", signal: "s", timeouts: { scheduleToCloseMs: 10 } } });
    run.until(10);
    expect(run.state()).toMatchObject({
      status: "failed",
      error: { code: "SCHEDULE_TO_CLOSE_TIMEOUT" },
    });
  });

  test("are refused beyond the limit, in the journal", () => {
    const run = opened({ a: { kind: "sleep", sleepMs: 1e9 } });
    for (let count = 0; count < 1_001; count += 1) {
      if (count < 2 || count > 998) run.apply(signal("s", String(count)));
      else (run.state().signals as unknown[]).push({ name: "s", payload: null, atMs: 0 });
    }
    expect(run.state().signals).toHaveLength(1_000);
    expect(run.words().at(-1)).toBe("signal.refused");
  });
});

describe("approval", () => {
  const approval: TaskOptions = { kind: "approval", timeouts: { scheduleToCloseMs: 100 } };
  const decide = (as: "succeeded" | "failed" | "skip" | "retry") =>
    ({ type: "task.resolve", taskKey: "a", as, output: { ok: 1 }, reason: "because" }) as const;

  test("opens with the time at which it expires, and its payload is the output", () => {
    const run = opened({ a: approval });
    expect(run.effects).toEqual([{ type: "open-approval", taskKey: "a", expiresAtMs: 100 }]);
    run.apply(decide("retry"));
    expect(run.status("a")).toBe("running");
    run.apply(decide("succeeded"));
    expect(run.state()).toMatchObject({ status: "completed", output: { ok: 1 } });
  });

  test("that is refused fails with REJECTED and the reason", () => {
    const run = opened({ a: approval });
    run.apply(decide("failed"));
    expect(run.state()).toMatchObject({
      status: "failed",
      error: { code: "REJECTED", message: '"a" was refused: because' },
    });
    run.apply(decide("succeeded"));
    expect(run.status("a")).toBe("failed");
  });

  test("that nobody answers in time fails", () => {
    const run = opened({ a: approval });
    run.until(100);
    expect(run.state().status).toBe("failed");
  });

  test("is opened again after a retry", () => {
    const run = opened({ a: approval });
    run.until(100);
    run.at(500);
    run.apply({ type: "run.retry", taskKey: null, reason: null });
    expect(run.effects.at(-1)).toEqual({ type: "open-approval", taskKey: "a", expiresAtMs: 600 });
  });
});

describe("child runs", () => {
  const child: TaskOptions = { kind: "workflow", workflow: "w", input: { x: { $param: "x" } } };
  const failure = { name: "Error", code: "CHILD_BROKE", message: "x", retryable: true };

  test("start with their input, and give their output", () => {
    const run = openRun(planOf({ main: { a: child } }, { output: { $output: "a" } }), {
      input: { x: 5 },
    });
    run.start();
    expect(run.effects).toMatchObject([
      { type: "start-child", childId: "run.a.1", workflow: "w", input: { x: 5 } },
    ]);
    // It holds no slot.
    expect(run.state().inFlight).toBe(0);
    const outcome = { type: "succeeded", output: "out", spent: { token: 3 } } as const;
    const finished = { type: "child.finished", taskKey: "a", childId: "run.a.1", outcome } as const;
    run.apply(finished);
    run.apply(finished);
    expect(run.state()).toMatchObject({ status: "completed", output: "out", spent: { token: 3 } });
  });

  test("that fail are not repeated by themselves; a retry makes a new one", () => {
    const run = opened({ a: { ...child, input: {}, maxFailures: 5 } });
    const outcome = { type: "failed", error: failure } as const;
    run.apply({ type: "child.finished", taskKey: "a", childId: "run.a.1", outcome });
    expect(run.state()).toMatchObject({ status: "failed", error: { code: "CHILD_BROKE" } });
    run.apply({ type: "run.retry", taskKey: null, reason: null });
    expect(run.task("a").childId).toBe("run.a.2");
    // The first one has no say any more.
    run.apply({ type: "child.finished", taskKey: "a", childId: "run.a.1", outcome });
    expect(run.status("a")).toBe("running");
  });

  test("pause, resume and are cancelled with their parent, in this order", () => {
    const run = opened({ a: { ...child, input: {} }, b: {} });
    run.apply({ type: "run.pause", reason: null });
    run.apply({ type: "run.resume", reason: null });
    run.apply({ type: "run.cancel", reason: null });
    expect(run.commands()).toEqual([
      "run.pause run.a.1",
      "run.resume run.a.1",
      "run.cancel run.a.1",
    ]);
    expect(run.task("a")).toMatchObject({ status: "cancelled", stopping: true });
    expect(run.state().inFlight).toBe(0);
  });

  test("begin when the run is resumed, not while it is paused", () => {
    const run = opened({ first: {}, a: { ...child, input: {}, after: ["first"] } });
    run.begin("first");
    run.apply({ type: "run.pause", reason: null });
    run.succeed("first");
    expect(run.status("a")).toBe("ready");
    expect(run.effects.some(({ type }) => type === "start-child")).toBe(false);
    run.apply({ type: "run.resume", reason: null });
    expect(run.task("a")).toMatchObject({ status: "running", childId: "run.a.1" });
  });

  test("that do not end in time are cancelled", () => {
    const run = opened({ a: { ...child, input: {}, timeouts: { scheduleToCloseMs: 10 } } });
    run.until(10);
    expect(run.commands()).toEqual(["run.cancel run.a.1"]);
    expect(run.state().status).toBe("failed");
  });
});
