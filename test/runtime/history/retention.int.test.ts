import { sql } from "drizzle-orm";
import { afterAll, beforeAll, expect, test } from "vitest";
import { defineWorkflow, param } from "../../../actors/define-workflow.ts";
import { type Database, openDatabase } from "../../../db/database.ts";
import { createRetentionRepo } from "../../../db/retention-repo.ts";
import { auditRuns } from "../../../runtime/history/audit.ts";
import type { RunQuery } from "../../../runtime/system.ts";
import {
  driveEverything,
  driveSaga,
  everyFeature,
  featureAgent,
} from "../../support/every-feature.ts";
import { createTestDatabase, type TestDatabase } from "../../support/postgres.ts";
import { openTestHost, type TestHost } from "../../support/workflow-host.ts";

let database: TestDatabase;
let opened: ReturnType<typeof openDatabase>;
let db: Database;

beforeAll(async () => {
  database = await createTestDatabase();
});

afterAll(async () => {
  await opened.close();
  await database.drop();
});

const by = { actor: "test" };
const many = 200;
const good = defineWorkflow({
  id: "good",
  params: ["number"],
  tasks: { one: { do: "WORKER.add", with: { value: param("number") } } },
});
const bad = defineWorkflow({
  id: "bad",
  tasks: { one: { do: "WORKER.fail", with: { failures: 9 }, retry: { attempts: 1 } } },
});
const outer = defineWorkflow({ id: "outer", tasks: { sub: { workflow: "inner" } } });
const inner = defineWorkflow({ id: "inner", tasks: { told: { signal: "go" } } });

const liveTables = ["workflows", "tasks", "journal", "timers", "commands", "slots"] as const;

async function rowsOf(table: string): Promise<number> {
  const [row] = await db.execute<{ count: number }>(
    sql`select count(*)::int as count from spectra.${sql.raw(table)}`,
  );
  return row?.count ?? -1;
}

/** Everything that can be asked of a run. */
async function look(node: TestHost, id: string): Promise<unknown> {
  const seq = (await node.history.snapshot(id))?.seq ?? -1;
  const snapshots = [];
  for (let at = 0; at <= seq; at += 1) snapshots.push(await node.history.snapshot(id, at));
  const { archivedAt: _archived, ...run } = (await node.workflows.get(id)) ?? {};
  return {
    run,
    snapshots,
    tasks: await node.workflows.tasks(id),
    journal: await node.workflows.history(id, 0, 10_000),
    page: await node.workflows.history(id, 2, 3),
    graph: await node.workflows.graph(id),
    explained: await node.workflows.explain(id, "one"),
  };
}

