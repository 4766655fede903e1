import { afterAll, beforeAll } from "vitest";
import { createTestDatabase, type TestDatabase } from "../../support/postgres.ts";
import { describeJobQueue } from "../../support/queue-conformance.ts";

let database: TestDatabase;

beforeAll(async () => {
  database = await createTestDatabase();
});

afterAll(async () => {
  await database.drop();
});

describeJobQueue("postgres", () => ({
  type: "postgres",
  target: { type: "url", url: database.url },
}));
