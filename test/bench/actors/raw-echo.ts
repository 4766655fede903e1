/**
 * A bare worker thread, the limit that our own channels are held against: it echoes what it gets,
 * counts bursts, and answers calls: of bare Comlink on one port, of our hardened calls on another.
 *
 * @module
 */

import { type MessagePort, workerData } from "node:worker_threads";
import { expose } from "comlink";
import { openCalls } from "../../../runtime/worker/call/calls.ts";

export interface RawPorts {
  readonly events: MessagePort;
  readonly comlink: MessagePort;
  readonly hardened: MessagePort;
}

/** `n` of a burst's messages are counted, then one answer goes back. */
export interface RawMessage {
  readonly type: "echo" | "count";
  readonly n: number;
}

const { events, comlink, hardened } = workerData as RawPorts;

let counted = 0;
events.on("message", (message: RawMessage) => {
  if (message.type === "echo") return events.postMessage(message);
  counted += 1;
  if (counted < message.n) return;
  counted = 0;
  events.postMessage(message);
});
const methods = { add: (a: number, b: number): number => a + b };
expose(methods, comlink as unknown as Parameters<typeof expose>[1]);
openCalls(hardened, methods);
