import { describe, expect, test } from "vitest";
import { openRun } from "../../support/open-run.ts";
import { planOf, type TaskOptions } from "../../support/run-events.ts";

function failing(onFailure: string, more: Readonly<Record<string, TaskOptions>> = {}) {
  const run = openRun(planOf({ main: { a: { onFailure }, ...more } }));
  run.start();
  run.begin("a");
  run.fail("a");
  return run;
}

const decide = (as: "succeeded" | "failed" | "retry" | "skip") =>
  ({ type: "task.resolve", taskKey: "a", as, output: "by hand", reason: "looked" }) as const;

describe("strategies after a final failure", () => {
  test("fail: the stage ends, what waits for others is cancelled, and the run fails", () => {
    const run = failing("fail", {
      agent: {},
      sleep: { kind: "sleep", sleepMs: 1_000 },
      person: { kind: "approval" },
      child: { kind: "workflow", workflow: "w" },
    });
    expect(run.statuses()).toEqual({
      a: "failed",
      agent: "cancelled",
      sleep: "cancelled",
      person: "cancelled",
      child: "cancelled",
    });
    expect(run.commands()).toEqual(["run.cancel run.child.1"]);
    expect(run.state().status).toBe("failed");
  });

  test("skip: what comes after goes on, with nothing to read", () => {
    const run = failing("skip", { b: { after: ["a"] } });
    run.done("b");
    expect(run.statuses()).toEqual({ a: "skipped", b: "succeeded" });
    expect(run.state()).toMatchObject({ status: "completed", error: null });
  });

  test("alternative: the other task takes its place, and is skipped when it is not needed", () => {
    const stand = { stand: { alternativeTo: "a" }, b: { after: ["a"] } };
    const run = failing("stand", stand);
    expect(run.statuses()).toEqual({ a: "skipped", stand: "ready", b: "blocked" });
    run.done("stand", "b");
    expect(run.state().status).toBe("completed");
    const well = openRun(planOf({ main: { a: { onFailure: "stand" }, ...stand } }));
    well.start();
    well.done("a", "b");
    expect(well.statuses()).toMatchObject({ stand: "skipped" });
    expect(well.state().status).toBe("completed");
  });

  test("alternative: fails for good when the other task fails too", () => {
    const run = failing("stand", { stand: { alternativeTo: "a" }, b: { after: ["a"] } });
    run.begin("stand");
    run.fail("stand", { code: "ALSO" });
    expect(run.state()).toMatchObject({ status: "failed", error: { code: "ALSO" } });
  });
});

describe("a task that is parked for an operator", () => {
  test("holds the run, and each decision goes on from there", () => {
    const ends = {
      succeeded: ["succeeded", "completed"],
      skip: ["skipped", "completed"],
      failed: ["failed", "failed"],
    } as const;
    for (const [as, [task, status]] of Object.entries(ends)) {
      const run = failing("escalate", { b: { after: ["a"] } });
      expect(run.status("a")).toBe("parked");
      expect(run.state().status).toBe("running");
      run.apply(decide(as as "skip"));
      if (as !== "failed") run.done("b");
      expect(run.status("a")).toBe(task);
      expect(run.state().status).toBe(status);
    }
  });

  test("is tried again with all of its attempts", () => {
    const run = failing("escalate");
    run.apply(decide("retry"));
    expect(run.task("a")).toMatchObject({ status: "ready", failures: 0, error: null });
    run.done("a");
    expect(run.state().status).toBe("completed");
  });

  test("that nobody may repeat: who says that it failed says that it took no effect", () => {
    const run = openRun(
      planOf({
        main: {
          a: { atMostOnce: true, onFailure: "rollback", compensate: { agent: "A", action: "u" } },
        },
      }),
    );
    run.start();
    run.begin("a");
    run.apply({ type: "task.lost", taskKey: "a", attempt: 1, reason: "node died" });
    run.apply(decide("failed"));
    expect(run.undone()).toEqual([]);
    expect(run.state().status).toBe("failed");
  });

  test("is the only one that can be resolved; a task of an agent that runs cannot", () => {
    const run = openRun(planOf({ main: { a: {} } }));
    run.start();
    run.begin("a");
    for (const as of ["succeeded", "failed", "skip", "retry"] as const) run.apply(decide(as));
    expect(run.status("a")).toBe("running");
    expect(run.words().filter((word) => word === "command.refused")).toHaveLength(4);
  });
});

test("an event for a task that the run does not have is refused with TASK_UNKNOWN", () => {
  const run = openRun(planOf({ main: { a: {} } }));
  run.start();
  const given = { type: "task.skip", taskKey: "nobody", reason: null } as const;
  expect(() => run.apply(given)).toThrow(expect.objectContaining({ code: "TASK_UNKNOWN" }));
});
