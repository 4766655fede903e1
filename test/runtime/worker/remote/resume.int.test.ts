/**
 * A node that starts again: what it ran before runs again, or is parked loudly.
 *
 * @module
 */

import { cp, rm } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Log } from "../../../../actors/ports.ts";
import { type ActorRepo, createActorRepo } from "../../../../db/actor-repo.ts";
import { type OpenDatabase, openDatabase } from "../../../../db/database.ts";
import { migrateDatabase } from "../../../../db/migrate.ts";
import {
  type ActorService,
  createActorHost,
} from "../../../../runtime/worker/remote/actor-service.ts";
import { createDeadLetters } from "../../../../runtime/worker/remote/dead-letters.ts";
import { createMemoryStore } from "../../../../runtime/worker/remote/memory-store.ts";
import { createRegistry } from "../../../../runtime/worker/remote/registry.ts";
import { ensureBuilt } from "../../../support/build.ts";
import { createTestDatabase, type TestDatabase } from "../../../support/postgres.ts";
import { testActor } from "../../../support/remote-actors.ts";
import { soon } from "../../../support/soon.ts";

const ignore = () => undefined;
const address = "/root/actors/COUNTER";

let database: TestDatabase;
let opened: OpenDatabase;

beforeAll(async () => {
  await ensureBuilt();
  database = await createTestDatabase();
  const target = { type: "url", url: database.url } as const;
  const migrations = new URL("../../../../db/migrations", import.meta.url);
  await migrateDatabase(target, fileURLToPath(migrations));
  opened = openDatabase(target);
}, 200_000);

afterAll(async () => {
  await opened?.close();
  await database?.drop();
});

function startNode(store: ActorRepo, node: string, complaints: string[] = []): ActorService {
  const log: Log = {
    debug: ignore,
    info: ignore,
    warn: ignore,
    error: (message, fields) => complaints.push(`${message} ${String(fields?.["address"])}`),
  };
  const deadLetters = createDeadLetters({ node, log });
  return createActorHost({
    store,
    node,
    registry: createRegistry(deadLetters),
    deadLetters,
    clock: { now: () => new Date(), monotonicMs: () => performance.now() },
    log,
  });
}

describe.each<[string, () => ActorRepo]>([
  ["memory", createMemoryStore],
  ["Postgres", () => createActorRepo(opened.db)],
])("a node that starts again on %s", (name, open) => {
  test("runs what it ran, under the same names; not what was stopped, is done, or is another node's", async () => {
    const store = open();
    const first = startNode(store, name);
    await first.host.start(testActor("COUNTER"), { names: ["the-counter"], groups: ["all"] });
    await first.host.start(testActor("COUNTER"), { id: "STOPPED" });
    await first.host.start(testActor("COUNTER"), { id: "DONE" });
    const other = startNode(store, "another");
    await other.host.start(testActor("COUNTER"), { id: "FOREIGN" });
    await first.host.send(address, { type: "ADD", n: 1 });
    await first.host.send("/root/actors/DONE", { type: "END" });
    await soon(() => first.host.get("/root/actors/DONE")?.status).toBe("done");
    await first.host.stop("/root/actors/STOPPED");
    await first.child.stop();
    await other.child.stop();

    const second = startNode(store, name);
    await second.resume();
    expect(second.host.list().map((actor) => actor.address)).toEqual([address]);
    expect(second.system.registry.lookup("the-counter")).toMatchObject({ groups: ["all"] });
    await second.host.send(address, { type: "ADD", n: 2 });
    await soon(() => second.host.get(address)?.view).toEqual({ count: 2, applied: [1, 2] });
    expect(second.host.get(address)?.incarnation).toBe(2);
    await second.host.stop(address);
    await second.child.stop();
    await store.remove(address);
  }, 60_000);

  test("parks one whose module is gone, says so, and takes it up when it is there again", async () => {
    const store = open();
    const built = testActor("COUNTER");
    // Beside the tests' own modules, where its imports are found.
    const beside = new URL("./parked-actor.js", built.module);
    await cp(new URL(built.module), beside);
    try {
      const first = startNode(store, name);
      await first.host.start({ name: "COUNTER", module: beside.href });
      await first.host.send(address, { type: "ADD", n: 1 });
      await first.child.stop();
      await rm(beside);

      const complaints: string[] = [];
      const second = startNode(store, name, complaints);
      await second.resume();
      expect(complaints).toEqual([`actor.parked ${address}`]);
      expect(second.child.view?.().children).toMatchObject([
        { address, status: "parked", lastError: { code: "ACTOR_UNKNOWN" } },
      ]);
      await second.host.start(built);
      await soon(() => second.host.get(address)?.ackedSeq).toBe(1);
      expect(second.child.view?.().children).toMatchObject([{ address, status: "running" }]);
      await second.host.stop(address);
      await second.child.stop();
      await store.remove(address);
    } finally {
      await rm(beside, { force: true });
    }
  }, 60_000);
});
