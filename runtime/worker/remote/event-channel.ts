/**
 * Events between two threads: our own frames over a message port, in order, each once, acknowledged.
 *
 *     frame   { v, inc, seq, ack, kind, body }
 *     batch   { v, inc, seq, ack, batch: [kind, body, kind, body, …] }   numbered from `seq`
 *     ack     { v, inc, ack }                                           `again`: send what follows once more
 *
 * A frame that is alone is posted at once; those that follow it in the same turn of the loop share one
 * message, which is faster than one message each. What is not acknowledged is kept, at most
 * `windowFrames`, and sent again by `reopen` to the next incarnation of the other side.
 *
 * @module
 */

import { createDeferred, type Deferred } from "../../../machines/deferred.ts";
import { AgentError } from "../../../machines/error-code.ts";

/** Version of the frames; others are refused. */
const version = 1;
/** Frames that may wait for their acknowledgement. */
export const windowFrames = 4_096;
/** Frames in one message at most. */
const batchFrames = 256;
/** An acknowledgement that found no frame to travel with goes alone after this. */
const ackDelayMs = 5;

/** A `MessagePort` of Node, or anything that looks like one or like a `Worker`. */
export type ChannelPort =
  | {
      postMessage(data: unknown): void;
      on(type: "message", listener: (data: unknown) => void): unknown;
      close?(): void;
    }
  | {
      postMessage(data: unknown): void;
      addEventListener(type: "message", listener: (event: { data: unknown }) => void): void;
      start?(): void;
      close?(): void;
    };

export interface EventFrame {
  /** From 1, without holes; it goes on over incarnations of the receiver. */
  readonly seq: number;
  readonly kind: string;
  /** Anything that can be cloned. */
  readonly body: unknown;
}

export interface EventChannelOptions {
  readonly port: ChannelPort;
  /** Of the worker that the channel leads to, on both sides. Frames of another one are refused. */
  readonly incarnation: number;
  /** Gets each frame once, in order. What it throws is not caught: it is a fault of this thread. */
  onFrame(frame: EventFrame): void;
  /** `manual`: a frame counts as acknowledged when `ack` says so. Default `auto`: when `onFrame` returned. */
  readonly acks?: "auto" | "manual";
  /** A frame of a burst could not be cloned; the receiver never sees it. */
  onRefused?(frame: EventFrame, error: AgentError): void;
  /** The newest frame that an earlier incarnation of this side took in. Default 0. */
  readonly received?: number;
  /** Default `windowFrames`. */
  readonly window?: number;
}

export interface ChannelFigures {
  readonly sent: number;
  readonly received: number;
  readonly unacked: number;
  /** Frames that had been received already. */
  readonly duplicates: number;
  /** Messages of another incarnation. */
  readonly stale: number;
  /** Messages that came too early, since one before them was lost. */
  readonly gaps: number;
}

export interface EventChannel {
  /**
   * Sends one frame; returns its number.
   * @throws {AgentError} `CHANNEL_FULL` (retryable; wait for `room`), `CHANNEL_CLOSED`, `NOT_CLONEABLE`.
   */
  send(kind: string, body: unknown): number;
  /** Resolves when `send` has room again. Rejects with `CHANNEL_CLOSED`. */
  room(): Promise<void>;
  /** Resolves when everything sent so far is acknowledged. Rejects with `CHANNEL_CLOSED`. */
  drained(): Promise<void>;
  /** Posts what still waits for the end of this turn of the loop. */
  flush(): void;
  /** With manual acks: everything up to `seq` has taken effect. */
  ack(seq: number): void;
  /** What the other side has not acknowledged, oldest first. */
  unacked(): readonly EventFrame[];
  /** The other side was started again: unacknowledged frames go to it in order, its own count anew. */
  reopen(port: ChannelPort, incarnation: number): void;
  figures(): ChannelFigures;
  /** Closes the port. Idempotent. */
  close(): void;
}

