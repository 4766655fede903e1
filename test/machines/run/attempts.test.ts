import { describe, expect, test } from "vitest";
import { initialRun } from "../../../machines/run/state.ts";
import { beginTurn } from "../../../machines/run/turn.ts";
import { openRun } from "../../support/open-run.ts";
import { event, planOf, type TaskOptions, task } from "../../support/run-events.ts";

function opened(options: TaskOptions, more: Readonly<Record<string, TaskOptions>> = {}) {
  const run = openRun(planOf({ main: { a: options, ...more } }));
  run.start();
  return run;
}

const flaky = { code: "FLAKY", retryable: true };

describe("retries", () => {
  test("wait as long each time when they are fixed, and longer and longer when exponential", () => {
    for (const [kind, delays] of [
      ["fixed", [100, 100, 100]],
      ["exponential", [100, 200, 300]],
    ] as const) {
      const run = opened({ maxFailures: 4, retry: { kind, initialMs: 100, maxMs: 300 } });
      for (const delay of delays) {
        run.begin("a");
        run.fail("a", flaky);
        expect(run.state().timers.get("retry/a")?.dueAtMs).toBe(
          Number(run.task("a").startedAtMs) + delay,
        );
        run.until(Number(run.task("a").startedAtMs) + delay);
        expect(run.status("a")).toBe("ready");
      }
      run.begin("a");
      run.fail("a", flaky);
      expect(run.state().status).toBe("failed");
    }
  });

  test("are shortened by jitter, and never beyond its part", () => {
    const run = opened({ maxFailures: 2, retry: { initialMs: 100, maxMs: 100, jitter: 0.5 } });
    run.begin("a");
    run.fail("a", flaky);
    // The test's chance is 0.5: half of the half that jitter may take.
    expect(run.state().timers.get("retry/a")?.dueAtMs).toBe(75);
  });

  test("take the delay that the error asks for", () => {
    const run = opened({ maxFailures: 2 });
    run.begin("a");
    run.fail("a", { ...flaky, retryAfterMs: 5_000 });
    expect(run.state().timers.get("retry/a")?.dueAtMs).toBe(5_000);
  });

  test("end at the total limit, at codes that are not retried, and at final errors", () => {
    const late = opened({ maxFailures: 9, retry: { initialMs: 60, maxMs: 60, totalMs: 100 } });
    late.begin("a");
    late.fail("a", flaky);
    late.until(60);
    late.begin("a");
    late.fail("a", flaky);
    expect(late.status("a")).toBe("failed");
    const listed = opened({ maxFailures: 9, retry: { nonRetryable: ["FLAKY"] } });
    listed.begin("a");
    listed.fail("a", flaky);
    expect(listed.status("a")).toBe("failed");
    const final = opened({ maxFailures: 9 });
    final.begin("a");
    final.fail("a");
    expect(final.status("a")).toBe("failed");
  });
});

describe("the end of an attempt", () => {
  test("counts once: the same failure again does not use up the task while it waits", () => {
    const run = opened({ maxFailures: 3 });
    run.begin("a");
    run.fail("a", flaky);
    run.fail("a", flaky);
    expect(run.task("a")).toMatchObject({ status: "retrying", failures: 1 });
    expect(run.words().at(-1)).toBe("attempt.refused");
  });

  test("of a lost attempt does not fail the task that is ready again", () => {
    const run = opened({ maxFailures: 1 });
    const attempt = run.begin("a");
    run.apply({ type: "task.lost", taskKey: "a", attempt, reason: "node died" });
    run.fail("a");
    expect(run.task("a")).toMatchObject({ status: "ready", failures: 0 });
  });

  test("after the task's end changes nothing, and a late start neither", () => {
    const run = opened({}, { b: {} });
    run.done("a");
    run.succeed("a", "again");
    run.apply({ type: "task.started", taskKey: "a", attempt: 1, node: "other" });
    expect(run.task("a")).toMatchObject({ status: "succeeded", node: "n", stopping: false });
    expect(run.state().status).toBe("running");
  });

  test("arrives when the run has ended: the slot is free, the result is refused", () => {
    const run = opened({});
    run.begin("a");
    run.apply({ type: "run.cancel", reason: null });
    expect(run.task("a")).toMatchObject({ status: "cancelled", stopping: true });
    expect(run.state().inFlight).toBe(1);
    run.succeed("a", "late");
    expect(run.task("a")).toMatchObject({ status: "cancelled", stopping: false });
    expect(run.state().inFlight).toBe(0);
    expect(run.words().at(-1)).toBe("attempt.refused");
  });
});

