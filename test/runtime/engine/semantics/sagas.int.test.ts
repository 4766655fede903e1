import { describe, expect, test } from "vitest";
import { defineWorkflow } from "../../../../actors/define-workflow.ts";
import { openFaultDatabase } from "../../../support/fault-run.ts";
import { soon } from "../../../support/soon.ts";
import { openTestHost } from "../../../support/workflow-host.ts";
import { failure, limitMs, look, ok, post, start, untilAborted } from "./semantics.ts";

const chain = {
  id: "saga",
  tasks: {
    a: { do: "WORKER.add", compensate: "WORKER.block" },
    b: { do: "WORKER.add", compensate: "WORKER.block", after: ["a"], retry: { initialMs: 1 } },
    c: { do: "WORKER.fail", after: ["b"], onFailure: "rollback", retry: { attempts: 1 } },
  },
};

describe.concurrent("sagas", () => {
  test("undo in reverse order, again after a failure, and fail the run with the cause", async () => {
    await using database = await openFaultDatabase();
    const undone: string[] = [];
    await using node = await openTestHost({
      url: database.url,
      runAgent: async ({ action, taskKey }) => {
        if (action === "fail") return failure("NO_STOCK");
        if (action !== "block") return ok;
        undone.push(taskKey);
        return undone.length === 1 ? failure("FLAKY", true) : ok;
      },
    });
    const run = look(database, await start(node, chain));
    await run.ended("failed");
    expect(undone).toEqual(["b", "b", "a"]);
    expect((await run.run())?.error?.code).toBe("NO_STOCK");
    expect(await run.statuses()).toEqual({ a: "compensated", b: "compensated", c: "failed" });
  });

  test("park what cannot be undone, and go on when an operator has seen to it", async () => {
    await using database = await openFaultDatabase();
    const undone: string[] = [];
    await using node = await openTestHost({
      url: database.url,
      runAgent: async ({ action, taskKey }) => {
        if (action === "fail") return failure("NO_STOCK");
        if (action !== "block") return ok;
        undone.push(taskKey);
        return taskKey === "b" ? failure("LOCKED") : ok;
      },
    });
    const id = await start(node, chain);
    const run = look(database, id);
    await soon(async () => (await run.task("b"))?.status, limitMs).toBe("parked");
    expect(undone).toEqual(["b"]);
    await post(node, id, { type: "task.resolve", taskKey: "b", as: "succeeded" });
    await run.ended("failed");
    expect(undone).toEqual(["b", "a"]);
  });

  test("go on at the next owner when theirs is gone", async () => {
    await using database = await openFaultDatabase();
    const first = await openTestHost({
      url: database.url,
      runAgent: async (call, hooks) => {
        if (call.action === "fail") return failure("NO_STOCK");
        return call.action === "block" ? await untilAborted(call, hooks) : ok;
      },
    });
    const run = look(database, await start(first, chain));
    await soon(async () => (await run.task("b"))?.status, limitMs).toBe("compensating");
    await first[Symbol.asyncDispose]();
    const undone: string[] = [];
    await using _ = await openTestHost({
      url: database.url,
      runAgent: async ({ taskKey }) => {
        undone.push(taskKey);
        return ok;
      },
    });
    await run.ended("failed");
    expect(undone).toEqual(["b", "a"]);
  });

  test("cancel with rollback stops what runs, waits for it, and undoes what it may have done", async () => {
    await using database = await openFaultDatabase();
    const undone: string[] = [];
    await using node = await openTestHost({
      url: database.url,
      runAgent: async (call, hooks) => {
        if (call.action === "block") undone.push(call.taskKey);
        return call.action === "add" && call.taskKey === "b" ? await untilAborted(call, hooks) : ok;
      },
    });
    const id = await start(node, chain);
    const run = look(database, id);
    await soon(async () => (await run.task("b"))?.status, limitMs).toBe("running");
    await post(node, id, { type: "run.cancel", rollback: true });
    await run.ended("cancelled");
    expect(undone).toEqual(["b", "a"]);
    const words = await run.words();
    expect(words.indexOf("task.stopped")).toBeLessThan(words.indexOf("task.compensating"));
  });

  test("have a child run that completed undo what it did", async () => {
    await using database = await openFaultDatabase();
    const undone: string[] = [];
    const pay = defineWorkflow({
      id: "pay",
      tasks: { charge: { do: "WORKER.add", compensate: "WORKER.block" } },
    });
    await using node = await openTestHost({
      url: database.url,
      workflows: [pay],
      runAgent: async ({ action, taskKey }) => {
        if (action === "fail") return failure("NO_STOCK");
        if (action === "block") undone.push(taskKey);
        return ok;
      },
    });
    const workflow = {
      id: "order",
      tasks: {
        reserve: { do: "WORKER.add", compensate: "WORKER.block" },
        pay: { workflow: "pay", compensate: true, after: ["reserve"] },
        ship: { do: "WORKER.fail", after: ["pay"], onFailure: "rollback", retry: { attempts: 1 } },
      },
    };
    const run = look(database, await start(node, workflow));
    await run.ended("failed");
    expect(undone).toEqual(["charge", "reserve"]);
    expect(await run.statuses()).toMatchObject({ pay: "compensated", reserve: "compensated" });
    expect(await run.children()).toMatchObject([{ status: "cancelled" }]);
  });
});
