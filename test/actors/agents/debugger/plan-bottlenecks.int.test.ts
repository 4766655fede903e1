import { afterAll, beforeAll, expect, test } from "vitest";
import { readPlan } from "../../../../actors/agents/debugger/plan-bottlenecks.ts";
import { createTestDatabase, type TestDatabase } from "../../../support/postgres.ts";

let db: TestDatabase;

beforeAll(async () => {
  db = await createTestDatabase();
  await db.sql`create table numbers as select n, md5(n::text) as hash from generate_series(1, 20000) n`;
  await db.sql`analyze numbers`;
});
afterAll(() => db.drop());

async function explain(query: string, settings = "") {
  return db.sql.begin(async (tx) => {
    if (settings !== "") await tx.unsafe(settings);
    const [row] = await tx.unsafe(`explain (analyze, buffers, format json) ${query}`);
    return readPlan(row?.["QUERY PLAN"]);
  });
}

test("readPlan() names a scan that throws nearly all of its rows away", async () => {
  const facts = await explain("select * from numbers where hash = 'x'");
  expect(facts.bottlenecks).toEqual(["Seq Scan on numbers reads 20000 rows to keep 0"]);
  expect(facts.slowest.step).toBe("Seq Scan on numbers");
  expect(facts.slowest.share).toBeGreaterThan(0.5);
  expect(facts.executionMs).toBeGreaterThan(0);
});

test("readPlan() names a sort that spills to disk", async () => {
  const facts = await explain("select * from numbers order by hash", "set local work_mem = '64kB'");
  expect(facts.bottlenecks).toEqual([expect.stringMatching(/^Sort spills \d+ kB to disk$/)]);
});

test("readPlan() finds nothing in a query that is fine", async () => {
  expect((await explain("select count(*) from numbers")).bottlenecks).toEqual([]);
});

test("readPlan() refuses what is no plan", () => {
  expect(() => readPlan([{ nonsense: 1 }])).toThrow();
});
