import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createActorRepo } from "../../../../db/actor-repo.ts";
import { type OpenDatabase, openDatabase } from "../../../../db/database.ts";
import { migrateDatabase } from "../../../../db/migrate.ts";
import { createMemoryStore } from "../../../../runtime/worker/remote/memory-store.ts";
import { ensureBuilt } from "../../../support/build.ts";
import { sendThroughKills } from "../../../support/events-through-kills.ts";
import { createTestDatabase, type TestDatabase } from "../../../support/postgres.ts";
import { testActor } from "../../../support/remote-actors.ts";

const run = { events: 1_000, kills: 20, timeoutMs: 150_000 };
const timeout = run.timeoutMs + 30_000;

let database: TestDatabase;
let opened: OpenDatabase;

beforeAll(async () => {
  await ensureBuilt();
  database = await createTestDatabase();
  const target = { type: "url", url: database.url } as const;
  await migrateDatabase(
    target,
    fileURLToPath(new URL("../../../../db/migrations", import.meta.url)),
  );
  opened = openDatabase(target);
}, 200_000);

afterAll(async () => {
  await opened.close();
  await database.drop();
});

describe.each(["thread", "process"] as const)(
  "1,000 events through 20 kills of a %s",
  (isolation) => {
    const actor = { ...testActor("COUNTER"), isolation };

    test("memory: none is lost, none is applied twice", { timeout }, async () => {
      const report = await sendThroughKills(createMemoryStore(), actor, run);
      expect(report).toMatchObject({
        kills: 20,
        lost: 0,
        appliedTwice: 0,
        inOrder: true,
        count: 1_000,
        deadLetters: 0,
      });
      expect(report.incarnations).toBe(21);
      expect(report.killsInTraffic).toBeGreaterThan(0);
    });

    test("Postgres: none is lost, none is applied twice", { timeout }, async () => {
      const store = createActorRepo(opened.db);
      const report = await sendThroughKills(store, actor, run);
      expect(report).toMatchObject({
        kills: 20,
        lost: 0,
        appliedTwice: 0,
        inOrder: true,
        count: 1_000,
        deadLetters: 0,
      });
      expect(report.incarnations).toBe(21);
      expect(report.killsInTraffic).toBeGreaterThan(0);
      await store.remove("/root/actors/COUNTER");
      for (const table of ["actors", "actor_mailbox", "actor_timers"]) {
        expect(await database.sql`select 1 from spectra.${database.sql(table)}`).toHaveLength(0);
      }
    });
  },
);
