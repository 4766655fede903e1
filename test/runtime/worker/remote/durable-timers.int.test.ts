import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { type ActorRepo, createActorRepo } from "../../../../db/actor-repo.ts";
import { type OpenDatabase, openDatabase } from "../../../../db/database.ts";
import { migrateDatabase } from "../../../../db/migrate.ts";
import type { ActorService } from "../../../../runtime/worker/remote/actor-service.ts";
import { createMemoryStore } from "../../../../runtime/worker/remote/memory-store.ts";
import { handleOf } from "../../../../runtime/worker/remote/remote-actor.ts";
import type { RemoteHandle } from "../../../../runtime/worker/remote/remote-handle.ts";
import { ensureBuilt } from "../../../support/build.ts";
import { createTestDatabase, type TestDatabase } from "../../../support/postgres.ts";
import { openActors, testActor } from "../../../support/remote-actors.ts";
import { soon } from "../../../support/soon.ts";

let database: TestDatabase;
let opened: OpenDatabase;
let actors: ActorService;
const often = { maxRestarts: 100, periodMs: 60_000 };
const fast = { backoff: { initialMs: 1, maxMs: 5 }, intensity: often };

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

afterEach(async () => await actors.child.stop());

afterAll(async () => {
  await opened?.close();
  await database?.drop();
});

const stores: readonly [string, () => ActorRepo][] = [
  ["memory", createMemoryStore],
  ["Postgres", () => createActorRepo(opened.db)],
];

function handle(address: string): RemoteHandle {
  const remote = actors.actor(address);
  const found = remote === undefined ? undefined : handleOf(remote);
  if (found === undefined) throw new Error(`${address} does not run`);
  return found;
}

async function killOnce(address: string): Promise<void> {
  await soon(() => handle(address).state().phase).toBe("running");
  await handle(address).kill();
}

describe.each(stores)("timers in %s", (_, open) => {
  test("each fires once, in order, however often its worker is killed", async () => {
    actors = openActors(open());
    const address = await actors.host.start(testActor("CHAIN", "timer-actor"), fast);
    const all = Array.from({ length: 10 }, (_, at) => String(at));
    for (let kills = 0; kills < 8; kills += 1) await killOnce(address);
    await soon(() => actors.host.get(address)?.view).toEqual(all);
    await soon(() => handle(address).state().phase).toBe("running");
    expect(actors.host.get(address)).toMatchObject({ restarts: 8, view: all });
  });

  test("leaving the state cancels its timer, in the store too", async () => {
    const store = open();
    actors = openActors(store);
    const options = { ...fast, id: "LEAVER", input: { delayMs: 600_000 } };
    const address = await actors.host.start(testActor("POLICIES", "timer-actor"), options);
    await actors.host.send(address, { type: "SET" });
    await soon(() => actors.host.get(address)?.ackedSeq).toBe(1);
    await killOnce(address);
    await actors.host.send(address, { type: "LEAVE" });
    await soon(() => actors.host.get(address)?.ackedSeq).toBe(2);
    await actors.host.stop(address);
    const { timers } = await store.claim(address);
    expect(timers.map(({ id }) => id).toSorted()).toEqual(["|deadline", "|remaining", "|restart"]);
  });

  test("a restart keeps the deadline, the time that was left, or the whole delay", async () => {
    const store = open();
    actors = openActors(store);
    const delayMs = 600_000;
    const options = { ...fast, id: "POLICIES", input: { delayMs } };
    const address = await actors.host.start(testActor("POLICIES", "timer-actor"), options);
    await actors.host.send(address, { type: "SET" });
    await soon(() => actors.host.get(address)?.ackedSeq).toBe(1);
    await actors.host.stop(address);
    // The node is away for a while: long enough to tell the policies apart.
    const awayMs = 1_000;
    await new Promise((resolve) => setTimeout(resolve, awayMs));
    const { timers } = await store.claim(address);
    const left = new Map(timers.map(({ id, dueInMs }) => [id, dueInMs]));
    expect(left.get("|deadline")).toBeLessThanOrEqual(delayMs - awayMs + 5);
    expect(left.get("|restart")).toBeGreaterThan(delayMs - 5);
    expect(left.get("|remaining")).toBeGreaterThan(left.get("|deadline") ?? delayMs);
    // The column keeps whole milliseconds.
    expect(left.get("|remaining")).toBeLessThanOrEqual(delayMs + 1);
  });

  test("what falls due while nobody runs fires after the next start, once", async () => {
    actors = openActors(open());
    const options = { ...fast, id: "OVERDUE", input: { delayMs: 300 } };
    const actor = testActor("POLICIES", "timer-actor");
    const address = await actors.host.start(actor, options);
    await actors.host.send(address, { type: "SET" });
    await soon(() => actors.host.get(address)?.ackedSeq).toBe(1);
    await actors.host.stop(address);
    await actors.host.start(actor, options);
    await soon(() =>
      (actors.host.get(address)?.view as { fired?: string[] } | undefined)?.fired?.toSorted(),
    ).toEqual(["deadline", "left", "remaining", "restart"]);
  });
});
