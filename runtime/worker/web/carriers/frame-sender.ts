/**
 * Sends frames to a worker's process without ever losing or piling up without end: values beyond
 * the window wait here until the worker has consumed what it has, and there is a limit to that too.
 *
 * @module
 */

import type { Writable } from "node:stream";
import { AgentError } from "../../../../machines/error-code.ts";
import { encodeFrame, frameKinds } from "./frames.ts";
import { maximumBacklogBytes, windowBytes } from "./host-protocol.ts";

export interface FrameSender {
  /** Until then everything waits. */
  boot(payload: Uint8Array): void;
  /** @throws {AgentError} `WORKER_BACKLOG_FULL` (retryable): the value was not sent. */
  send(frame: Buffer): void;
  /** The worker has consumed values of this many bytes. */
  consumed(bytes: number): void;
  /** Bytes that wait here. */
  readonly waiting: () => number;
  /** Drops what waits. */
  close(): void;
}

export function createFrameSender(channel: Writable): FrameSender {
  let queue: Buffer[] = [];
  let head = 0;
  let queuedBytes = 0;
  let unconsumed = 0;
  let open = false;

  const mayGo = (frame: Buffer): boolean => {
    const bytes = valueBytes(frame);
    // One value may be larger than the window.
    return bytes === 0 || unconsumed === 0 || unconsumed + bytes <= windowBytes;
  };
  const write = (frame: Buffer): void => {
    unconsumed += valueBytes(frame);
    channel.write(frame);
  };
  const flush = (): void => {
    while (open && head < queue.length) {
      const frame = queue[head];
      if (frame === undefined || !mayGo(frame)) return;
      head += 1;
      queuedBytes -= frame.length;
      write(frame);
    }
    queue = [];
    head = 0;
  };
  return {
    boot: (payload) => {
      channel.write(encodeFrame(frameKinds.boot, 0, payload));
      open = true;
      flush();
    },
    send: (frame) => {
      if (open && queue.length === 0 && mayGo(frame)) return write(frame);
      if (queuedBytes > 0 && queuedBytes + frame.length > maximumBacklogBytes) throw backlogFull();
      queue.push(frame);
      queuedBytes += frame.length;
    },
    consumed: (bytes) => {
      unconsumed = Math.max(0, unconsumed - bytes);
      flush();
    },
    waiting: () => queuedBytes + channel.writableLength,
    close: () => {
      open = false;
      queue = [];
      head = 0;
      queuedBytes = 0;
    },
  };
}

const headBytes = encodeFrame(frameKinds.message).length;

/** Only values count against the window; the kind stands behind the length. */
function valueBytes(frame: Buffer): number {
  return frame[4] === frameKinds.message ? frame.length - headBytes : 0;
}

function backlogFull(): AgentError {
  return new AgentError(
    "WORKER_BACKLOG_FULL",
    `Cannot post to the worker: ${maximumBacklogBytes} bytes wait for it already, post less or end it`,
    { retryable: true },
  );
}
