import { describe, expect, test } from "vitest";
import { defineWorkflow } from "../../../../actors/define-workflow.ts";
import type { Json } from "../../../../machines/error-code.ts";
import { beginTurn } from "../../../../machines/run/turn.ts";
import { openFaultDatabase } from "../../../support/fault-run.ts";
import { soon } from "../../../support/soon.ts";
import { openTestHost } from "../../../support/workflow-host.ts";
import { failure, limitMs, look, ok, post, start, untilAborted } from "./semantics.ts";

const child = defineWorkflow({ id: "child", tasks: { work: { do: "WORKER.add" } } });

describe.concurrent("waits", () => {
  test("an approval is opened with a token, and a token that expired is replaced", async () => {
    await using database = await openFaultDatabase();
    await using node = await openTestHost({ url: database.url, runAgent: async () => ok });
    const workflow = {
      id: "asks",
      tasks: { a: { approval: { title: "Go?" }, timeouts: { scheduleToCloseMs: 300 } } },
    };
    const id = await start(node, workflow);
    const run = look(database, id);
    const tokens = async () => {
      const rows = await database.sql<{ token: string }[]>`
        select token from spectra.approvals where workflow_id = ${id}`;
      return rows.map(({ token }) => token);
    };
    await soon(async () => (await tokens()).length, limitMs).toBe(1);
    await run.ended("failed");
    expect((await run.task("a"))?.error?.code).toBe("SCHEDULE_TO_CLOSE_TIMEOUT");
    expect(await run.timers()).toEqual([]);
    await node.workflows.retry(id, { actor: "test" });
    await soon(async () => (await tokens()).length, limitMs).toBe(2);
    expect(new Set(await tokens()).size).toBe(2);
  });

  test("signals are kept in order, also those that came before anybody waited", async () => {
    await using database = await openFaultDatabase();
    await using node = await openTestHost({ url: database.url, runAgent: async () => ok });
    const workflow = {
      id: "listens",
      tasks: {
        nap: { sleepMs: 200 },
        first: { signal: "s", after: ["nap"] },
        second: { signal: "s", after: ["first"] },
      },
    };
    const id = await start(node, workflow);
    for (const payload of ["one", "two"]) {
      await post(node, id, { type: "run.signal", name: "s", payload });
    }
    const run = look(database, id);
    await run.ended("completed");
    expect([(await run.task("first"))?.output, (await run.task("second"))?.output]).toEqual([
      "one",
      "two",
    ]);
  });

  test("a child run pauses, resumes and is cancelled with its parent", async () => {
    await using database = await openFaultDatabase();
    await using node = await openTestHost({
      url: database.url,
      workflows: [child],
      runAgent: untilAborted,
    });
    const id = await start(node, { id: "parent", tasks: { kid: { workflow: "child" } } });
    const run = look(database, id);
    const status = async () => (await run.children())[0]?.status;
    await soon(status, limitMs).toBe("running");
    await post(node, id, { type: "run.pause" });
    await soon(status, limitMs).toBe("paused");
    await post(node, id, { type: "run.resume" });
    await soon(status, limitMs).toBe("running");
    await post(node, id, { type: "run.cancel" });
    await soon(status, limitMs).toBe("cancelled");
    await run.ended("cancelled");
  });

  test("a retry of a parent starts another child, and what children spend counts once", async () => {
    await using database = await openFaultDatabase();
    let calls = 0;
    await using node = await openTestHost({
      url: database.url,
      workflows: [child],
      runAgent: async () => {
        calls += 1;
        const outcome = calls === 1 ? failure("NO") : ok;
        return { ...outcome, spent: { token: 5 } };
      },
    });
    const id = await start(node, { id: "parent", tasks: { kid: { workflow: "child" } } });
    const run = look(database, id);
    await run.ended("failed");
    await node.workflows.retry(id, { actor: "test" });
    await run.ended("completed");
    expect((await run.children()).map(({ id: of, status }) => [of, status])).toEqual([
      [`${id}.kid.1`, "failed"],
      [`${id}.kid.2`, "completed"],
    ]);
    expect((await run.run())?.extras.spent).toEqual({ token: 10 });
  });

  test("a run whose events the rules cannot apply is parked with the reason, and others go on", async () => {
    await using database = await openFaultDatabase();
    await using node = await openTestHost({ url: database.url, runAgent: async () => ok });
    const sleeps = { id: "sleeps", tasks: { nap: { sleepMs: 3_600_000 } } };
    const id = await start(node, sleeps);
    const run = look(database, id);
    await run.ended("running");
    // A mistake of ours, made real: this event cannot be read by any rule.
    const broken = { type: "task.finished", taskKey: "nap", attempt: 1, outcome: null };
    const owned = node.host.engine.owned().get(id);
    if (owned === undefined) throw new Error("the run is not owned");
    expect(() =>
      beginTurn(owned.state, owned.plan).apply({ ...broken, by: "x", atMs: 0 } as never),
    ).toThrow();
    await post(node, id, broken);
    await run.ended("parked");
    expect((await run.run())?.error as Json).toMatchObject({ name: "TypeError" });
    const other = look(
      database,
      await start(node, { id: "fine", tasks: { a: { do: "WORKER.add" } } }),
    );
    await other.ended("completed");
  });

  test("an event for a task that the run does not have is dropped, and the others are applied", async () => {
    await using database = await openFaultDatabase();
    await using node = await openTestHost({ url: database.url, runAgent: async () => ok });
    const id = await start(node, { id: "listens", tasks: { a: { signal: "s" } } });
    await post(node, id, { type: "task.skip", taskKey: "nobody" });
    await post(node, id, { type: "run.signal", name: "s", payload: 1 });
    await look(database, id).ended("completed");
  });
});
