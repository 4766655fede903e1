/**
 * Lost nodes and a database that was away, seen by the others, on a real server behind a proxy that can be cut.
 *
 * @module
 */

import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { type OpenDatabase, openDatabase } from "../../../db/database.ts";
import { createIncidentRepo, type IncidentRow } from "../../../db/incident-repo.ts";
import { migrateDatabase } from "../../../db/migrate.ts";
import { createNodeRepo } from "../../../db/node-repo.ts";
import { type NodeWatch, openWatch } from "../../../runtime/node/watch-nodes.ts";
import { createIncidentLog } from "../../../runtime/worker/agent/incident-log.ts";
import { quietLog } from "../../support/nursery.ts";
import { createTestDatabase, type TestDatabase } from "../../support/postgres.ts";
import { soon } from "../../support/soon.ts";
import { openTcpProxy, type TcpProxy } from "../../support/tcp-proxy.ts";

const clock = { now: () => new Date(), monotonicMs: () => performance.now() };
const everyMs = 20;

let database: TestDatabase;
let proxy: TcpProxy;
let opened: OpenDatabase;
const watches: NodeWatch[] = [];
let failedLooks = 0;

beforeAll(async () => {
  database = await createTestDatabase();
  const url = new URL(database.url);
  const migrations = fileURLToPath(new URL("../../../db/migrations", import.meta.url));
  await migrateDatabase({ type: "url", url: database.url }, migrations);
  proxy = await openTcpProxy({ host: url.hostname, port: Number(url.port) });
  url.port = String(proxy.port);
  url.hostname = "127.0.0.1";
  opened = openDatabase({ type: "url", url: url.href });
}, 200_000);

afterEach(() => {
  for (const watch of watches.splice(0)) watch.stop();
});

afterAll(async () => {
  await opened?.close();
  await proxy?.[Symbol.asyncDispose]();
  await database?.drop();
});

async function watchAs(nodeId: string, own?: string): Promise<void> {
  const incidents = createIncidentLog({
    repo: () => createIncidentRepo(opened.db),
    node: nodeId,
    clock,
    log: quietLog,
  });
  const debug = (message: string): void => {
    if (message === "cannot look for lost nodes") failedLooks += 1;
  };
  const node = { clock, incidents, log: { ...quietLog, debug }, nodeId };
  watches.push(await openWatch(node, createNodeRepo(opened.db), own, everyMs));
}

const stored = async (kind: string): Promise<readonly IncidentRow[]> =>
  (await createIncidentRepo(opened.db).list({ limit: 100 })).filter((row) => row.kind === kind);

/** As if the process had ended without a word this long ago. */
async function expire(incarnation: string, overMs: number): Promise<void> {
  await database.sql`update spectra.nodes
    set expires_at = now() - ${overMs} * interval '1 millisecond' where incarnation = ${incarnation}`;
}

test("a node whose lease is long over is told of once, by one of its peers", async () => {
  const nodes = createNodeRepo(opened.db);
  for (const name of ["a", "b", "late", "alive"]) await nodes.register(`${name}#1`, name);
  await Promise.all([watchAs("b"), watchAs("c"), watchAs("d")]);
  await expire("a#1", 60_000);
  // It may come back by itself yet.
  await expire("late#1", 2_000);
  await soon(async () => (await stored("node-lost")).length).toBe(1);
  const [incident] = await stored("node-lost");
  expect(incident).toMatchObject({
    address: "/root",
    action: "taken-over",
    error: null,
    detail: { node: "a", process: "a#1" },
  });
  expect(["b", "c", "d"]).toContain(incident?.node);
  const rows = await database.sql<{ incarnation: string }[]>`
    select incarnation from spectra.nodes order by incarnation`;
  expect(rows.map(({ incarnation }) => incarnation)).toEqual(["alive#1", "b#1", "late#1"]);
  // A process that was only frozen has its lease again with its next renewal.
  await nodes.renew("a#1");
  expect(await nodes.alive()).toContain("a#1");
  expect(await stored("node-lost")).toHaveLength(1);
  await database.sql`delete from spectra.incidents`;
}, 60_000);

test("an earlier process of the same node is told of at once, however fresh its lease", async () => {
  await createNodeRepo(opened.db).register("mine#1", "mine");
  await watchAs("mine", "mine");
  await soon(async () => (await stored("node-lost")).length).toBe(1);
  expect((await stored("node-lost"))[0]).toMatchObject({
    node: "mine",
    action: "restarted",
    detail: { process: "mine#1" },
  });
}, 60_000);

test("a database that was away is told of when it is back", async () => {
  await watchAs("b");
  proxy.cut();
  await soon(() => failedLooks).toBeGreaterThan(0);
  proxy.heal();
  await soon(async () => (await stored("database-lost").catch(() => [])).length).toBe(1);
  const [incident] = await stored("database-lost");
  expect(incident).toMatchObject({ address: "/root/infrastructure/database", action: "recovered" });
  expect(Object(incident?.detail).seenAwayMs).toBeGreaterThan(0);
}, 60_000);