describe("time limits", () => {
  test("schedule-to-start counts for each attempt, from ready to started", () => {
    const run = opened({ maxFailures: 2, timeouts: { scheduleToStartMs: 100 } });
    run.until(90);
    run.begin("a");
    run.until(500);
    expect(run.status("a")).toBe("running");
    run.fail("a", flaky);
    run.until(550);
    run.until(700);
    expect(run.task("a")).toMatchObject({
      status: "failed",
      error: { code: "SCHEDULE_TO_START_TIMEOUT" },
    });
  });

  test("schedule-to-start ends a dispatched task too, and what begins nevertheless is stopped", () => {
    const run = opened({ timeouts: { scheduleToStartMs: 100 } });
    run.dispatch("a");
    run.until(100);
    expect(run.status("a")).toBe("failed");
    expect(run.effects).toContainEqual({ type: "abort", taskKey: "a", attempt: 1, node: null });
    run.apply({ type: "task.started", taskKey: "a", attempt: 1, node: "n" });
    expect(run.task("a")).toMatchObject({ stopping: true, node: "n" });
    run.apply({ type: "task.stopped", taskKey: "a", attempt: 1, how: "by itself", afterMs: 3 });
    expect(run.task("a").stopping).toBe(false);
  });

  test("schedule-to-close counts over all attempts, and stops the one that runs", () => {
    const run = opened({ maxFailures: 9, timeouts: { scheduleToCloseMs: 1_000 } });
    run.until(900);
    run.begin("a");
    run.fail("a", flaky);
    run.until(950);
    run.begin("a");
    run.until(1_000);
    expect(run.task("a")).toMatchObject({
      status: "failed",
      stopping: true,
      unknownOutcome: true,
      error: { code: "SCHEDULE_TO_CLOSE_TIMEOUT" },
    });
    expect(run.state().timers.size).toBe(0);
  });

  test("start-to-close, when the runner did not see to it, is a failure like any other", () => {
    const run = opened({ maxFailures: 2 });
    const attempt = run.begin("a");
    const due = { type: "timeout.due", limit: "start-to-close", taskKey: "a", attempt } as const;
    run.apply(due);
    expect(run.task("a")).toMatchObject({ status: "retrying", stopping: true });
    run.apply(due);
    expect(run.task("a").failures).toBe(1);
    run.until(10);
    run.begin("a");
    expect(run.task("a")).toMatchObject({ attempt: 2, stopping: false, status: "running" });
  });

  test("stand still while the run is paused, unless they are told to run on", () => {
    for (const clocks of ["stop", "run"] as const) {
      const run = opened({ timeouts: { scheduleToStartMs: 100 } });
      run.until(40);
      run.apply({ type: "run.pause", reason: null, clocks });
      run.until(1_000);
      expect(run.status("a")).toBe(clocks === "stop" ? "ready" : "failed");
      if (clocks === "run") continue;
      run.apply({ type: "run.resume", reason: null });
      run.until(1_059);
      expect(run.status("a")).toBe("ready");
      run.until(1_060);
      expect(run.status("a")).toBe("failed");
    }
  });

  test("of an event earlier in the same turn: a stopped clock does not fire, and is kept", () => {
    const run = opened({ timeouts: { scheduleToStartMs: 100 } });
    const event = run.state().timers.get("schedule-to-start/a")?.event as object;
    run.at(100);
    run.apply({ type: "run.pause", reason: null });
    run.apply({ ...event, atMs: 100 } as never, "schedule-to-start/a");
    expect(run.status("a")).toBe("ready");
    expect(run.state().timers.get("schedule-to-start/a")).toMatchObject({ remainingMs: 0 });
  });
});

