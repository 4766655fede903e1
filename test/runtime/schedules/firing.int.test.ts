import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import type { Json } from "../../../machines/error-code.ts";
import type { ScheduleSpec } from "../../../machines/schedule-spec.ts";
import { bundle, startChild } from "../../support/child.ts";
import { by, gate } from "../../support/fault-run.ts";
import { createTestDatabase, type TestDatabase } from "../../support/postgres.ts";
import { expectEachOnce, firesOf } from "../../support/schedule-fires.ts";
import { openScheduleNode } from "../../support/schedule-node.ts";
import { soon } from "../../support/soon.ts";
import type { RunAgent } from "../../support/workflow-host.ts";

/** Longer than a node's look for what others have left. */
const endLimitMs = 60_000;
const done: RunAgent = async () => ({ type: "succeeded", output: null });
const quick: Json = { id: "quick", tasks: { only: { do: "WORKER.add" } } };
const everySecond: ScheduleSpec = { workflow: quick, everyMs: 1_000, overlap: "allowAll" };

async function openDatabaseOf(): Promise<TestDatabase & AsyncDisposable> {
  const database = await createTestDatabase();
  return { ...database, [Symbol.asyncDispose]: database.drop };
}

async function openChild(url: string, name: string, halt: string) {
  const migrations = fileURLToPath(new URL("../../../db/migrations", import.meta.url));
  const script = await bundle("runtime/schedules/programs/scheduling-node.ts");
  const child = startChild(script, [url, migrations, name, halt]);
  expect(await child.next()).toEqual({ ready: name });
  return child;
}

/** The schedule has no next time, and nothing of it is open. */
async function pauseAndSettle(
  node: Awaited<ReturnType<typeof openScheduleNode>>,
  id: string,
): Promise<void> {
  await node.schedules.pause(id, by);
  await soon(async () => (await node.schedules.get(id))?.open, endLimitMs).toEqual([]);
}

/** Those that are not 0. */
async function countsOf(
  node: Awaited<ReturnType<typeof openScheduleNode>>,
  id: string,
): Promise<string> {
  const counts = (await node.schedules.get(id))?.counts;
  const some = Object.entries(counts ?? {}).filter(([, count]) => count > 0);
  return some.map(([name, count]) => `${count} ${name}`).join(", ");
}

