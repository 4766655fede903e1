/**
 * What actors say to each other arrives once and in order, however they name each other; and a
 * worker that means harm harms itself only.
 *
 * @module
 */

import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { type ActorRepo, createActorRepo } from "../../../../db/actor-repo.ts";
import { type OpenDatabase, openDatabase } from "../../../../db/database.ts";
import { migrateDatabase } from "../../../../db/migrate.ts";
import type { ActorService } from "../../../../runtime/worker/remote/actor-service.ts";
import { createMemoryStore } from "../../../../runtime/worker/remote/memory-store.ts";
import { ensureBuilt } from "../../../support/build.ts";
import { createTestDatabase, type TestDatabase } from "../../../support/postgres.ts";
import { openActors, testActor } from "../../../support/remote-actors.ts";
import { soon } from "../../../support/soon.ts";

const limitMs = 60_000;
const fast = { backoff: { initialMs: 1, maxMs: 5 } };

let database: TestDatabase;
let opened: OpenDatabase;
let actors: ActorService;

beforeAll(async () => {
  await ensureBuilt();
  database = await createTestDatabase();
  const target = { type: "url", url: database.url } as const;
  const migrations = new URL("../../../../db/migrations", import.meta.url);
  await migrateDatabase(target, fileURLToPath(migrations));
  opened = openDatabase(target);
}, 200_000);

afterEach(async () => await actors?.child.stop());

afterAll(async () => {
  await opened?.close();
  await database?.drop();
});

describe.each<[string, () => ActorRepo]>([
  ["memory", createMemoryStore],
  ["Postgres", () => createActorRepo(opened.db)],
])("actors on %s", (_, open) => {
  async function startPair(talkerId: string, counterId: string) {
    actors = openActors(open());
    const counterNames = { names: [`name of ${counterId}`], groups: [`group of ${counterId}`] };
    const talker = await actors.host.start(testActor("TALKER", "talker-actor"), {
      ...fast,
      id: talkerId,
    });
    const start = () =>
      actors.host.start(testActor("COUNTER"), { ...fast, ...counterNames, id: counterId });
    return { talker, counter: await start(), restart: start };
  }

  const found = (address: string) => actors.host.get(address)?.view;

  test("an incarnation and a path in one action are one mailbox, in order", async () => {
    const { talker, counter } = await startPair("T1", "C1");
    const { incarnation } = actors.host.get(counter) ?? {};
    const targets = [`${counter}#${incarnation}`, counter, `${counter}#${incarnation}`];
    await actors.host.send(talker, { type: "TELL", targets });
    await soon(() => found(counter), limitMs).toEqual({ count: 3, applied: [1, 2, 3] });
    expect(actors.system.deadLetters.recent()).toEqual([]);
  });

  test("who was looked up is still reached after it has started again", async () => {
    const { talker, counter, restart } = await startPair("T2", "C2");
    await actors.host.send(talker, { type: "FIND", name: "name of C2" });
    await soon(() => found(talker), limitMs).toEqual([counter]);
    await actors.host.send(talker, { type: "FIND", group: "group of C2" });
    await soon(() => actors.host.get(talker)?.ackedSeq, limitMs).toBe(2);
    await soon(() => found(talker), limitMs).toEqual([counter]);
    await actors.host.stop(counter);
    await restart();
    expect(actors.host.get(counter)?.incarnation).toBe(2);
    await actors.host.send(talker, { type: "TELL", targets: found(talker) as string[] });
    await soon(() => found(counter), limitMs).toEqual({ count: 1, applied: [1] });
  });

  test("nobody, an earlier incarnation and no address are dead letters; the others arrive", async () => {
    const { talker, counter } = await startPair("T3", "C3");
    const targets = ["/root/actors/NOBODY", `${counter}#77`, "no address", counter];
    await actors.host.send(talker, { type: "TELL", targets });
    await soon(() => found(counter), limitMs).toEqual({ count: 1, applied: [4] });
    const letters = () =>
      actors.system.deadLetters.recent().map(({ reason, target }) => `${reason} ${target}`);
    await soon(() => letters().toSorted(), limitMs).toEqual([
      `stale-incarnation ${counter}#77`,
      "unknown-address /root/actors/NOBODY",
      "unknown-address no address",
    ]);
  });
});

describe.each([
  ["thread", "TALKER"],
  ["process", "TALKER-P"],
])("a %s that means harm", (_tier, name) => {
  test.each([
    ["an empty question", { kind: "ask", body: null }],
    ["a question of no kind", { kind: "ask", body: { id: 1, question: null } }],
    ["an empty failure", { kind: "failed", body: null }],
    ["an empty commit", { kind: "commit", body: {} }],
    ["a commit of nonsense", { kind: "commit", body: { n: 1, saved: 1, timers: 2, sends: 3 } }],
    ["a frame of no kind", { kind: "constructor", body: {} }],
  ])("ends itself with %s, and nobody else", async (_, frame) => {
    actors = openActors(createMemoryStore());
    const evil = await actors.host.start(testActor(name, "talker-actor"), {
      id: "EVIL",
      restart: "temporary",
    });
    const good = await actors.host.start(testActor("COUNTER"), { id: "GOOD" });
    // Its runtime has said "ready" as number 1, and its first commit as number 2 or later.
    const posts = [2, 3, 4, 5, 6].map((seq) => ({ v: 1, inc: 1, seq, ack: 0, ...frame }));
    for (const post of posts) {
      await actors.host.send(evil, { type: "POST", frame: post }).catch(() => undefined);
    }
    const isOver = () => (actors.host.get(evil)?.phase ?? "gone") !== "running";
    await soon(isOver, limitMs).toBe(true);
    await actors.host.send(good, { type: "ADD", n: 1 });
    await soon(() => found(good), limitMs).toEqual({ count: 1, applied: [1] });
  });

  const found = (address: string) => actors.host.get(address)?.view;
});