describe("atMostOnce", () => {
  const unknown: Readonly<Record<string, (run: ReturnType<typeof opened>) => void>> = {
    "its thread died": (run) => run.fail("a", { code: "AGENT_DIED", retryable: true }),
    "it ran out of time": (run) =>
      run.fail("a", { code: "START_TO_CLOSE_TIMEOUT", retryable: true }),
    "it was silent": (run) => run.fail("a", { code: "HEARTBEAT_TIMEOUT", retryable: true }),
    "its node died": (run) =>
      run.apply({ type: "task.lost", taskKey: "a", attempt: 1, reason: "node died" }),
    "its runner hung": (run) =>
      run.apply({ type: "timeout.due", limit: "start-to-close", taskKey: "a", attempt: 1 }),
    "the task's time was over": (run) => run.until(1_000),
  };

  test.each(Object.entries(unknown))("is parked, not repeated, when %s", (_, happen) => {
    const run = opened({
      atMostOnce: true,
      maxFailures: 9,
      timeouts: { scheduleToCloseMs: 1_000 },
    });
    run.begin("a");
    happen(run);
    expect(run.task("a")).toMatchObject({ status: "parked", error: { code: "AMBIGUOUS" } });
    expect(run.state()).toMatchObject({ status: "running" });
    run.until(1_000_000);
    expect(run.effects.filter(({ type }) => type === "dispatch")).toHaveLength(1);
  });

  test("is repeated when certainly nothing of it ran, and when the action itself said that it failed", () => {
    const run = opened({ atMostOnce: true, maxFailures: 9 });
    run.dispatch("a");
    run.apply({ type: "task.lost", taskKey: "a", attempt: 1, reason: "agent gone", begun: false });
    expect(run.status("a")).toBe("ready");
    run.begin("a");
    run.fail("a", flaky);
    expect(run.status("a")).toBe("retrying");
  });
});

test("a retry of the run repeats no at-most-once task of which nobody knows whether it took effect", () => {
  const plan = planOf({ main: { pay: { atMostOnce: true } } });
  const turn = beginTurn(initialRun("run", plan), plan);
  for (const one of [
    event.start,
    event.dispatch("pay"),
    event.started("pay", 1),
    event.cancel,
    event.retry(null),
    event.dispatch("pay"),
  ]) {
    turn.apply(one);
  }
  const { status, attempt, error } = task(turn.state(), "pay");
  expect({ status, attempt, code: error?.code }).toEqual({
    status: "parked",
    attempt: 1,
    code: "AMBIGUOUS",
  });
  const asked = beginTurn(initialRun("run", plan), plan);
  for (const one of [event.start, event.dispatch("pay"), event.started("pay", 1), event.cancel]) {
    asked.apply(one);
  }
  asked.apply(event.retry("pay"));
  expect(task(asked.state(), "pay").status, "whoever names it has decided").toBe("ready");
});

test("an operator who skips a task of a pipeline sends its items on to the next one", () => {
  const items = [0, 1, 2];
  const group = "main";
  const plan = planOf(
    { main: { t0: { group }, t1: { group, after: ["t0"] } } },
    { groups: [{ key: group, items, window: 2, tasks: ["t0", "t1"] }] },
  );
  const turn = beginTurn(initialRun("run", plan), plan);
  turn.apply(event.start);
  turn.apply({ type: "task.skip", taskKey: "t0", reason: null, by: "test", atMs: 1 });
  for (const index of items) {
    turn.apply(event.dispatch(`t1[${index}]`));
    turn.apply(event.succeeded(`t1[${index}]`, 1));
  }
  expect(turn.run().status).toBe("completed");
});
