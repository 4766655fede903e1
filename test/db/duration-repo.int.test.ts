import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type OpenDatabase, openDatabase } from "../../db/database.ts";
import { createDurationRepo, type DurationRepo } from "../../db/duration-repo.ts";
import { migrateDatabase } from "../../db/migrate.ts";
import { foldDuration } from "../../machines/plan/duration-estimate.ts";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";

/** Epoch ms of the first task's start. */
const t0 = Date.UTC(2026, 10, 23);

interface Row {
  readonly key: string;
  readonly plan?: string;
  readonly ms?: number;
  readonly atMs?: number;
  readonly failures?: number;
  readonly status?: string;
  readonly action?: string | null;
}

let database: TestDatabase;
let opened: OpenDatabase;
let repo: DurationRepo;

beforeAll(async () => {
  database = await createTestDatabase();
  const target = { type: "url", url: database.url } as const;
  await migrateDatabase(target, fileURLToPath(new URL("../../db/migrations", import.meta.url)));
  opened = openDatabase(target);
  repo = createDurationRepo(opened.db);
  await database.sql`insert into spectra.definitions (hash, workflow, body) values ('h', 'w', '{}')`;
});

afterAll(async () => {
  await opened.close();
  await database.drop();
});

async function finishedRun(
  id: string,
  workflow: string,
  rows: readonly Row[],
  endMs = t0 + 60_000,
) {
  const { sql } = database;
  await sql`insert into spectra.workflows (id, workflow, title, definition_hash, status, place,
    priority, input, finished_at) values (${id}, ${workflow}, 'W', 'h', 'completed', '', 3, '{}',
    ${new Date(endMs)}) on conflict (id) do update set finished_at = excluded.finished_at`;
  for (const [position, row] of rows.entries()) {
    const { key, ms = 1_000, atMs = t0, failures = 0, status = "succeeded", action = "act" } = row;
    await sql`insert into spectra.tasks (workflow_id, key, position, plan, agent, action, status,
      failures, started_at, finished_at) values (${id}, ${key}, ${position}, ${row.plan ?? null},
      ${action === null ? null : "AGENT"}, ${action}, ${status}, ${failures}, ${new Date(atMs)},
      ${new Date(atMs + ms)}) on conflict (workflow_id, key) do update set
      status = excluded.status, started_at = excluded.started_at, finished_at = excluded.finished_at`;
  }
}

describe("fold()", () => {
  test("gives what folding one by one gives, by task and by action", async () => {
    const durations = [100, 250, 4_000, 90, 700];
    for (const [index, ms] of durations.entries()) {
      await finishedRun(`one-${index}`, "one", [
        { key: "a", ms, action: "one" },
        { key: "b", ms: 10, action: "one" },
      ]);
      expect(await repo.fold([`one-${index}`])).toBe(1);
    }
    const { actions, tasks } = await repo.load("one", ["AGENT.one", "AGENT.never"]);
    const [first, ...rest] = durations;
    const expected = rest.reduce(foldDuration, foldDuration(undefined, first!));
    const found = tasks.get("a")?.durations;
    expect(found?.count).toBe(5);
    expect(found?.logMean).toBeCloseTo(expected.logMean, 9);
    expect(found?.logM2).toBeCloseTo(expected.logM2, 9);
    expect(tasks.get("b")?.durations).toMatchObject({ count: 5, logM2: expect.closeTo(0, 9) });
    expect([...actions.keys()]).toEqual(["AGENT.one"]);
    expect(actions.get("AGENT.one")?.count).toBe(10);
  });

  test("counts a run once, however often and by however many nodes it is asked to", async () => {
    const ids = Array.from({ length: 20 }, (_, index) => `twice-${index}`);
    for (const id of ids) await finishedRun(id, "twice", [{ key: "a" }]);
    const folded = await Promise.all([repo.fold(ids), repo.fold(ids), repo.fold(ids.slice(5))]);
    expect(folded.reduce((sum, count) => sum + count, 0)).toBe(20);
    expect(await repo.fold(ids)).toBe(0);
    expect((await repo.load("twice", [])).tasks.get("a")?.durations?.count).toBe(20);
  });

  test("of a run that was retried it adds only what was done again", async () => {
    await finishedRun("again", "again", [
      { key: "a", ms: 50 },
      { key: "b", status: "failed" },
    ]);
    expect(await repo.fold(["again"])).toBe(1);
    const laterMs = t0 + 120_000;
    await finishedRun("again", "again", [{ key: "b", ms: 80, atMs: laterMs }], laterMs + 1_000);
    expect(await repo.fold(["again"])).toBe(1);
    const { tasks } = await repo.load("again", []);
    expect(tasks.get("a")?.durations?.count).toBe(1);
    expect(tasks.get("b")?.durations?.count).toBe(1);
  });

  test("keeps failed attempts per task, and how many items a group had", async () => {
    for (const [index, failures] of [0, 1, 2].entries()) {
      const items = Array.from({ length: 8 }, (_, item) => ({
        key: `each[${item}]`,
        plan: "each",
      }));
      await finishedRun(`group-${index}`, "group", [
        { key: "flaky", failures },
        { key: "each", ms: 60_000 },
        ...items,
      ]);
    }
    expect(await repo.fold(["group-0", "group-1", "group-2"])).toBe(3);
    const { tasks } = await repo.load("group", []);
    expect(tasks.get("flaky")?.failures).toBeCloseTo(1, 9);
    const each = tasks.get("each");
    // Its instances took one second each; that the whole took a minute is not a duration of the task.
    expect(each?.durations).toMatchObject({
      count: 24,
      logMean: expect.closeTo(Math.log(1_000), 9),
    });
    expect(Math.exp(each?.items?.logMean ?? 0)).toBeCloseTo(8, 9);
  });

  test("waits of no agent count for their task, not for an action", async () => {
    await finishedRun("wait", "wait", [{ key: "ok", ms: 3_600_000, action: null }]);
    await repo.fold(["wait"]);
    const { tasks } = await repo.load("wait", [""]);
    expect(tasks.get("ok")?.durations?.logMean).toBeCloseTo(Math.log(3_600_000), 9);
  });

  test("old observations fade, so that a task that changed is believed after a while", async () => {
    const ids = (from: number, count: number) =>
      Array.from({ length: count }, (_, index) => `fade-${from + index}`);
    for (const id of ids(0, 300)) await finishedRun(id, "fade", [{ key: "a", ms: 100 }]);
    await repo.fold(ids(0, 300));
    for (const id of ids(300, 100)) await finishedRun(id, "fade", [{ key: "a", ms: 10_000 }]);
    await repo.fold(ids(300, 100));
    const found = (await repo.load("fade", [])).tasks.get("a")?.durations;
    expect(found?.count).toBe(300);
    expect(found?.logMean).toBeCloseTo((2 * Math.log(100) + Math.log(10_000)) / 3, 6);
  });
});

describe("unfolded()", () => {
  test("names what finished since and was not folded", async () => {
    await finishedRun("left", "left", [{ key: "a" }], t0 + 900_000);
    await finishedRun("old", "left", [{ key: "a" }], t0 - 900_000);
    expect(await repo.unfolded(t0 + 800_000, 10)).toEqual(["left"]);
    await repo.fold(["left"]);
    expect(await repo.unfolded(t0 + 800_000, 10)).toEqual([]);
  });
});
