import { expect, test, vi } from "vitest";
import { assign, createActor, fromPromise, setup } from "xstate";
import type { InspectionMode } from "../../../../runtime/system.ts";
import {
  decodeBatch,
  type HubFrame,
  type InspectorMessage,
  maxBatchRows,
  maxOpenBatches,
  modeOf,
  settingsOff,
  type TransitionFrame,
} from "../../../../runtime/worker/inspect/frames.ts";
import { createInspectionHub } from "../../../../runtime/worker/inspect/hub.ts";
import { createInspector } from "../../../../runtime/worker/inspect/inspector.ts";

const counter = setup({
  types: {
    context: {} as { count: number },
    events: {} as { type: "count"; by?: number } | { type: "flip" } | { type: "break" },
  },
  actions: {
    note: () => undefined,
    boom: () => {
      throw new Error("boom");
    },
  },
}).createMachine({
  id: "counter",
  context: { count: 0 },
  initial: "low",
  states: {
    low: {
      on: {
        count: { actions: [assign({ count: ({ context }) => context.count + 1 }), "note"] },
        flip: "high",
        break: { actions: "boom" },
      },
    },
    high: {
      always: { guard: ({ context }) => context.count > 2, target: "top" },
      on: { flip: "low" },
    },
    top: { type: "final" },
  },
});

function startCounter() {
  const actor = createActor(counter);
  actor.subscribe({ error: () => undefined });
  return actor;
}

/** An inspector without a hub: what it posts, and frames as the hub would read them. */
function open(mode: InspectionMode, takes = true) {
  const messages: InspectorMessage[] = [];
  const inspector = createInspector({
    n: 7,
    post: (message) => {
      messages.push(message);
      if (takes && message.type === "batch") inspector.receive({ type: "taken" });
    },
    nowMs: () => 1_000,
  });
  inspector.receive({ type: "settings", settings: { ...settingsOff, mode } });
  const batches = () => messages.flatMap((one) => (one.type === "batch" ? [one] : []));
  const frames = (): HubFrame[] => batches().flatMap(decodeBatch);
  const transitions = (): TransitionFrame[] =>
    frames().flatMap((frame) => (frame.type === "transition" ? [frame.transition] : []));
  return { inspector, messages, batches, frames, transitions };
}

test("lossless: one frame an event, with what followed from it", () => {
  const { inspector, messages, transitions } = open("lossless");
  const actor = startCounter();
  inspector.watch(actor, "/root/counter");
  actor.start();
  for (let n = 0; n < 3; n += 1) actor.send({ type: "count", by: n });
  actor.send({ type: "flip" });
  inspector.close();
  expect(messages[0]).toMatchObject({
    type: "watched",
    actor: { address: "/root/counter", machineId: "counter", name: actor.id },
  });
  const session = `/root/counter#7/${actor.sessionId}`;
  expect(transitions()).toMatchObject([
    { session, seq: 1, event: { type: "xstate.init" }, from: "low", to: "low" },
    { session, seq: 2, event: { type: "count", by: 0 }, actions: ["note"] },
    { session, seq: 3, event: { type: "count", by: 1 }, microsteps: ["count"] },
    { session, seq: 4, event: { type: "count", by: 2 }, status: "active" },
    {
      session,
      seq: 5,
      event: { type: "flip" },
      from: "low",
      to: "top",
      status: "done",
      microsteps: ["flip", "flip"],
      at: "1970-01-01T00:00:01.000Z",
    },
  ]);
});

test("children are told with their parent, and events with their sender", async () => {
  const { inspector, frames, transitions } = open("lossless");
  const machine = setup({ actors: { work: fromPromise(async () => 42) } }).createMachine({
    id: "boss",
    initial: "waits",
    states: {
      waits: { invoke: { src: "work", id: "work", onDone: "happy" } },
      happy: { type: "final" },
    },
  });
  const actor = createActor(machine);
  inspector.watch(actor, "/root/boss");
  actor.start();
  await vi.waitFor(() => expect(actor.getSnapshot().status).toBe("done"));
  inspector.close();
  const children = frames().flatMap((frame) => (frame.type === "actor" ? [frame.actor] : []));
  expect(children).toMatchObject([
    { address: "/root/boss/work", parent: `/root/boss#7/${actor.sessionId}`, name: "work" },
  ]);
  const work = children[0]?.session;
  expect(transitions()).toContainEqual(
    expect.objectContaining({
      address: "/root/boss",
      to: "happy",
      source: work,
      event: expect.objectContaining({ output: 42 }),
    }),
  );
});

test("a transition that throws has a frame too, although XState tells of none", () => {
  const { inspector, transitions } = open("lossless");
  const actor = startCounter();
  inspector.watch(actor, "/root/counter");
  actor.start();
  actor.send({ type: "break" });
  inspector.close();
  expect(transitions().at(-1)).toMatchObject({ event: { type: "break" }, status: "error" });
});

