import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Json } from "../../../machines/error-code.ts";
import { RequestError } from "../../../runtime/system.ts";
import { by } from "../../support/fault-run.ts";
import { createTestDatabase, type TestDatabase } from "../../support/postgres.ts";
import { openScheduleNode, type ScheduleNode } from "../../support/schedule-node.ts";
import { soon } from "../../support/soon.ts";

const hourMs = 3_600_000;
const quick: Json = { id: "quick", tasks: { only: { do: "WORKER.add" } } };
let database: TestDatabase;
let node: ScheduleNode;

beforeAll(async () => {
  database = await createTestDatabase();
  node = await openScheduleNode({
    url: database.url,
    runAgent: async () => ({ type: "succeeded", output: null }),
  });
});

afterAll(async () => {
  await node[Symbol.asyncDispose]();
  await database.drop();
});

async function refused(work: Promise<unknown>): Promise<RequestError> {
  const error: unknown = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(RequestError);
  return error as RequestError;
}

describe("schedules", () => {
  test("names everything that is wrong with a spec at once", async () => {
    const error = await refused(
      node.schedules.create(
        "bad id",
        {
          workflow: "unknown",
          cron: ["61 * * * *", "0 0 30 2 *", "2026-01-01T00:00:00Z", "0 0 * * *"],
          timeZone: "Europe/Berlin",
          startAt: "tomorrow",
          offsetMs: 5,
          jitterMs: -1,
          maxRuns: 0,
        },
        {},
      ),
    );
    expect(error.code).toBe("INVALID");
    expect(error.fields.map(({ pointer }) => pointer)).toEqual([
      "/id",
      "/workflow",
      "/offsetMs",
      "/cron/0",
      "/cron/1",
      "/cron/2",
      "/startAt",
      "/jitterMs",
      "/maxRuns",
    ]);
    const zone = await refused(
      node.schedules.create(
        "x",
        { workflow: quick, cron: ["0 0 * * *"], timeZone: "Mars/Base" },
        {},
      ),
    );
    expect(zone.fields.map(({ pointer }) => pointer)).toEqual(["/timeZone"]);
    const both = await refused(
      node.schedules.create("x", { workflow: quick, everyMs: 1_000, at: [] }, {}),
    );
    expect(both.message).toContain("one of cron, everyMs and at");
    const past = await refused(
      node.schedules.create("x", { workflow: quick, at: ["2020-01-01T00:00:00Z"] }, {}),
    );
    expect(past.message).toContain("has no time in the future");
  });

  test("creates once, refuses another spec under the same id, and replaces when asked", async () => {
    const spec = { workflow: quick, cron: ["0 3 * * *"], timeZone: "Europe/Berlin" };
    const first = await node.schedules.create("nightly", spec, {});
    expect(first.created).toBe(true);
    expect(first.schedule.next).toHaveLength(5);
    for (const { dueAt, time } of first.schedule.next) {
      expect(dueAt).toBe(time);
      const local = new Date(time).toLocaleTimeString("en-GB", { timeZone: "Europe/Berlin" });
      expect(local).toBe("03:00:00");
    }
    const same = await node.schedules.create("nightly", { ...spec }, {});
    expect(same.created).toBe(false);
    const other = { ...spec, cron: ["0 4 * * *"] };
    const conflict = await refused(node.schedules.create("nightly", other, {}));
    expect(conflict.code).toBe("CONFLICT");
    const { schedule } = await node.schedules.create("nightly", other, { replace: true });
    expect(schedule.spec.cron).toEqual(["0 4 * * *"]);
    expect(schedule.createdAt).toBe(first.schedule.createdAt);
    await node.schedules.remove("nightly", by);
    expect(await node.schedules.get("nightly")).toBeUndefined();
    expect((await refused(node.schedules.remove("nightly", by))).code).toBe("NOT_FOUND");
  });

  test("triggers by hand, also during a pause, and gives the run the time that it is for", async () => {
    const workflow: Json = {
      id: "dated",
      params: ["day", "other"],
      tasks: { only: { do: "WORKER.add", with: { day: { $param: "day" } } } },
    };
    const spec = {
      workflow,
      everyMs: 24 * hourMs,
      timeInput: "day",
      input: { other: 1 },
      tenant: "acme",
      attributes: { team: "night", level: 2 },
    };
    await node.schedules.create("dated", spec, {});
    const paused = await node.schedules.pause("dated", { ...by, reason: "holiday" });
    expect(paused).toMatchObject({ status: "paused", note: "holiday" });
    const fire = await node.schedules.trigger("dated", undefined, by);
    expect(fire).toMatchObject({ outcome: "started", backfill: false });
    const run = await node.host.until(fire.workflowId ?? "", "completed");
    expect(run.input).toEqual({ other: 1, day: fire.time });
    const rows = await database.sql`
      select tenant, schedule_id, attributes from spectra.workflows where id = ${run.id}`;
    expect(rows).toEqual([
      { tenant: "acme", schedule_id: "dated", attributes: { team: "night", level: 2 } },
    ]);
    const resumed = await node.schedules.resume("dated", by);
    expect(resumed.status).toBe("active");
  });

  test("makes up for a range one after the other, and again changes nothing", async () => {
    await node.schedules.create("past", { workflow: quick, everyMs: hourMs }, {});
    const range = {
      from: "2026-01-01T00:00:00Z",
      to: "2026-01-01T11:59:59Z",
      overlap: "bufferAll",
    } as const;
    await node.schedules.backfill("past", range, by);
    await soon(async () => (await node.schedules.get("past"))?.counts.completed).toBe(12);
    const page = await node.schedules.fires("past", { limit: 5 });
    expect(page?.items.map(({ outcome, time }) => `${time} ${outcome}`)).toEqual([
      "2026-01-01T11:00:00.000Z started",
      "2026-01-01T10:00:00.000Z started",
      "2026-01-01T09:00:00.000Z started",
      "2026-01-01T08:00:00.000Z started",
      "2026-01-01T07:00:00.000Z started",
    ]);
    const rest = await node.schedules.fires("past", { cursor: page?.nextCursor ?? "", limit: 50 });
    expect(rest?.items.every(({ backfill }) => backfill)).toBe(true);
    expect([rest?.items.length, rest?.nextCursor]).toEqual([7, null]);
    const again = await node.schedules.backfill("past", { ...range, overlap: "allowAll" }, by);
    expect(again.backfills).toEqual([]);
    expect(again.counts.started).toBe(12);
    const wrong = await refused(
      node.schedules.backfill("past", { ...range, from: range.to, to: range.from }, by),
    );
    expect(wrong.fields).toEqual([{ pointer: "/to", detail: "must not be before from" }]);
  });

  test("single times end with the last; a page of schedules has a cursor", async () => {
    const at = [new Date(Date.now() + 1_500).toISOString()];
    await node.schedules.create("a-single", { workflow: quick, at, jitterMs: 10 }, {});
    await soon(async () => (await node.schedules.get("a-single"))?.status).toBe("ended");
    const { items, nextCursor } = await node.schedules.list({ limit: 1 });
    expect(items.map(({ id }) => id)).toEqual(["a-single"]);
    const next = await node.schedules.list({ cursor: nextCursor ?? "", limit: 1 });
    expect(next.items.map(({ id }) => id)).not.toEqual(["a-single"]);
    expect(next.items).toHaveLength(1);
  });
});
