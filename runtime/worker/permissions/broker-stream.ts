/**
 * Bytes over a message port, with back pressure: a duplex stream at each end.
 *
 *     Uint8Array   bytes        number   so many bytes were consumed        null   no more bytes
 *
 * @module
 */

import { Duplex } from "node:stream";
import type { MessagePort } from "node:worker_threads";

/** Bytes that may be on their way in one direction. */
const windowBytes = 1_048_576;
/** What is consumed is told in steps of this size. */
const acknowledgeBytes = windowBytes / 4;

/** Ends with its port. The other end may be hostile: what it says wrongly is ignored. */
export function openPortStream(port: MessagePort, { allowHalfOpen = true } = {}): Duplex {
  let inFlight = 0;
  let resume: (() => void) | undefined;
  let received = 0;
  let hasEnded = false;
  const acknowledge = (): void => {
    if (received < acknowledgeBytes) return;
    port.postMessage(received);
    received = 0;
  };
  const send = (chunk: Uint8Array, callback: () => void): void => {
    // A buffer may be a part of a pool: a copy of its own is handed over.
    const bytes = new Uint8Array(chunk);
    inFlight += bytes.byteLength;
    port.postMessage(bytes, [bytes.buffer]);
    if (inFlight < windowBytes) callback();
    else resume = callback;
  };
  const stream = new Duplex({
    allowHalfOpen,
    readableHighWaterMark: 65_536,
    writableHighWaterMark: 65_536,
    read: acknowledge,
    write: (chunk: Uint8Array, _encoding, callback) => send(chunk, callback),
    writev: (chunks, callback) =>
      send(Buffer.concat(chunks.map(({ chunk }) => chunk as Uint8Array)), callback),
    final: (callback) => {
      port.postMessage(null);
      callback();
    },
    destroy: (error, callback) => {
      port.close();
      callback(error);
    },
  });
  port.on("message", (message: unknown) => {
    if (message instanceof Uint8Array) {
      if (hasEnded || stream.destroyed) return;
      received += message.byteLength;
      if (stream.push(message)) acknowledge();
    } else if (message === null && !hasEnded) {
      hasEnded = true;
      stream.push(null);
    } else if (typeof message === "number" && message > 0 && message <= inFlight) {
      inFlight -= message;
      if (inFlight >= windowBytes || resume === undefined) return;
      const go = resume;
      resume = undefined;
      go();
    }
  });
  port.on("close", () => {
    if (!hasEnded) {
      hasEnded = true;
      stream.push(null);
    }
    // What has arrived is still read.
    if (stream.readableEnded) stream.destroy();
    else stream.once("end", () => stream.destroy());
  });
  return stream;
}