interface Packet {
  readonly v: number;
  readonly inc: number;
  readonly ack: number;
  readonly seq?: number;
  readonly kind?: string;
  readonly body?: unknown;
  readonly batch?: readonly unknown[];
  /** Nothing before `seq` is to come any more. */
  readonly base?: boolean;
  readonly again?: boolean;
}

export function openEventChannel(options: EventChannelOptions): EventChannel {
  const window = options.window ?? windowFrames;
  const ackEvery = Math.max(1, window >> 2);
  const manual = options.acks === "manual";
  let { port, incarnation } = options;
  let closed = false;

  let nextSeq = 1;
  let unacked: EventFrame[] = [];
  let burst: EventFrame[] = [];
  let turnOpen = false;
  let roomWaiter: Deferred<void> | undefined;
  let drainWaiter: Deferred<void> | undefined;

  let received = options.received ?? 0;
  let settled = received;
  let ackSent = received;
  let ackTimer: NodeJS.Timeout | undefined;
  let askedAgain = false;
  const counts = { sent: 0, duplicates: 0, stale: 0, gaps: 0 };

  function send(kind: string, body: unknown): number {
    if (closed) throw closedError();
    if (unacked.length >= window) {
      const message = `Cannot send "${kind}": ${window} frames wait for their acknowledgement, wait for room()`;
      throw new AgentError("CHANNEL_FULL", message, { retryable: true });
    }
    const frame: EventFrame = { seq: nextSeq, kind, body };
    if (turnOpen) {
      burst.push(frame);
      if (burst.length >= batchFrames) flush();
    } else {
      // Throws before anything has changed when the body cannot be cloned.
      postOne(frame);
      turnOpen = true;
      queueMicrotask(endTurn);
    }
    nextSeq += 1;
    counts.sent += 1;
    unacked.push(frame);
    return frame.seq;
  }

  function endTurn(): void {
    flush();
    turnOpen = false;
  }

  function flush(): void {
    if (burst.length === 0 || closed) return;
    const frames = burst;
    burst = [];
    postFrames(frames);
  }

  function postOne({ seq, kind, body }: EventFrame, base = false): void {
    const packet: Packet = { v: version, inc: incarnation, seq, ack: settled, kind, body };
    try {
      port.postMessage(base ? { ...packet, base } : packet);
    } catch (cause) {
      const message = `Cannot send "${kind}": its body cannot be cloned`;
      throw new AgentError("NOT_CLONEABLE", message, { cause });
    }
    ackSent = settled;
  }

  function postFrames(frames: readonly EventFrame[], base = false): void {
    const [first] = frames;
    if (first === undefined) return;
    try {
      const batch = frames.flatMap(({ kind, body }) => [kind, body]);
      const packet: Packet = { v: version, inc: incarnation, seq: first.seq, ack: settled, batch };
      port.postMessage(base ? { ...packet, base } : packet);
      ackSent = settled;
    } catch {
      // One of them cannot be cloned: each alone, so that the others arrive.
      for (const [index, frame] of frames.entries()) postOrRefuse(frame, base && index === 0);
    }
  }

  function postOrRefuse(frame: EventFrame, base: boolean): void {
    try {
      postOne(frame, base);
    } catch (error) {
      // An empty frame takes its number, or the receiver would wait for it.
      const empty: EventFrame = { seq: frame.seq, kind: "", body: undefined };
      const at = unacked.indexOf(frame);
      if (at !== -1) unacked[at] = empty;
      postOne(empty, base);
      options.onRefused?.(frame, error as AgentError);
    }
  }

  function receive(data: unknown): void {
    if (closed || !isPacket(data)) return;
    if (data.inc !== incarnation) {
      counts.stale += 1;
      return;
    }
    takeAck(data);
    if (data.seq !== undefined) takeFrames(data, data.seq);
  }

  function takeAck({ ack, again }: Packet): void {
    const [oldest] = unacked;
    if (oldest !== undefined && ack >= oldest.seq) {
      unacked = unacked.slice(Math.min(unacked.length, ack - oldest.seq + 1));
      if (unacked.length < window) roomWaiter = settle(roomWaiter);
      if (unacked.length === 0) drainWaiter = settle(drainWaiter);
    }
    if (again === true) resend();
  }

  function resend(): void {
    burst = [];
    for (let at = 0; at < unacked.length; at += batchFrames) {
      postFrames(unacked.slice(at, at + batchFrames), at === 0);
    }
  }

  function takeFrames(packet: Packet, first: number): void {
    if (packet.base === true && first > received + 1) {
      received = first - 1;
      settled = Math.max(settled, received);
    }
    if (first > received + 1) {
      counts.gaps += 1;
      if (!askedAgain)
        port.postMessage({ v: version, inc: incarnation, ack: settled, again: true });
      askedAgain = true;
      return;
    }
    askedAgain = false;
    const { batch } = packet;
    if (batch === undefined) take(first, packet.kind ?? "", packet.body);
    else {
      for (let at = 0; at < batch.length; at += 2) {
        take(first + (at >> 1), String(batch[at]), batch[at + 1]);
      }
    }
    ackSoon();
  }

  function take(seq: number, kind: string, body: unknown): void {
    if (closed) return;
    if (seq <= received) {
      counts.duplicates += 1;
      return;
    }
    received = seq;
    if (kind !== "") options.onFrame({ seq, kind, body });
    if (!manual || kind === "") settled = Math.max(settled, seq);
  }

  function ackSoon(): void {
    if (closed || settled === ackSent) return;
    if (settled - ackSent >= ackEvery) return ackNow();
    ackTimer ??= setTimeout(ackNow, ackDelayMs).unref();
  }

  function ackNow(): void {
    clearTimeout(ackTimer);
    ackTimer = undefined;
    if (closed || settled === ackSent) return;
    ackSent = settled;
    port.postMessage({ v: version, inc: incarnation, ack: settled });
  }

  function close(): void {
    if (closed) return;
    flush();
    ackNow();
    closed = true;
    clearTimeout(ackTimer);
    roomWaiter = settle(roomWaiter, closedError());
    drainWaiter = settle(drainWaiter, closedError());
    port.close?.();
  }

  listen(port, receive);
  return {
    send,
    room: async () => {
      if (closed) throw closedError();
      if (unacked.length < window) return;
      roomWaiter ??= createDeferred();
      await roomWaiter.promise;
    },
    drained: async () => {
      if (closed) throw closedError();
      if (unacked.length === 0) return;
      drainWaiter ??= createDeferred();
      await drainWaiter.promise;
    },
    flush,
    ack: (seq) => {
      settled = Math.max(settled, Math.min(seq, received));
      ackSoon();
    },
    unacked: () => [...unacked],
    reopen: (next, inc) => {
      if (closed) throw closedError();
      clearTimeout(ackTimer);
      ackTimer = undefined;
      [port, incarnation] = [next, inc];
      [received, settled, ackSent, askedAgain] = [0, 0, 0, false];
      listen(port, receive);
      resend();
    },
    figures: () => ({ ...counts, received, unacked: unacked.length }),
    close,
  };
}

function listen(port: ChannelPort, receive: (data: unknown) => void): void {
  if ("on" in port) {
    port.on("message", receive);
    return;
  }
  port.addEventListener("message", (event) => receive(event.data));
  port.start?.();
}

function isPacket(data: unknown): data is Packet {
  if (typeof data !== "object" || data === null) return false;
  const { v, inc, ack } = data as Partial<Packet>;
  return v === version && typeof inc === "number" && typeof ack === "number";
}

function settle(waiter: Deferred<void> | undefined, error?: AgentError): undefined {
  if (error === undefined) waiter?.resolve();
  else waiter?.reject(error);
  return undefined;
}

function closedError(): AgentError {
  return new AgentError("CHANNEL_CLOSED", "Cannot use the event channel: it is closed");
}
