/**
 * A bare worker thread, the limit that our own channels are held against: it echoes what it gets,
 * counts bursts, and answers calls: of bare Comlink on one port, of our hardened calls on another.
 * On a further port it does the same with our event frames.
 *
 * @module
 */

import { type MessagePort, workerData } from "node:worker_threads";
import { expose } from "comlink";
import { openCalls } from "../../../runtime/worker/call/calls.ts";
import { openEventChannel } from "../../../runtime/worker/remote/event-channel.ts";

export interface RawPorts {
  readonly events: MessagePort;
  readonly comlink: MessagePort;
  readonly hardened: MessagePort;
  readonly frames: MessagePort;
}

/** `n` of a burst's messages are counted, then one answer goes back. */
export interface RawMessage {
  readonly type: "echo" | "count";
  readonly n: number;
}

const { events, comlink, hardened, frames } = workerData as RawPorts;

/** Answers every `echo`, and the last `count` of a burst. */
function echoer(answer: (message: RawMessage) => void): (message: RawMessage) => void {
  let counted = 0;
  return (message) => {
    if (message.type === "echo") return answer(message);
    counted += 1;
    if (counted < message.n) return;
    counted = 0;
    answer(message);
  };
}

events.on(
  "message",
  echoer((message) => events.postMessage(message)),
);
const echoFrame = echoer((message) => channel.send("echo", message));
const channel = openEventChannel({
  port: frames,
  incarnation: 1,
  onFrame: ({ body }) => echoFrame(body as RawMessage),
});
const methods = { add: (a: number, b: number): number => a + b };
expose(methods, comlink as unknown as Parameters<typeof expose>[1]);
openCalls(hardened, methods);
