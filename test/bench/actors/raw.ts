/**
 * Raw limits of this machine and this Node: a message port, and Comlink on one.
 *
 * @module
 */

import { once } from "node:events";
import { MessageChannel, type MessagePort, Worker } from "node:worker_threads";
import { type Endpoint, type Remote, wrap } from "comlink";
import { type Calls, openCalls } from "../../../runtime/worker/call/calls.ts";
import type { RawMessage } from "./raw-echo.ts";

export interface Adder {
  add(a: number, b: number): number;
}

export interface RawThread extends AsyncDisposable {
  readonly comlink: Remote<Adder>;
  readonly hardened: Calls<Adder>;
  /** Mean of `n` round trips of one small message, one after the other, in µs. */
  roundTripUs(n: number): Promise<number>;
  /** Messages per second of a burst of `n`, until the other side has read the last. */
  perSecond(n: number): Promise<number>;
}

export async function openRawThread(): Promise<RawThread> {
  const channels = [new MessageChannel(), new MessageChannel(), new MessageChannel()] as const;
  const [events, comlink, hardened] = channels;
  const there = { events: events.port2, comlink: comlink.port2, hardened: hardened.port2 };
  const worker = new Worker(new URL("./raw-echo.js", import.meta.url), {
    workerData: there,
    transferList: Object.values(there),
  });
  await once(worker, "online");
  const port = events.port1;
  await answer(port, { type: "echo", n: 0 });
  return {
    comlink: wrap<Adder>(comlink.port1 as unknown as Endpoint),
    hardened: openCalls<Adder>(hardened.port1, {}),
    roundTripUs: async (n) => {
      const startMs = performance.now();
      for (let sent = 0; sent < n; sent += 1) await answer(port, { type: "echo", n: sent });
      return ((performance.now() - startMs) * 1_000) / n;
    },
    perSecond: async (n) => {
      const startMs = performance.now();
      const last = once(port, "message");
      for (let sent = 0; sent < n; sent += 1) port.postMessage({ type: "count", n });
      await last;
      return n / ((performance.now() - startMs) / 1_000);
    },
    [Symbol.asyncDispose]: async () => {
      for (const { port1 } of channels) port1.close();
      await worker.terminate();
    },
  };
}

function answer(port: MessagePort, message: RawMessage): Promise<void> {
  return new Promise((resolve) => {
    port.once("message", () => resolve());
    port.postMessage(message);
  });
}

interface Adding {
  add(a: number, b: number): Promise<number>;
}

/** Mean of `n` calls, one after the other, in µs. */
export async function callUs(api: Adding, n: number): Promise<number> {
  const startMs = performance.now();
  for (let call = 0; call < n; call += 1) await api.add(call, 1);
  return ((performance.now() - startMs) * 1_000) / n;
}
