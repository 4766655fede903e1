import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  type ActorCommit,
  type ActorRepo,
  createActorRepo,
  type NewMail,
} from "../../db/actor-repo.ts";
import { type OpenDatabase, openDatabase } from "../../db/database.ts";
import { createDeadLetterRepo, type DeadLetterRepo } from "../../db/dead-letter-repo.ts";
import { migrateDatabase } from "../../db/migrate.ts";
import { createMemoryStore } from "../../runtime/worker/remote/memory-store.ts";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";

let database: TestDatabase;
let opened: OpenDatabase;
let letters: DeadLetterRepo;

beforeAll(async () => {
  database = await createTestDatabase();
  const target = { type: "url", url: database.url } as const;
  await migrateDatabase(target, fileURLToPath(new URL("../../db/migrations", import.meta.url)));
  opened = openDatabase(target);
  letters = createDeadLetterRepo(opened.db);
});

afterAll(async () => {
  await opened?.close();
  await database?.drop();
});

function mail(sender: string, ...numbers: number[]): NewMail[] {
  return numbers.map((senderSeq) => ({ sender, senderSeq, event: { event: senderSeq } }));
}

function commitOf(seq: number, change: Partial<ActorCommit> = {}, senders = {}): ActorCommit {
  return {
    saved: {
      machineId: "m",
      machineVersion: "1",
      machineHash: "h",
      format: 1,
      seq,
      snapshot: { state: { seq }, senders, sent: 0 },
    },
    timers: { set: [], drop: [] },
    sends: [],
    ...change,
  };
}

/** The two stores keep one contract. */
describe.each<[string, () => ActorRepo]>([
  ["Postgres", () => createActorRepo(opened.db)],
  ["memory", createMemoryStore],
])("the store of actors in %s", (name, open) => {
  const at = (path: string) => `/${name}/${path}`;

  test("numbers events without holes, takes each once, and gives them in order", async () => {
    const store = open();
    expect(await store.append(at("nobody"), mail("s", 1))).toBeUndefined();
    await store.claim(at("a"));
    expect(await store.append(at("a"), mail("s", 1, 2))).toEqual([1, 2]);
    expect(await store.append(at("a"), [...mail("s", 2, 3), ...mail("t", 1)])).toEqual([
      null,
      3,
      4,
    ]);
    expect(await store.pending(at("a"), 1, 2)).toEqual([
      { seq: 2, sender: "s", senderSeq: 2, event: { event: 2 }, deaths: 0 },
      { seq: 3, sender: "s", senderSeq: 3, event: { event: 3 }, deaths: 0 },
    ]);
  });

  test("a commit takes its events out of the box, and they are not taken in again", async () => {
    const store = open();
    const { incarnation } = await store.claim(at("b"));
    await store.append(at("b"), mail("s", 1, 2, 3));
    const commit = commitOf(2, {}, { s: 2 });
    expect(await store.commit(at("b"), incarnation, commit)).toMatchObject({ type: "committed" });
    expect((await store.pending(at("b"), 0, 10)).map(({ seq }) => seq)).toEqual([3]);
    expect(await store.append(at("b"), mail("s", 2, 4))).toEqual([null, 4]);
    expect((await store.claim(at("b"))).saved).toEqual(commit.saved);
  });

  test("a commit of an earlier incarnation, or of an older state, writes nothing", async () => {
    const store = open();
    const first = await store.claim(at("c"));
    const second = await store.claim(at("c"));
    expect(second.incarnation).toBe(first.incarnation + 1);
    await store.append(at("c"), mail("s", 1));
    const timer = { id: "t", event: {}, policy: "deadline", delayMs: 5, dueInMs: 5 } as const;
    const late = commitOf(1, { timers: { set: [timer], drop: [] } });
    expect(await store.commit(at("c"), first.incarnation, late)).toEqual({ type: "fenced" });
    expect(await store.pending(at("c"), 0, 10)).toHaveLength(1);
    expect(await store.claim(at("c"))).toMatchObject({ saved: null, timers: [] });
    expect(await store.commit(at("c"), second.incarnation + 1, commitOf(1))).toMatchObject({
      type: "committed",
    });
    expect(await store.commit(at("c"), second.incarnation + 1, commitOf(0))).toEqual({
      type: "fenced",
    });
  });

  test("events to others are in their boxes with the commit, each once; unknown targets are told", async () => {
    const store = open();
    const { incarnation } = await store.claim(at("d"));
    await store.claim(at("e"));
    const sends = [
      { target: at("e"), senderSeq: 1, event: { event: "one" } },
      { target: at("gone"), senderSeq: 2, event: { event: "two" } },
    ];
    for (let tries = 0; tries < 2; tries += 1) {
      expect(await store.commit(at("d"), incarnation, commitOf(0, { sends }))).toEqual({
        type: "committed",
        unknown: [sends[1]],
      });
    }
    expect(await store.pending(at("e"), 0, 10)).toMatchObject([
      { seq: 1, sender: at("d"), senderSeq: 1, event: { event: "one" } },
    ]);
    await store.claim(at("d"));
    expect(await store.commit(at("d"), incarnation, commitOf(0, { sends }))).toEqual({
      type: "fenced",
    });
  });

  test("two actors that write to each other at once both succeed", async () => {
    const store = open();
    const [x, y] = [await store.claim(at("x")), await store.claim(at("y"))];
    const rounds = Array.from({ length: 20 }, (_, round) => round + 1);
    for (const senderSeq of rounds) {
      const to = (target: string) => commitOf(0, { sends: [{ target, senderSeq, event: {} }] });
      const results = await Promise.all([
        store.commit(at("x"), x.incarnation, to(at("y"))),
        store.commit(at("y"), y.incarnation, to(at("x"))),
      ]);
      expect(results.map(({ type }) => type)).toEqual(["committed", "committed"]);
    }
    expect(await store.pending(at("x"), 0, 100)).toHaveLength(rounds.length);
  });

  test("deaths are counted per event, and an actor that is removed leaves nothing", async () => {
    const store = open();
    await store.claim(at("f"));
    await store.append(at("f"), mail("s", 1, 2));
    expect(await store.noteDeath(at("f"), 1)).toBe(1);
    expect(await store.noteDeath(at("f"), 1)).toBe(2);
    expect(await store.noteDeath(at("f"), 9)).toBe(0);
    expect((await store.pending(at("f"), 0, 9)).map(({ deaths }) => deaths)).toEqual([2, 0]);
    await store.remove(at("f"));
    expect(await store.append(at("f"), mail("s", 3))).toBeUndefined();
    expect((await store.claim(at("f"))).incarnation).toBe(1);
  });
});

describe("dead letters", () => {
  test("are listed newest first, by target and page, and taken once", async () => {
    const letter = (target: string) => ({
      node: "n",
      sender: null,
      target,
      reason: "stopped",
      event: { type: "A" },
    });
    const stored = await letters.insert([letter("/a"), letter("/b"), letter("/a")]);
    const ids = stored.map(({ id }) => id);
    expect((await letters.list({ limit: 10 })).map(({ id }) => id)).toEqual(ids.toReversed());
    expect((await letters.list({ target: "/a", limit: 1 })).map(({ id }) => id)).toEqual([ids[2]]);
    const older = await letters.list({ target: "/a", before: ids[2] ?? 0, limit: 10 });
    expect(older).toMatchObject([{ id: ids[0], ...letter("/a") }]);
    expect(await letters.take(ids[0] ?? 0)).toMatchObject({ id: ids[0], target: "/a" });
    expect(await letters.take(ids[0] ?? 0)).toBeUndefined();
  });
});
