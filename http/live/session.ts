/**
 * One client of the live stream, whatever carries it: snapshot first, then numbered events.
 *
 * Every event goes through the client's conflation queue, and leaves it only while the transport
 * holds less than `HIGH_WATER_BYTES`. While a snapshot is being read, events wait in the queue, so
 * that none falls between snapshot and stream. States:
 *
 *     reading ──snapshot sent──▶ streaming ──queue overflowed──▶ reading (resync) …
 *        └───────────── close(), stalled, transport gone ─────────────▶ closed
 *
 * @module
 */

import type { LiveEvent, System } from "../../runtime/system.ts";
import { type ConflationQueue, createConflationQueue } from "./conflation.ts";
import {
  eventFrame,
  parseClientFrame,
  type ResyncReason,
  type ServerFrame,
  stateFrame,
} from "./frames.ts";
import { readState } from "./state.ts";
import { MAX_TOPICS, type Position } from "./topics.ts";

/** Bytes in the transport above which events wait in the queue. */
export const HIGH_WATER_BYTES = 262_144;
/** How often a waiting queue looks whether the transport has room. */
const FLUSH_INTERVAL_MS = 50;
/** A client that takes nothing for so long is closed. */
export const STALLED_AFTER_MS = 60_000;
/** Wait before a snapshot that could not be read is tried again. */
const SNAPSHOT_RETRY_MS = 1_000;

export interface LiveSink {
  send(frame: ServerFrame): "sent" | "buffered" | "dropped";
  bufferedBytes(): number;
  close(code: number, reason: string): void;
}

export interface LiveSession {
  /** Gets every event of the system; keeps those of its topics. Never throws, never blocks. */
  push(event: LiveEvent): void;
  /** A frame from the client. */
  receive(text: string): void;
  /** The transport has room again. */
  flush(): void;
  /** Idempotent. With a reason the client is told, without it is already gone. */
  close(code?: number, reason?: string): void;
}

interface SessionOptions {
  readonly system: System;
  readonly sink: LiveSink;
  readonly topics: readonly string[];
  /** Where the client was; resumed when the buffer still holds all since. */
  readonly from: Position | undefined;
  readonly onClosed: () => void;
  readonly onError: (error: unknown) => void;
}

export function startLiveSession(options: SessionOptions): LiveSession {
  const { system, sink } = options;
  const topics = new Set(options.topics);
  const queue: ConflationQueue = createConflationQueue();
  let closed = false;
  let reading = false;
  let readings = 0;
  let timer: NodeJS.Timeout | undefined;
  let lastProgressAt = performance.now();

  const isWanted = (event: LiveEvent): boolean => event.topics.some((topic) => topics.has(topic));

  function close(code?: number, reason?: string): void {
    if (closed) return;
    closed = true;
    clearTimeout(timer);
    queue.clear();
    if (code !== undefined) sink.close(code, reason ?? "");
    options.onClosed();
  }

  function later(delayMs: number, run: () => void): void {
    clearTimeout(timer);
    timer = setTimeout(run, delayMs);
    timer.unref();
  }

  /** Sends one frame; a frame that the transport dropped leaves a gap that a resync fills. */
  function send(frame: ServerFrame): boolean {
    if (sink.send(frame) === "dropped") {
      queue.overflow();
      return false;
    }
    lastProgressAt = performance.now();
    return true;
  }

  function sendState(reason?: ResyncReason): void {
    reading = true;
    // A later reading covers more topics, so it replaces one under way.
    const ticket = ++readings;
    queue.clear();
    // Taken before reading: what happens meanwhile is sent again, never left out.
    const place = { epoch: system.live.epoch, seq: system.live.lastSeq() };
    const asked = new Set(topics);
    readState(system, asked).then(
      (state) => {
        if (closed || ticket !== readings) return;
        reading = false;
        if (send(stateFrame(place, [...asked], state, reason))) flush();
        else later(FLUSH_INTERVAL_MS, flush);
      },
      (error: unknown) => {
        options.onError(error);
        if (!closed && ticket === readings) later(SNAPSHOT_RETRY_MS, () => sendState(reason));
      },
    );
  }

  function flush(): void {
    if (closed || reading) return;
    while (!queue.overflowed && queue.size > 0 && sink.bufferedBytes() < HIGH_WATER_BYTES) {
      const next = queue.shift();
      if (next === undefined || !send(eventFrame(system.live.epoch, next))) break;
    }
    if (queue.size === 0 && !queue.overflowed) return;
    if (performance.now() - lastProgressAt > STALLED_AFTER_MS) {
      close(1013, "reads too slowly");
    } else if (queue.overflowed && sink.bufferedBytes() < HIGH_WATER_BYTES) {
      sendState("overflow");
    } else {
      later(FLUSH_INTERVAL_MS, flush);
    }
  }

  function push(event: LiveEvent): void {
    if (closed || !isWanted(event)) return;
    // The stall clock runs only while something waits.
    if (queue.size === 0 && !queue.overflowed) lastProgressAt = performance.now();
    queue.push(event);
    flush();
  }

  function start(): void {
    const { from } = options;
    if (from === undefined) return sendState();
    if (from.epoch !== system.live.epoch) return sendState("epoch");
    const missed = system.live.since(from.seq);
    if (missed === undefined || from.seq > system.live.lastSeq()) return sendState("gap");
    send({ type: "resumed", epoch: from.epoch, seq: from.seq, topics: [...topics] });
    for (const event of missed) push(event);
  }

  function receive(text: string): void {
    if (closed) return;
    const frame = parseClientFrame(text);
    if (typeof frame === "string") {
      send({ type: "error", code: "INVALID", detail: frame });
    } else if (frame.type === "ping") {
      send({ type: "pong" });
    } else if (frame.type === "unsubscribe") {
      for (const topic of frame.topics) topics.delete(topic);
      send({ type: "subscribed", topics: [...topics] });
    } else if (new Set([...topics, ...frame.topics]).size > MAX_TOPICS) {
      const detail = `Cannot subscribe: a client may hold ${MAX_TOPICS} topics`;
      send({ type: "error", code: "TOO_MANY_TOPICS", detail });
    } else {
      for (const topic of frame.topics) topics.add(topic);
      send({ type: "subscribed", topics: [...topics] });
      // The new topics need their state; one snapshot of all keeps `seq` meaning one thing.
      sendState();
    }
  }

  start();
  return { push, receive, flush, close };
}
