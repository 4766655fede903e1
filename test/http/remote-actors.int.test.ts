/**
 * Durable actors over HTTP: in the tree, their statecharts, and dead letters that are sent again.
 *
 * @module
 */

import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createDirectory, type Directory } from "../../actors/tree/directory.ts";
import { type Supervisor, startSupervisor } from "../../actors/tree/supervisor.ts";
import { createActorRepo } from "../../db/actor-repo.ts";
import { type OpenDatabase, openDatabase } from "../../db/database.ts";
import { createDeadLetterRepo } from "../../db/dead-letter-repo.ts";
import { migrateDatabase } from "../../db/migrate.ts";
import { actorView, deadLetterView, machineView } from "../../http/actor-schemas.ts";
import { type HttpServer, startHttpServer } from "../../http/server.ts";
import type { Json } from "../../machines/error-code.ts";
import { createActorService } from "../../runtime/actor-service.ts";
import { startInspection } from "../../runtime/inspection-feed.ts";
import { createLiveHub } from "../../runtime/live-hub.ts";
import { createNodeParts } from "../../runtime/node/context.ts";
import { untilStopped } from "../../runtime/node-children.ts";
import { createReplay } from "../../runtime/replay-letter.ts";
import type { ActorView, DeadLetterView, MachineView, Page, System } from "../../runtime/system.ts";
import type { InspectionHub } from "../../runtime/worker/inspect/hub.ts";
import { type ActorService, createActorHost } from "../../runtime/worker/remote/actor-service.ts";
import { createDeadLetters } from "../../runtime/worker/remote/dead-letters.ts";
import { createRegistry } from "../../runtime/worker/remote/registry.ts";
import { handleOf } from "../../runtime/worker/remote/remote-actor.ts";
import { encodeValue } from "../../runtime/worker/remote/snapshot-codec.ts";
import { ensureBuilt } from "../support/build.ts";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";
import { testActor } from "../support/remote-actors.ts";
import { soon } from "../support/soon.ts";

const clock = { now: () => new Date(), monotonicMs: () => performance.now() };
const ignore = () => undefined;
const log = { debug: ignore, info: ignore, warn: ignore, error: ignore };
const address = "/root/actors/PARENT";

let database: TestDatabase;
let opened: OpenDatabase;
let hub: InspectionHub;
let actors: ActorService;
let root: Supervisor;
let server: HttpServer;
let sendInTree: Directory["send"];
/** What the tree's child `clerk` got. */
const received: unknown[] = [];

beforeAll(async () => {
  await ensureBuilt();
  database = await createTestDatabase();
  const target = { type: "url", url: database.url } as const;
  await migrateDatabase(target, fileURLToPath(new URL("../../db/migrations", import.meta.url)));
  opened = openDatabase(target);
  const live = createLiveHub("epoch", clock);
  hub = startInspection(live, { inspection: { mode: "lossless", secretNames: [] } }, log);
  const repo = createDeadLetterRepo(opened.db);
  const deadLetters = createDeadLetters({ node: "test", log, repo: () => repo });
  const parts = createNodeParts();
  parts.database.set({ ...opened, target, version: "17" });
  const directory = createDirectory({
    onDeadLetter: ({ event, reason, target: to }) =>
      deadLetters.add({ sender: null, target: to, reason, event: event as Json }),
  });
  sendInTree = directory.send;
  root = await startSupervisor({
    id: "root",
    strategy: "one_for_one",
    tree: { directory },
    clock,
    log,
    children: [
      {
        id: "clerk",
        start: async () => ({
          ...untilStopped(() => undefined),
          receive: (event) => received.push(event),
        }),
      },
      { id: "mute", start: async () => untilStopped(() => undefined) },
      {
        id: "actors",
        type: "supervisor",
        start: async () => {
          actors = createActorHost({
            store: createActorRepo(opened.db),
            registry: createRegistry(deadLetters),
            deadLetters,
            inspection: hub,
            clock,
            log,
          });
          parts.actors.set(actors);
          return actors.child;
        },
      },
    ],
  });
  const service = createActorService({
    hub,
    parts,
    tree: () => root.view(),
    log,
    bridge: () => null,
    resend: createReplay({ deadLetters, directory, actors: () => actors }),
  });
  // Of a node without its other parts, these routes need no more.
  const system = { actors: service, live } as unknown as System;
  server = await startHttpServer({ system, host: "127.0.0.1", port: 0, kind: "node", log });
}, 200_000);

afterAll(async () => {
  await server?.close();
  await root?.stop();
  hub?.close();
  await opened?.close();
  await database?.drop();
}, 60_000);

async function get<T>(path: string): Promise<T> {
  return (await (await fetch(`${server.url}/api/v1${path}`)).json()) as T;
}

function replay(id: number): Promise<Response> {
  return fetch(`${server.url}/api/v1/dead-letters/${id}/replay`, { method: "POST" });
}

const shown = (): Promise<ActorView> => get<ActorView>(`/actors${address}`);

