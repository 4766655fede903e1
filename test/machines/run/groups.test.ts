import { describe, expect, test } from "vitest";
import { openRun } from "../../support/open-run.ts";
import { chartPlanOf, planOf, type TaskOptions } from "../../support/run-events.ts";

const list = { $param: "list" };

/** One task for each item of the input's list. */
function fanOut(items: readonly unknown[], options: TaskOptions = {}, window = 8) {
  const tasks = {
    a: { forEach: list, group: "a", ...options },
    b: { after: ["a"], when: { $eq: [{ $output: "a" }, null] } as never },
  };
  const plan = planOf(
    { main: tasks },
    { groups: [{ key: "a", items: list, window, tasks: ["a"] }], output: { $output: "a" } },
  );
  const run = openRun(plan, { input: { list: items as never } });
  run.start();
  return run;
}

/** Items stream from p to q to r. */
function pipeline(
  count: number,
  window: number,
  options: Readonly<Record<string, TaskOptions>> = {},
) {
  const main = {
    p: { group: "main", ...options["p"] },
    q: { group: "main", after: ["p"], ...options["q"] },
    r: { group: "main", after: ["q"], ...options["r"] },
  };
  const groups = [{ key: "main", items: list, window, tasks: ["p", "q", "r"] }];
  const plan = planOf({ main }, { groups, output: { $output: "r" } });
  const run = openRun(plan, { input: { list: Array.from({ length: count }, (_, n) => n) } });
  run.start();
  return run;
}

const ready = (run: ReturnType<typeof openRun>) =>
  Object.entries(run.statuses()).flatMap(([key, status]) => (status === "ready" ? [key] : []));

describe("forEach", () => {
  test("merges outputs in the list's order, whatever the order of ends", () => {
    const run = fanOut(["x", "y", "z"]);
    run.done("a[2]", "a[0]", "a[1]");
    expect(run.state()).toMatchObject({ status: "completed", output: ["a[0]", "a[1]", "a[2]"] });
    expect(run.task("a[1]")).toMatchObject({ item: "y", index: 1 });
  });

  test("lets in as many items as its window has room for", () => {
    const run = fanOut([1, 2, 3, 4], {}, 2);
    expect(ready(run)).toEqual(["a[0]", "a[1]"]);
    run.done("a[1]");
    expect(ready(run)).toEqual(["a[0]", "a[2]"]);
  });

  test("of no items is done at once, with an empty list", () => {
    const run = fanOut([]);
    expect(run.state()).toMatchObject({ status: "completed", output: [] });
    expect(run.status("a")).toBe("succeeded");
  });

  test("fails when what it goes over is no list", () => {
    const plan = planOf(
      { main: { a: { forEach: list, group: "a" } } },
      { groups: [{ key: "a", items: list, window: 1, tasks: ["a"] }] },
    );
    const run = openRun(plan, { input: { list: "no" } });
    run.start();
    expect(run.state()).toMatchObject({ status: "failed", error: { code: "NO_LIST" } });
  });

  test("runs 2,000 items, and its bookkeeping does not lose count", () => {
    const items = Array.from({ length: 2_000 }, (_, index) => index);
    const plan = planOf(
      { main: { a: { forEach: list, group: "a" } } },
      { groups: [{ key: "a", items: list, window: 50, tasks: ["a"] }], output: { $output: "a" } },
    );
    const run = openRun.call(null, plan, { input: { list: items } });
    run.start();
    expect(run.state().tasks.size).toBe(2_001);
    expect(ready(run)).toHaveLength(50);
  });

  test("one item that fails for good fails the whole, and stops the others", () => {
    const run = fanOut([1, 2, 3]);
    run.begin("a[0]");
    run.begin("a[1]");
    run.fail("a[1]");
    expect(run.statuses()).toMatchObject({
      a: "failed",
      "a[0]": "cancelled",
      "a[1]": "failed",
      "a[2]": "cancelled",
      b: "cancelled",
    });
    expect(run.state()).toMatchObject({ status: "failed", error: { code: "BOOM" } });
    expect(run.effects.at(-1)).toMatchObject({
      type: "abort",
      taskKey: "a[0]",
      attempt: 1,
      node: "n",
    });
  });

  test("one item that may be skipped leaves null in its place", () => {
    const run = fanOut([1, 2], { onFailure: "skip" });
    run.begin("a[0]");
    run.fail("a[0]");
    run.done("a[1]");
    expect(run.state()).toMatchObject({ status: "completed", output: [null, "a[1]"] });
  });

  test("one item that escalates waits for an operator, and the others go on", () => {
    const ends = {
      retry: "ready",
      succeeded: "succeeded",
      skip: "skipped",
      failed: "failed",
    } as const;
    for (const [as, status] of Object.entries(ends)) {
      const run = fanOut([1, 2], { onFailure: "escalate" });
      run.begin("a[0]");
      run.fail("a[0]");
      run.done("a[1]");
      expect(run.status("a")).toBe("running");
      run.apply({
        type: "task.resolve",
        taskKey: "a[0]",
        as: as as "skip",
        output: 7,
        reason: null,
      });
      expect(run.status("a[0]")).toBe(status);
      if (as === "retry") run.done("a[0]");
      expect(run.state().status).toBe(as === "failed" ? "failed" : "completed");
    }
  });

  test("an alternative takes the place of the whole", () => {
    const plan = planOf(
      {
        main: {
          a: { forEach: list, group: "a", onFailure: "stand" },
          stand: { alternativeTo: "a" },
        },
      },
      { groups: [{ key: "a", items: list, window: 8, tasks: ["a"] }], output: { $output: "a" } },
    );
    const run = openRun(plan, { input: { list: [1, 2] } });
    run.start();
    run.begin("a[0]");
    run.fail("a[0]");
    expect(run.statuses()).toMatchObject({ a: "skipped", "a[1]": "cancelled", stand: "ready" });
    run.done("stand");
    expect(run.state()).toMatchObject({ status: "completed" });
  });

  test("one item that rolls back undoes the items that are done, newest first", () => {
    const compensate = { agent: "A", action: "undo" };
    const run = fanOut([1, 2, 3], { onFailure: "rollback", compensate });
    run.at(1);
    run.done("a[1]");
    run.at(2);
    run.done("a[0]");
    run.begin("a[2]");
    run.fail("a[2]");
    run.succeed("a[0]");
    run.succeed("a[1]");
    expect(run.undone()).toEqual(["a[0]", "a[1]"]);
    expect(run.state().status).toBe("failed");
  });

  test("a retry keeps the items that are done, counts attempts on, and holds to the window", () => {
    const run = fanOut([1, 2, 3, 4, 5], {}, 2);
    run.done("a[1]", "a[0]");
    run.begin("a[2]");
    run.fail("a[2]");
    run.apply({ type: "run.retry", taskKey: null, reason: null });
    expect(run.task("a[0]")).toMatchObject({ status: "succeeded", attempt: 1 });
    expect(ready(run)).toEqual(["a[2]", "a[3]"]);
    run.done("a[2]");
    expect(run.task("a[2]").attempt).toBe(2);
    run.done("a[3]", "a[4]");
    expect(run.state().output).toEqual(["a[0]", "a[1]", "a[2]", "a[3]", "a[4]"]);
  });

  test("an operator who skips the whole stops its items", () => {
    const run = fanOut([1, 2]);
    run.begin("a[0]");
    run.apply({ type: "task.skip", taskKey: "a", reason: null });
    expect(run.statuses()).toMatchObject({
      a: "skipped",
      "a[0]": "cancelled",
      "a[1]": "cancelled",
    });
    expect(run.status("b")).toBe("ready");
  });

  test("in a stage that is entered again has instances of their own", () => {
    const again = { src: "main", id: "main", onDone: "done", onError: "twice" };
    const plan = chartPlanOf(
      { main: { a: { forEach: list, group: "a" } } },
      {
        initial: "once",
        states: {
          once: { invoke: again },
          twice: { invoke: { ...again, onError: "failed" } },
          done: { type: "final" },
          failed: { type: "final" },
        },
      },
      { groups: [{ key: "a", items: list, window: 1, tasks: ["a"] }], output: { $output: "a" } },
    );
    const run = openRun(plan, { input: { list: [1, 2] } });
    run.start();
    run.done("a[0]");
    run.begin("a[1]");
    run.fail("a[1]");
    expect(ready(run)).toEqual(["a#2[0]"]);
    run.done("a#2[0]", "a#2[1]");
    expect(run.state()).toMatchObject({ status: "completed", output: ["a#2[0]", "a#2[1]"] });
  });
});

