/**
 * One thread with the raw limits of this machine and this Node (a message port, Comlink on one)
 * and with our own channels, so that a pair of figures comes from the same thread.
 *
 * @module
 */

import { once } from "node:events";
import { MessageChannel, Worker } from "node:worker_threads";
import { type Endpoint, type Remote, wrap } from "comlink";
import { type Calls, openCalls } from "../../../runtime/worker/call/calls.ts";
import { openEventChannel } from "../../../runtime/worker/remote/event-channel.ts";
import type { RawMessage } from "./raw-echo.ts";

export interface Adder {
  add(a: number, b: number): number;
}

export interface Path {
  /** Mean of `n` round trips of one small message, one after the other, in µs. */
  roundTripUs(n: number): Promise<number>;
  /** Messages per second of a burst of `n`, until the other side has read the last. */
  perSecond(n: number): Promise<number>;
}

export interface RawThread extends AsyncDisposable {
  readonly comlink: Remote<Adder>;
  readonly hardened: Calls<Adder>;
  readonly raw: Path;
  readonly frames: Path;
}

export async function openRawThread(): Promise<RawThread> {
  const channels = {
    events: new MessageChannel(),
    comlink: new MessageChannel(),
    hardened: new MessageChannel(),
    frames: new MessageChannel(),
  };
  const there = Object.fromEntries(
    Object.entries(channels).map(([name, { port2 }]) => [name, port2]),
  );
  const worker = new Worker(new URL("./raw-echo.js", import.meta.url), {
    workerData: there,
    transferList: Object.values(there),
  });
  await once(worker, "online");
  const port = channels.events.port1;
  let onAnswer: () => void = () => undefined;
  port.on("message", () => onAnswer());
  const channel = openEventChannel({
    port: channels.frames.port1,
    incarnation: 1,
    onFrame: () => onAnswer(),
  });
  const answered = (): Promise<void> =>
    new Promise((resolve) => {
      onAnswer = resolve;
    });
  const post = (message: RawMessage): void => port.postMessage(message);
  const send = (message: RawMessage): void => {
    channel.send("event", message);
  };
  const thread: RawThread = {
    comlink: wrap<Adder>(channels.comlink.port1 as unknown as Endpoint),
    hardened: openCalls<Adder>(channels.hardened.port1, {}),
    raw: path(post, async () => undefined, answered),
    frames: path(send, () => channel.room(), answered),
    [Symbol.asyncDispose]: async () => {
      for (const { port1 } of Object.values(channels)) port1.close();
      await worker.terminate();
    },
  };
  await thread.raw.roundTripUs(1);
  await thread.frames.roundTripUs(1);
  return thread;
}

/** Messages between two looks at the window: a burst of a sender that also does something else. */
const burst = 256;

function path(
  send: (message: RawMessage) => void,
  room: () => Promise<void>,
  answered: () => Promise<void>,
): Path {
  return {
    roundTripUs: async (n) => {
      const startMs = performance.now();
      for (let sent = 0; sent < n; sent += 1) {
        const answer = answered();
        send({ type: "echo", n: sent });
        await answer;
      }
      return ((performance.now() - startMs) * 1_000) / n;
    },
    perSecond: async (n) => {
      const startMs = performance.now();
      const last = answered();
      for (let sent = 0; sent < n; sent += 1) {
        if (sent % burst === 0) await room();
        send({ type: "count", n });
      }
      await last;
      return n / ((performance.now() - startMs) / 1_000);
    },
  };
}

/** Mean of `n` calls, one after the other, in µs. */
export async function callUs(api: Remote<Adder> | Calls<Adder>["api"], n: number): Promise<number> {
  const startMs = performance.now();
  for (let call = 0; call < n; call += 1) await api.add(call, 1);
  return ((performance.now() - startMs) * 1_000) / n;
}