test("a durable actor is in the tree with its figures, and its statechart follows it", async () => {
  await actors.host.start(testActor("PARENT"), { backoff: { initialMs: 1, maxMs: 10 } });
  expect(actorView.safeParse(await shown()).error).toBeUndefined();
  expect(await shown()).toMatchObject({
    address,
    kind: "remote",
    status: "running",
    incarnation: 1,
    restarts: 0,
    mailbox: 0,
    timers: 0,
    threadId: expect.any(Number),
  });
  const machine = () => get<MachineView>(`/actors${address}/machine`);
  await soon(async () => (await machine()).value).toBe("idle");
  expect(machineView.safeParse(await machine()).error).toBeUndefined();
  expect((await shown()).machineId).toBe("parent");

  await actors.host.send(address, { type: "START" });
  await soon(async () => (await machine()).value).toBe("rest");
  const { root: chart } = await machine();
  expect(chart.states.filter(({ active }) => active).map(({ key }) => key)).toEqual(["rest"]);
  // Transitions come in batches.
  const reached = async () => (await machine()).transitions.map(({ to }) => to);
  await soon(reached).toEqual(expect.arrayContaining(["running", "failed", "rest"]));
}, 60_000);

test("timers that wait are counted", async () => {
  const actor = testActor("POLICIES", "timer-actor");
  const path = await actors.host.start(actor, { input: { delayMs: 600_000 } });
  await actors.host.send(path, { type: "SET" });
  const timers = async () => (await get<ActorView>(`/actors${path}`)).timers;
  await soon(timers).toBe(4);
  await actors.host.send(path, { type: "LEAVE" });
  await soon(timers).toBe(3);
  await actors.host.stop(path);
}, 60_000);

test("a killed worker is another incarnation, with its own statechart", async () => {
  const path = await actors.host.start(testActor("COUNTER"), {
    backoff: { initialMs: 1, maxMs: 10 },
  });
  const counter = () => get<ActorView>(`/actors${path}`);
  await soon(async () => (await counter()).machineId).toBe("counter");
  const actor = actors.actor(path);
  await (actor === undefined ? undefined : handleOf(actor)?.kill());
  await soon(async () => (await counter()).incarnation).toBe(2);
  await soon(async () => (await counter()).status).toBe("running");
  expect(await counter()).toMatchObject({ restarts: 1, lastError: { code: "ACTOR_KILLED" } });
  // The statechart is the one of the new worker: that of the dead one is forgotten.
  await soon(async () => (await counter()).machineId).toBe("counter");
  await soon(async () => (await get<MachineView>(`/actors${path}/machine`)).value).toBe("open");
  await actors.host.stop(path);
}, 60_000);

test("a dead letter is sent again once its actor is there, and then is gone", async () => {
  const target = "/root/actors/LATER";
  const sent = actors.host.send(target, { type: "ADD", n: 5 });
  await expect(sent).rejects.toMatchObject({ code: "ADDRESS_UNKNOWN" });
  const letters = () => get<Page<DeadLetterView>>(`/dead-letters?target=${target}`);
  await soon(async () => (await letters()).items.length).toBe(1);
  const [letter] = (await letters()).items;
  if (letter === undefined) throw new Error("the letter is gone");
  expect(letter).toMatchObject({
    target,
    reason: "unknown-address",
    event: { type: "ADD", n: 5 },
  });

  const refused = await replay(letter.id);
  expect([refused.status, await refused.json()]).toMatchObject([409, { code: "CONFLICT" }]);
  expect((await letters()).items).toHaveLength(1);

  await actors.host.start(testActor("COUNTER"), { id: "LATER" });
  const answer = await replay(letter.id);
  expect(answer.status).toBe(200);
  expect(deadLetterView.safeParse(await answer.json()).error).toBeUndefined();
  await soon(() => actors.host.get(target)?.view).toEqual({ count: 1, applied: [5] });
  expect((await letters()).items).toEqual([]);
  expect((await replay(letter.id)).status).toBe(404);
}, 60_000);

/** Waits for the newest dead letter to an address, and tries to replay it. */
async function replayNewest(target: string): Promise<{ status: number; title: string }> {
  const letters = () => get<Page<DeadLetterView>>(`/dead-letters?target=${target}`);
  await soon(async () => (await letters()).items.length).toBe(1);
  const answer = await replay((await letters()).items[0]?.id ?? 0);
  return { status: answer.status, title: await answer.text() };
}

test("a letter to a child of the tree is delivered once that child runs again", async () => {
  await root.stopChild("clerk");
  const event = { type: "NOTE", at: new Date(5), big: 12n };
  expect(sendInTree("/root/clerk", encodeValue(event))).toBe("dead");
  const early = await replayNewest("/root/clerk");
  expect(early.status).toBe(409);
  expect(early.title).toContain("to /root/clerk: who lived there has ended; start it again first");
  expect(received).toEqual([]);
  root.restartChild("clerk");
  await soon(() => root.whichChildren().find(({ id }) => id === "clerk")?.status).toBe("running");
  expect((await replayNewest("/root/clerk")).status).toBe(200);
  expect(received).toEqual([event]);
  expect(await get("/dead-letters?target=/root/clerk")).toMatchObject({ items: [] });
}, 60_000);

test("an address that takes no mail says so, and its letter stays", async () => {
  const cases = [
    ["/root/mute", "it is a worker that takes no mail"],
    ["/root/actors", "it is a supervisor, which takes no mail; send to one of its children"],
    ["/root/nobody", "nobody lives there; start that actor first"],
  ] as const;
  for (const [target, why] of cases) {
    expect(sendInTree(target, { type: "NOTE" })).toBe("dead");
    const { status, title } = await replayNewest(target);
    expect(status).toBe(409);
    expect(title).toContain(`to ${target}: ${why}`);
    expect((await get<Page<DeadLetterView>>(`/dead-letters?target=${target}`)).items).toHaveLength(
      1,
    );
  }
}, 60_000);
