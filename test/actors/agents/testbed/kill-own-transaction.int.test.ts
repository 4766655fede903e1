import { afterAll, beforeAll, expect, test } from "vitest";
import { killOwnTransaction } from "../../../../actors/agents/testbed/kill-own-transaction.ts";
import { createTestDatabase, type TestDatabase } from "../../../support/postgres.ts";
import { createTinyArchive } from "../../../support/tiny-archive.ts";

let db: TestDatabase;

beforeAll(async () => {
  db = await createTestDatabase();
  await createTinyArchive(db.sql, []);
});
afterAll(() => db.drop());

test("killOwnTransaction() reports a problem when there is nothing to test with", async () => {
  expect((await killOwnTransaction(db.sql)).problem).toBe("the archive has no message to copy");
});

test("killOwnTransaction() leaves nothing behind, and the client works on", async () => {
  await db.sql`drop schema archive cascade`;
  await createTinyArchive(db.sql, ["one", "two", "three"]);
  const finding = await killOwnTransaction(db.sql);
  expect(finding.problem).toBeUndefined();
  expect(finding.figures).toMatchObject({ rowsInTransaction: 3, messagesAfter: 3, leftBehind: 0 });
  const answers = await Promise.all([1, 2, 3, 4].map((n) => db.sql`select ${n}::int as n`));
  expect(answers.flat().map((row) => row["n"])).toEqual([1, 2, 3, 4]);
});
