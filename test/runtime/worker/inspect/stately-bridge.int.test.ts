/**
 * Our relay against Stately's own package: its receiver reads our frames, and its inspector, watching
 * the very same actors, says the same.
 *
 * @module
 */

import { request as httpRequest } from "node:http";
import {
  createInspector as createStatelyInspector,
  createWebSocketReceiver,
} from "@statelyai/inspect";
import { afterEach, expect, test, vi } from "vitest";
import { WebSocket } from "ws";
import { assign, createActor, fromPromise, sendTo, setup } from "xstate";
import { createInspectionHub, type InspectionHub } from "../../../../runtime/worker/inspect/hub.ts";
import {
  openStatelyBridge,
  type StatelyBridge,
} from "../../../../runtime/worker/inspect/stately-bridge.ts";

interface Frame {
  readonly type: string;
  readonly sessionId: string;
  readonly rootId?: string;
  readonly parentId?: string;
  readonly sourceId?: string;
  readonly name?: string;
  readonly definition?: string;
  readonly createdAt: string;
  readonly _version: string;
  readonly event?: { readonly type: string };
  readonly snapshot?: unknown;
}

const child = setup({ types: { events: {} as { type: "ask" } | { type: "rest" } } }).createMachine({
  id: "child",
  initial: "idle",
  states: { idle: { on: { ask: "asked" } }, asked: { type: "final" } },
});

const parent = setup({
  types: {
    context: {} as { count: number; apiKey: string },
    events: {} as { type: "go"; by: number },
  },
  actors: { child, work: fromPromise(async () => "done") },
  actions: { note: () => undefined },
  guards: { few: ({ context }) => context.count < 5 },
}).createMachine({
  id: "parent",
  context: { count: 0, apiKey: "hunter2hunter2" },
  invoke: { src: "child", id: "kid" },
  initial: "calm",
  states: {
    calm: {
      on: {
        go: {
          guard: "few",
          target: "busy",
          actions: [assign({ count: ({ context, event }) => context.count + event.by }), "note"],
        },
      },
    },
    busy: {
      entry: sendTo("kid", { type: "ask" }),
      invoke: { src: "work", id: "work", onDone: "calm" },
    },
  },
});

let hub: InspectionHub;
let bridge: StatelyBridge;

afterEach(async () => {
  await bridge.close();
  hub.close();
});

async function open(): Promise<void> {
  const fail = (message: string) => expect.fail(message);
  hub = createInspectionHub({ onError: fail });
  bridge = await openStatelyBridge({ hub, port: 0, onError: fail });
}

function receive(): Frame[] {
  const frames: Frame[] = [];
  const server = bridge.url.replace("http:", "ws:");
  createWebSocketReceiver({ server }).subscribe((frame) => frames.push(frame as unknown as Frame));
  return frames;
}

/** Our session ids without address and thread; without times, and without what a frame says of a later moment. */
function comparable(frame: Frame): unknown {
  const session = (id: string | undefined) => id?.split("/").at(-1);
  const { type, name, definition, event } = frame;
  return {
    type,
    sessionId: session(frame.sessionId),
    rootId: session(frame.rootId),
    ...(type === "@xstate.actor"
      ? { name, parentId: session(frame.parentId), definition: JSON.parse(definition ?? "") }
      : { event }),
    ...(type === "@xstate.event" ? { sourceId: session(frame.sourceId) } : {}),
    ...(type === "@xstate.snapshot" ? { snapshot: frame.snapshot } : {}),
  };
}

