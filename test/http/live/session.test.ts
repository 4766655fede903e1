import { afterEach, expect, test, vi } from "vitest";
import type { ServerFrame } from "../../../http/live/frames.ts";
import {
  HIGH_WATER_BYTES,
  type LiveSession,
  startLiveSession,
} from "../../../http/live/session.ts";
import type { Position } from "../../../http/live/topics.ts";
import { createLiveHub } from "../../../runtime/live-hub.ts";
import type { System } from "../../../runtime/system.ts";
import { eventOf } from "./live-events.ts";

const clock = { now: () => new Date(), monotonicMs: () => performance.now() };
const open: LiveSession[] = [];

afterEach(() => {
  for (const session of open.splice(0)) session.close();
});

/** A session on the real live hub; only the parts of the system that its topics read are there. */
function startSession(options: { topics?: string[]; from?: Position; before?: number } = {}) {
  const hub = createLiveHub("e1", clock);
  const emit = (kind: Parameters<typeof eventOf>[1], topics = ["events"]): void =>
    hub.emit(topics, eventOf(0, kind).body);
  for (let index = 0; index < (options.before ?? 0); index += 1)
    emit({ kind: "journal", name: "wf" });
  const system = { live: hub, agents: { get: () => undefined } } as unknown as System;
  const frames: ServerFrame[] = [];
  const transport = { bufferedBytes: 0, closed: undefined as number | undefined };
  const session = startLiveSession({
    system,
    topics: options.topics ?? ["events"],
    from: options.from,
    sink: {
      send: (frame) => {
        frames.push(frame);
        return "sent";
      },
      bufferedBytes: () => transport.bufferedBytes,
      close: (code) => {
        transport.closed = code;
      },
    },
    onClosed: () => undefined,
    onError: (error) => {
      throw error;
    },
  });
  hub.subscribe((event) => session.push(event));
  open.push(session);
  return { session, frames, transport, emit };
}

const typesOf = (frames: readonly ServerFrame[]): string[] => frames.map((frame) => frame.type);

async function waitFor(frames: readonly ServerFrame[], count: number): Promise<void> {
  await vi.waitFor(() => expect(frames.length).toBeGreaterThanOrEqual(count));
}

test("startLiveSession() sends a snapshot first, then numbered events, none missing", async () => {
  const { frames, emit } = startSession({ before: 3 });
  emit({ kind: "agent", name: "A" });
  await waitFor(frames, 2);
  emit({ kind: "agent", name: "A" });
  expect(typesOf(frames)).toEqual(["snapshot", "event", "event"]);
  expect(frames.map((frame) => ("seq" in frame ? frame.seq : -1))).toEqual([3, 4, 5]);
});

test("startLiveSession() leaves out events of other topics", async () => {
  const { frames, emit } = startSession({ topics: ["agent:A"] });
  await waitFor(frames, 1);
  emit({ kind: "agent", name: "B" }, ["agent:B"]);
  emit({ kind: "agent", name: "A" }, ["agent:A"]);
  expect(frames.slice(1)).toMatchObject([{ type: "event", seq: 2 }]);
});

test("startLiveSession() resumes where the client was, without a snapshot", () => {
  const { frames } = startSession({ before: 5, from: { epoch: "e1", seq: 3 } });
  expect(typesOf(frames)).toEqual(["resumed", "event", "event"]);
  expect(frames.at(-1)).toMatchObject({ seq: 5 });
});

test.each([
  ["epoch", { epoch: "e0", seq: 3 }, 5],
  ["gap", { epoch: "e1", seq: 3 }, 5_000],
  ["gap", { epoch: "e1", seq: 9 }, 5],
] as const)(
  "startLiveSession() says resync with reason %s when it cannot resume",
  async (reason, from, before) => {
    const { frames } = startSession({ before, from });
    await waitFor(frames, 1);
    expect(frames).toMatchObject([{ type: "resync", reason, seq: before }]);
  },
);

test("startLiveSession() keeps the newest state for a slow client and tells how many it stands for", async () => {
  const { session, frames, transport, emit } = startSession();
  await waitFor(frames, 1);
  transport.bufferedBytes = HIGH_WATER_BYTES;
  for (let index = 0; index < 10; index += 1) emit({ kind: "agent", name: "A" });
  expect(frames).toHaveLength(1);
  transport.bufferedBytes = 0;
  session.flush();
  expect(frames.slice(1)).toMatchObject([{ type: "event", seq: 10, conflated: 9 }]);
});

test("startLiveSession() sends a resync when more waits than it may keep", async () => {
  const { session, frames, transport, emit } = startSession();
  await waitFor(frames, 1);
  transport.bufferedBytes = HIGH_WATER_BYTES;
  for (let index = 0; index < 2_000; index += 1) emit({ kind: "journal", name: "wf" });
  transport.bufferedBytes = 0;
  session.flush();
  await waitFor(frames, 2);
  expect(frames.slice(1)).toMatchObject([{ type: "resync", reason: "overflow", seq: 2_000 }]);
});

test("startLiveSession() answers subscribe with the topics and a new snapshot", async () => {
  const { session, frames } = startSession({ topics: ["agent:A"] });
  await waitFor(frames, 1);
  session.receive('{"type":"subscribe","topics":["events"]}');
  await waitFor(frames, 3);
  expect(frames.slice(1)).toMatchObject([
    { type: "subscribed", topics: ["agent:A", "events"] },
    { type: "snapshot", topics: ["agent:A", "events"] },
  ]);
});

test("startLiveSession() stops sending a topic after unsubscribe, and refuses a bad frame", async () => {
  const { session, frames, emit } = startSession();
  await waitFor(frames, 1);
  session.receive('{"type":"unsubscribe","topics":["events"]}');
  emit({ kind: "agent", name: "A" });
  session.receive("nonsense");
  session.receive('{"type":"ping"}');
  expect(typesOf(frames)).toEqual(["snapshot", "subscribed", "error", "pong"]);
});

test("startLiveSession() sends nothing after close", async () => {
  const { session, frames, transport, emit } = startSession();
  await waitFor(frames, 1);
  session.close(1001, "stopping");
  emit({ kind: "agent", name: "A" });
  expect(frames).toHaveLength(1);
  expect(transport.closed).toBe(1001);
});