test("off: nothing is installed; switched on at run time it sees the actor as it is", () => {
  const { inspector, transitions, batches } = open("off");
  const actor = startCounter().start();
  const before = (actor.system as unknown as Record<string, unknown>)["_sendInspectionEvent"];
  inspector.watch(actor, "/root/counter");
  actor.send({ type: "flip" });
  expect((actor.system as unknown as Record<string, unknown>)["_sendInspectionEvent"]).toBe(before);
  inspector.receive({ type: "settings", settings: { ...settingsOff, mode: "lossless" } });
  actor.send({ type: "flip" });
  inspector.receive({ type: "settings", settings: settingsOff });
  expect((actor.system as unknown as Record<string, unknown>)["_sendInspectionEvent"]).toBe(before);
  actor.send({ type: "flip" });
  inspector.close();
  expect(batches()).toHaveLength(1);
  expect(transitions()).toMatchObject([{ seq: 1, from: "high", to: "low" }]);
});

test("sampled: a busy actor pays for a few frames of a window only, a quiet one is seen whole", () => {
  vi.useFakeTimers();
  try {
    const { inspector, transitions } = open("sampled");
    const [busy, quiet] = [startCounter(), startCounter()];
    inspector.watch(busy, "/root/busy");
    inspector.watch(quiet, "/root/quiet");
    busy.start();
    quiet.start();
    for (let window = 0; window < 3; window += 1) {
      for (let n = 0; n < 1_000; n += 1) busy.send({ type: "count" });
      quiet.send({ type: "count" });
      vi.advanceTimersByTime(500);
    }
    inspector.close();
    const of = (address: string) => transitions().filter((one) => one.address === address);
    expect(of("/root/quiet").map(({ seq }) => seq)).toEqual([1, 2, 3, 4]);
    const seqs = of("/root/busy").map(({ seq }) => seq);
    expect(seqs).toHaveLength(120);
    // A hole in the numbers at each pause.
    expect(seqs.filter((seq, index) => seq !== (seqs[index - 1] ?? 0) + 1)).toHaveLength(2);
  } finally {
    vi.useRealTimers();
  }
});

test("a hub that takes nothing costs frames, not memory, and they are counted", () => {
  const { inspector, batches } = open("lossless", false);
  const actor = startCounter();
  inspector.watch(actor, "/root/counter");
  actor.start();
  const room = maxBatchRows * (maxOpenBatches + 1);
  for (let n = 0; n < room + 999; n += 1) actor.send({ type: "count" });
  inspector.close();
  expect(batches().length).toBeLessThanOrEqual(maxOpenBatches + 1);
  const frames = batches().reduce((sum, batch) => sum + decodeBatch(batch).length, 0);
  const dropped = batches().reduce((sum, batch) => sum + batch.dropped, 0);
  expect(frames + dropped).toBe(room + 1_000);
  expect(dropped).toBe(1_000);
});

test("an inspector that fails does no harm to the actor: it is off for it", () => {
  const messages: InspectorMessage[] = [];
  const inspector = createInspector({
    n: 1,
    post: (message) => messages.push(message),
    nowMs: () => {
      throw new Error("no clock");
    },
  });
  inspector.receive({ type: "settings", settings: { ...settingsOff, mode: "lossless" } });
  const actor = startCounter();
  inspector.watch(actor, "/root/counter");
  actor.start();
  actor.send({ type: "count" });
  actor.send({ type: "count" });
  expect(actor.getSnapshot().context.count).toBe(2);
  expect(messages.filter(({ type }) => type === "failed")).toEqual([
    { type: "failed", reason: "/root/counter: Error: no clock" },
  ]);
});

test("the mode of an actor is its own, else that of the nearest above, else the general one", () => {
  const settings = {
    ...settingsOff,
    mode: "sampled",
    actors: { "/root/a": "off", "/root/a/b": "lossless" },
  } as const;
  expect(modeOf(settings, "/root/a/b")).toBe("lossless");
  expect(modeOf(settings, "/root/a/b/c")).toBe("lossless");
  expect(modeOf(settings, "/root/a/c")).toBe("off");
  expect(modeOf(settings, "/root/ab")).toBe("sampled");
});

test("the hub knows who is there, their past, and how they are now", async () => {
  const failures: string[] = [];
  const hub = createInspectionHub({ onError: (message) => failures.push(message) });
  const seen: HubFrame[] = [];
  hub.subscribe((frame) => seen.push(frame));
  hub.subscribe(() => {
    throw new Error("bad reader");
  });
  const actor = startCounter().start();
  const unwatch = hub.local.watch(actor, "/root/counter");
  hub.setMode("lossless", "/root/counter");
  for (let n = 0; n < 100; n += 1) actor.send({ type: "count" });
  const record = hub.find("/root/counter");
  expect(record).toMatchObject({ machineId: "counter" });
  expect(await hub.look(record?.session ?? "")).toEqual({ status: "active", value: "low" });
  await vi.waitFor(() => expect(hub.recent("/root/counter")).toHaveLength(32));
  expect(hub.recent("/root/counter").at(-1)).toMatchObject({ seq: 100 });
  unwatch();
  await Promise.resolve();
  expect(hub.find("/root/counter")).toBeUndefined();
  await expect(hub.look(record?.session ?? "")).rejects.toMatchObject({ code: "LOOK_UNKNOWN" });
  expect(seen.filter(({ type }) => type === "transition")).toHaveLength(100);
  expect(failures).toEqual([expect.stringContaining("bad reader")]);
  hub.close();
});