test("200 ended runs leave the live tables empty, and answer everything as before", async () => {
  await using node = await openTestHost({
    url: database.url,
    workflows: [good, bad, ...everyFeature],
    runAgent: featureAgent,
  });
  opened = openDatabase({ type: "url", url: database.url });
  ({ db } = opened);
  const ids: string[] = [];
  for (let number = 0; number < many; number += 1) {
    const workflow = number % 20 === 0 ? "bad" : "good";
    const input = workflow === "bad" ? {} : { number };
    const attributes = { even: number % 2 === 0, number };
    const idempotencyKey = `run/${number}`;
    const run = await node.workflows.start({ workflow, input, attributes, idempotencyKey }, by);
    ids.push(run.id);
  }
  ids.push(await driveEverything(node), await driveSaga(node));
  for (const id of ids) await node.until(id, "completed", "failed");
  const queries: RunQuery[] = [
    { limit: 200 },
    { status: "failed", limit: 200 },
    { workflow: "bad", limit: 200 },
    { agent: "WORKER", limit: 200 },
    { agent: "NOBODY" },
    { code: "BOOM", limit: 200 },
    { attributes: { number: "7" } },
    { attributes: { even: "true" }, status: "failed" },
    { root: ids[0] ?? "" },
    { sinceMs: Date.parse((await node.workflows.get(ids[100] ?? ""))?.createdAt ?? "") },
  ];
  const found = async () =>
    await Promise.all(
      queries.map(async (query) => (await node.workflows.list(query)).items.map(({ id }) => id)),
    );
  const before = { runs: new Map<string, unknown>(), found: await found() };
  for (const id of ids) before.runs.set(id, await look(node, id));
  const counts = { journal: await rowsOf("journal"), tasks: await rowsOf("tasks") };
  const stored = await rowsOf("workflows");

  // What a run has left to its owner is performed a moment after its end.
  await expect
    .poll(async () => (await rowsOf("outbox")) + (await rowsOf("mailbox")), { timeout: 30_000 })
    .toBe(0);
  const report = await node.history.archive({ olderThanMs: 0 });

  expect(report).toMatchObject({ ...counts, runs: stored, archived: stored, busy: false });
  for (const table of liveTables) expect([table, await rowsOf(table)]).toEqual([table, 0]);
  expect(await rowsOf("archived_runs")).toBe(stored);
  expect(await found()).toEqual(before.found);
  for (const id of ids) expect(await look(node, id)).toEqual(before.runs.get(id));
  expect(await auditRuns(db)).toEqual([]);
  expect((await node.workflows.list({ archived: false })).items).toEqual([]);
  expect((await node.workflows.list({ archived: true, limit: 3 })).items).toHaveLength(3);
  // Nothing is done twice.
  expect(await node.history.archive({ olderThanMs: 0 })).toMatchObject({ runs: 0, archived: 0 });

  const [first = "", second = ""] = ids;
  const again = { workflow: "bad", input: {}, idempotencyKey: "run/0" };
  expect((await node.workflows.start(again, by)).id).toBe(first);
  expect((await node.history.diff(first, second)).status).toEqual({
    left: "failed",
    right: "completed",
  });
  await expect(node.workflows.retry(first, by)).rejects.toMatchObject({ code: "CONFLICT" });
  await expect(node.history.setAttributes(first, { x: 1 }, by)).rejects.toMatchObject({
    code: "CONFLICT",
  });
  // What had not ended well goes on as a fork, which takes what the archive has recorded.
  const fork = await node.history.fork(second, { at: 3, stub: true }, by);
  expect(await node.until(fork, "completed")).toBeDefined();
  expect((await node.workflows.tasks(fork))?.[0]?.output).toEqual(
    (await node.workflows.tasks(second))?.[0]?.output,
  );
  expect(await node.history.archive({ olderThanMs: 0, then: "delete" })).toMatchObject({
    runs: 1,
    archived: 0,
  });
  expect(await node.workflows.get(fork)).toBeUndefined();
}, 300_000);

test("a tree goes from the top, once nothing in it is open, and one node moves at a time", async () => {
  await using node = await openTestHost({
    url: database.url,
    workflows: [outer, inner],
    runAgent: featureAgent,
  });
  const { id } = await node.workflows.start({ workflow: "outer" }, by);
  const children = async () => (await node.workflows.list({ parent: id })).items;
  while ((await children())[0]?.status !== "running") await new Promise(setImmediate);
  const [child] = await children();
  const childId = child?.id ?? "";
  expect(await node.history.archive({ olderThanMs: 0 })).toMatchObject({ runs: 0 });
  await node.workflows.control(childId, { type: "run.signal", name: "go", payload: null }, by);
  await node.until(id, "completed");
  // Not yet: it ended a moment ago.
  expect(await node.history.archive({ olderThanMs: 3_600_000 })).toMatchObject({ runs: 0 });
  await db.transaction(async (tx) => {
    await tx.execute(sql`select pg_advisory_xact_lock(7305502)`);
    expect(await node.history.archive({ olderThanMs: 0 })).toMatchObject({ runs: 0, busy: true });
  });
  const repo = createRetentionRepo(db);
  await expect
    .poll(async () => (await repo.moveBatch({ olderThanMs: 0, then: "archive" }))?.runs, {
      timeout: 20_000,
    })
    .toBe(1);
  expect((await node.workflows.get(id))?.archivedAt).toBeDefined();
  expect((await node.workflows.get(childId))?.archivedAt).toBeUndefined();
  expect(await node.history.archive({ olderThanMs: 0 })).toMatchObject({ runs: 1 });
  expect((await children()).map((one) => one.id)).toEqual([childId]);
  expect(await repo.deleteArchived(0)).toBeGreaterThan(1);
}, 120_000);