describe("pipeline", () => {
  test("streams each item through all tasks, with a bounded number inside", () => {
    const run = pipeline(4, 2);
    expect(ready(run)).toEqual(["p[0]", "p[1]"]);
    run.done("p[0]", "q[0]");
    expect(ready(run)).toEqual(["p[1]", "r[0]"]);
    run.done("r[0]");
    expect(ready(run)).toEqual(["p[1]", "p[2]"]);
    run.done("p[1]", "p[2]", "q[2]", "r[2]", "q[1]", "r[1]");
    run.done("p[3]", "q[3]", "r[3]");
    expect(run.state()).toMatchObject({
      status: "completed",
      output: ["r[0]", "r[1]", "r[2]", "r[3]"],
    });
  });

  test("of no items is done at once", () => {
    expect(pipeline(0, 2).state()).toMatchObject({ status: "completed", output: [] });
  });

  test("an item that fails for good in the middle ends all of it", () => {
    const run = pipeline(3, 3);
    run.done("p[0]", "p[1]");
    run.begin("q[0]");
    run.fail("q[0]");
    expect(run.statuses()).toMatchObject({ p: "cancelled", q: "failed", r: "cancelled" });
    expect(run.state().status).toBe("failed");
    run.apply({ type: "run.retry", taskKey: null, reason: null });
    expect(ready(run).sort()).toEqual(["p[2]", "q[0]", "q[1]"]);
    run.done("q[0]", "q[1]", "p[2]", "q[2]", "r[0]", "r[1]", "r[2]");
    expect(run.state().output).toEqual(["r[0]", "r[1]", "r[2]"]);
  });

  test("another task takes the place of one item's", () => {
    const main = {
      p: { group: "main", onFailure: "stand" },
      stand: { group: "main", after: ["p"], alternativeTo: "p" },
      r: { group: "main", after: ["stand"] },
    };
    const groups = [{ key: "main", items: list, window: 8, tasks: ["p", "stand", "r"] }];
    const plan = planOf({ main }, { groups, output: { $output: "p" } });
    const run = openRun(plan, { input: { list: [1, 2] } });
    run.start();
    run.done("p[0]");
    expect(run.status("stand[0]")).toBe("skipped");
    run.begin("p[1]");
    run.fail("p[1]");
    run.done("stand[1]", "r[0]", "r[1]");
    expect(run.state()).toMatchObject({ status: "completed", output: ["p[0]", "stand[1]"] });
  });

  test("an item that an operator skips before it began is left out", () => {
    const run = pipeline(3, 1);
    run.apply({ type: "task.skip", taskKey: "r[2]", reason: null });
    for (const item of [0, 1]) run.done(`p[${item}]`, `q[${item}]`, `r[${item}]`);
    run.done("p[2]", "q[2]");
    expect(run.state()).toMatchObject({ status: "completed", output: ["r[0]", "r[1]", null] });
  });
});