test("frames are what Stately's inspector emits for the same run, but for secrets", async () => {
  await open();
  const theirs: Frame[] = [];
  const stately = createStatelyInspector({
    send: (frame) => theirs.push(frame as unknown as Frame),
  });
  const ours = receive();
  await vi.waitFor(() => expect(bridge.receivers()).toBe(1), 10_000);
  hub.setMode("lossless");
  const actor = createActor(parent, { inspect: stately.inspect });
  hub.local.watch(actor, "/root/parent");
  actor.start();
  actor.send({ type: "go", by: 2 });
  await vi.waitFor(() => expect(actor.getSnapshot().value).toBe("calm"), 10_000);
  await vi.waitFor(() => expect(ours.length).toBeGreaterThanOrEqual(theirs.length), 10_000);

  const secret = /hunter2hunter2/g;
  const expected = JSON.parse(JSON.stringify(theirs.map(comparable)).replace(secret, "[redacted]"));
  const events = (frames: unknown) =>
    (frames as Frame[]).filter(({ type }) => type !== "@xstate.actor");
  const actors = (frames: unknown) =>
    (frames as Frame[]).filter(({ type }) => type === "@xstate.actor");
  const got = JSON.parse(JSON.stringify(ours.map(comparable)));
  expect(events(got).length).toBeGreaterThan(8);
  expect(events(got)).toEqual(events(expected));
  // Actors that were there before the tap are told in order of the tree.
  const bySession = (frames: Frame[]) =>
    [...frames].sort((a, b) => a.sessionId.localeCompare(b.sessionId));
  expect(bySession(actors(got))).toEqual(bySession(actors(expected)));
  expect(theirs[0]).toMatchObject({ _version: ours[0]?._version });
  for (const { createdAt } of ours) expect(createdAt).toMatch(/^\d{13}$/);
  expect(JSON.stringify(ours)).not.toContain("hunter2");
});

test("a late joiner gets every actor, with its newest snapshot, and the last frames", async () => {
  await open();
  const early = receive();
  await vi.waitFor(() => expect(bridge.receivers()).toBe(1), 10_000);
  hub.setMode("lossless");
  const actor = createActor(child);
  hub.local.watch(actor, "/root/child");
  actor.start();
  for (let n = 0; n < 500; n += 1) actor.send({ type: "rest" });
  await vi.waitFor(() => expect(early.length).toBeGreaterThan(500), 10_000);
  const late = receive();
  await vi.waitFor(() => expect(late.length).toBe(201), 10_000);
  expect(late[0]).toMatchObject({
    type: "@xstate.actor",
    name: "child",
    snapshot: { status: "active", value: "idle" },
  });
  expect(late.slice(1)).toEqual(early.slice(-200));
});

function upgradeStatus(url: string, headers: Record<string, string> = {}): Promise<number> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url, { headers });
    socket.on("unexpected-response", (_, response) => {
      resolve(response.statusCode ?? 0);
      socket.terminate();
    });
    socket.on("open", () => {
      resolve(101);
      socket.close();
    });
    socket.on("error", reject);
  });
}

function pageStatus(url: string, headers: Record<string, string>): Promise<number> {
  return new Promise((resolve, reject) => {
    httpRequest(url, { headers }, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    })
      .on("error", reject)
      .end();
  });
}

test("nobody gets in without the token, from another site, or under another name", async () => {
  await open();
  const url = bridge.url.replace("http:", "ws:");
  const { host, origin } = new URL(bridge.url);
  expect(await upgradeStatus(`ws://${host}/`)).toBe(401);
  expect(await upgradeStatus(`ws://${host}/?token=wrong`)).toBe(401);
  expect(await upgradeStatus(url, { origin: "https://stately.ai" })).toBe(403);
  expect(await upgradeStatus(url, { origin: "null" })).toBe(403);
  expect(await upgradeStatus(url, { host: "evil.example:8080" })).toBe(403);
  expect(await upgradeStatus(url, { origin })).toBe(101);
  expect(await pageStatus(`http://${host}/`, {})).toBe(401);
  expect(await pageStatus(bridge.url, { host: "evil.example" })).toBe(403);
  const page = await fetch(bridge.url);
  expect(page.status).toBe(200);
  expect(page.headers.get("content-security-policy")).toContain("frame-src https://stately.ai");
  expect(await page.text()).toContain("comes from the internet");
});

test("a receiver that talks back is closed, and snapshots are taken only while one is there", async () => {
  await open();
  const socket = new WebSocket(bridge.url.replace("http:", "ws:"));
  await new Promise((resolve) => socket.once("open", resolve));
  expect(hub.settings().full).toBe(true);
  const closed = new Promise<number>((resolve) => socket.once("close", resolve));
  socket.send(JSON.stringify({ type: "@xstate.actor", sessionId: "x", _version: "1" }));
  expect(await closed).toBe(1008);
  await vi.waitFor(() => expect(hub.settings().full).toBe(false), 10_000);
});