describe.concurrent("schedules", () => {
  test("two nodes on one database start each time once", async () => {
    await using database = await openDatabaseOf();
    await using one = await openScheduleNode({ url: database.url, nodeId: "one", runAgent: done });
    await using two = await openScheduleNode({ url: database.url, nodeId: "two", runAgent: done });
    const { created } = await one.schedules.create("both", everySecond, {});
    expect(created).toBe(true);
    // The other has heard of it, and from then on both wake at the same time.
    two.firing.wake();
    await soon(
      async () => (await firesOf(database.sql, "both")).length,
      endLimitMs,
    ).toBeGreaterThan(6);
    await pauseAndSettle(one, "both");
    await expectEachOnce(database.sql, "both");
    const view = await two.schedules.get("both");
    expect(view?.counts.completed).toBe(view?.counts.started);
  });

  test.each(["before-start", "after-start"])(
    "a node that is killed %s leaves a time that another one starts, once",
    async (halt) => {
      await using database = await openDatabaseOf();
      {
        await using creator = await openScheduleNode({ url: database.url, runAgent: done });
        const at = [new Date(Date.now() + 2_000).toISOString()];
        await creator.schedules.create("once", { workflow: quick, at }, {});
        // It is gone before the time comes, or has no part in what follows.
        await creator.firing.stop();
      }
      const child = await openChild(database.url, "dying", halt);
      const { halted } = await child.next();
      const [fire] = await firesOf(database.sql, "once");
      expect(fire).toMatchObject({ outcome: "starting", run: null });
      expect(halted).toBe(`schedule/once/${new Date(fire?.ms ?? 0).toISOString()}`);
      process.kill(child.pid, "SIGKILL");
      await child.ended;
      await using node = await openScheduleNode({
        url: database.url,
        nodeId: "heir",
        runAgent: done,
      });
      await soon(() => countsOf(node, "once"), endLimitMs).toBe("1 started, 1 completed");
      await expectEachOnce(database.sql, "once");
    },
  );

  test("no second is lost or started twice while nodes are killed around it", async () => {
    await using database = await openDatabaseOf();
    await using node = await openScheduleNode({
      url: database.url,
      nodeId: "creator",
      runAgent: done,
    });
    await node.schedules.create("killed", everySecond, {});
    await node.firing.stop();
    for (let round = 0; round < 5; round += 1) {
      const child = await openChild(database.url, `child-${round}`, "never");
      const before = (await firesOf(database.sql, "killed")).length;
      await soon(
        async () => (await firesOf(database.sql, "killed")).length,
        endLimitMs,
      ).toBeGreaterThan(before);
      // The moment of death: around the next full second, each round a little later.
      const untilSecond = 1_000 - (Date.now() % 1_000);
      await new Promise((resolve) => setTimeout(resolve, untilSecond - 10 + round * 8));
      process.kill(child.pid, "SIGKILL");
      await child.ended;
    }
    await using heir = await openScheduleNode({
      url: database.url,
      nodeId: "heir",
      runAgent: done,
    });
    const before = (await firesOf(database.sql, "killed")).length;
    await soon(
      async () => (await firesOf(database.sql, "killed")).length,
      endLimitMs,
    ).toBeGreaterThan(before);
    await pauseAndSettle(heir, "killed");
    await expectEachOnce(database.sql, "killed");
  });

  test("a waiting time starts as soon as the open run ends, without a look", async () => {
    await using database = await openDatabaseOf();
    const first = gate();
    await using node = await openScheduleNode({
      url: database.url,
      runAgent: async ({ workflowId }) => {
        if (!opened.has(workflowId) && opened.add(workflowId).size === 1) await first.passed;
        return { type: "succeeded", output: null };
      },
    });
    const opened = new Set<string>();
    await node.schedules.create("row", { ...everySecond, overlap: "bufferOne" }, {});
    await soon(async () => (await node.schedules.get("row"))?.waiting.length, endLimitMs).toBe(1);
    await node.schedules.pause("row", by);
    await node.schedules.resume("row", by);
    const outcomes = async () => (await firesOf(database.sql, "row")).map(({ outcome }) => outcome);
    await soon(async () => (await outcomes()).includes("skipped"), endLimitMs).toBe(true);
    expect((await outcomes()).slice(0, 2)).toEqual(["started", "buffered"]);
    first.open();
    await soon(async () => (await outcomes())[1]).toBe("started");
  });

  test("cancelOther ends the open run and starts the newest time after it", async () => {
    await using database = await openDatabaseOf();
    await using node = await openScheduleNode({
      url: database.url,
      runAgent: async (_, { signal }) => {
        await new Promise((resolve) => signal.addEventListener("abort", resolve));
        const error = { name: "Error", code: "ABORTED", message: "aborted", retryable: true };
        return { type: "failed", error };
      },
    });
    const at = [3_000, 5_000].map((inMs) => new Date(Date.now() + inMs).toISOString());
    await node.schedules.create("newest", { workflow: quick, at, overlap: "cancelOther" }, {});
    await soon(() => countsOf(node, "newest"), endLimitMs).toBe("2 started, 1 cancelled");
    const fires = await firesOf(database.sql, "newest");
    expect(fires.map(({ outcome }) => outcome)).toEqual(["started", "started"]);
    const statuses = await node.repo.statuses(fires.map(({ run }) => run ?? ""));
    expect(statuses.get(fires[0]?.run ?? "")).toBe("cancelled");
    expect(["pending", "running"]).toContain(statuses.get(fires[1]?.run ?? ""));
  });

  test("a failed run pauses the schedule that asks for it, with the reason", async () => {
    await using database = await openDatabaseOf();
    await using node = await openScheduleNode({
      url: database.url,
      runAgent: async () => ({
        type: "failed",
        error: { name: "Error", code: "BOOM", message: "boom", retryable: false },
      }),
    });
    await node.schedules.create("careful", { ...everySecond, pauseOnFailure: true }, {});
    await soon(async () => (await node.schedules.get("careful"))?.status, endLimitMs).toBe(
      "paused",
    );
    expect((await node.schedules.get("careful"))?.note).toMatch(/^the run of .* is failed$/);
  });

  test("a run that is refused is a failed time, with the reason", async () => {
    await using database = await openDatabaseOf();
    await using node = await openScheduleNode({ url: database.url, runAgent: done });
    const workflow: Json = { id: "wrong", tasks: { only: { do: "NOBODY.knows" } } };
    await node.schedules.create("wrong", { workflow, everyMs: 86_400_000 }, {});
    const fire = await node.schedules.trigger("wrong", undefined, by);
    expect(fire).toMatchObject({ outcome: "failed", workflowId: null });
    expect(fire.reason).toContain("NOBODY");
    expect((await node.schedules.get("wrong"))?.open).toEqual([]);
  });
});
