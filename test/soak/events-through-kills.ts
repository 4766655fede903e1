/**
 * 10,000 events through 200 random kills, in threads and in processes, in memory and in Postgres:
 * none is lost, none is applied twice, and all are in order.
 *
 * @module
 */

import { fileURLToPath } from "node:url";
import { createActorRepo } from "../../db/actor-repo.ts";
import { openDatabase } from "../../db/database.ts";
import { migrateDatabase } from "../../db/migrate.ts";
import { createMemoryStore } from "../../runtime/worker/remote/memory-store.ts";
import { startBenchServer } from "../bench/server.ts";
import { ensureBuilt } from "../support/build.ts";
import { sendThroughKills } from "../support/events-through-kills.ts";
import { testActor } from "../support/remote-actors.ts";
import { reportSoak } from "../support/soak-report.ts";

const run = { events: 10_000, kills: 200, timeoutMs: 900_000 };

await ensureBuilt();
await using server = await startBenchServer();
const target = { type: "url", url: server.url } as const;
await migrateDatabase(target, fileURLToPath(new URL("../../db/migrations", import.meta.url)));
const database = openDatabase(target);
const stores = { memory: createMemoryStore, postgres: () => createActorRepo(database.db) };

const reports = [];
for (const isolation of ["thread", "process"] as const) {
  for (const [name, open] of Object.entries(stores)) {
    const store = open();
    const report = await sendThroughKills(store, { ...testActor("COUNTER"), isolation }, run);
    await store.remove("/root/actors/COUNTER");
    console.log(`${isolation}, ${name}: ${JSON.stringify(report)}`);
    const { lost, appliedTwice, inOrder, count, kills, killsInStart, killsInTraffic } = report;
    const isWhole = lost === 0 && appliedTwice === 0 && inOrder && count === run.events;
    // Kills of an idle worker would prove nothing.
    const isHard = kills === run.kills && killsInStart > 0 && killsInTraffic >= run.kills / 4;
    reports.push({ isolation, store: name, passed: isWhole && isHard, ...report });
  }
}
await database.close();
reportSoak(
  "events-through-kills",
  reports.map(({ isolation, store, passed, lost, appliedTwice, inOrder, kills, ms }) => ({
    run: `${run.events.toLocaleString("en-US")} events through ${kills} kills, ${isolation}, ${store}`,
    passed,
    found: [
      `${lost} lost, ${appliedTwice} applied twice, ${inOrder ? "in order" : "out of order"}`,
    ],
    ms,
  })),
  reports,
);
