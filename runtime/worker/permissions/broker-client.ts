/**
 * The worker's end of the capability port. Nothing here is a guard: the maker judges each request.
 *
 * @module
 */

import {
  MessageChannel,
  type MessagePort,
  receiveMessageOnPort,
  type Transferable,
} from "node:worker_threads";
import { type BrokerFrame, isRefusal, type Refusal } from "./broker-protocol.ts";

export interface Capability {
  /** Keeps the worker alive while it is listened to. */
  readonly port: MessagePort;
  /**
   * The next message, blocking this thread; for what Node does synchronously.
   * @throws {Error} The refusal; `ETIMEDOUT` when nothing came in time.
   */
  receive(timeoutMs: number): unknown;
}

let broker: MessagePort | undefined;

/** Once, before any code of the worker's own. The port does not keep the worker alive. */
export function enterBroker(port: MessagePort): void {
  broker = port;
  port.unref();
}

/** Whether this worker has someone to ask. */
export function hasBroker(): boolean {
  return broker !== undefined;
}

/** @param request Cloneable; what it holds of `transfer` is transferred. */
export function requestCapability(
  service: string,
  request: unknown,
  transfer: readonly Transferable[] = [],
): Capability {
  if (broker === undefined) throw new Error(`Cannot ask for "${service}": nobody is there to ask`);
  const { port1, port2 } = new MessageChannel();
  const wake = new SharedArrayBuffer(4);
  const frame: BrokerFrame = { type: "request", service, request, channel: port2, wake };
  broker.postMessage(frame, [port2, ...transfer] as Transferable[]);
  const counter = new Int32Array(wake);
  return {
    port: port1,
    receive: (timeoutMs) => {
      const deadline = performance.now() + timeoutMs;
      for (;;) {
        const seen = Atomics.load(counter, 0);
        const received: { message: unknown } | undefined = receiveMessageOnPort(port1);
        if (received !== undefined) {
          if (isRefusal(received.message)) throw refusedError(received.message);
          return received.message;
        }
        const leftMs = deadline - performance.now();
        if (leftMs <= 0) throw timeoutError(service, timeoutMs);
        Atomics.wait(counter, 0, seen, leftMs);
      }
    },
  };
}

export function refusedError({ name, code, message, fields }: Refusal): Error {
  const error = new Error(message);
  error.name = name;
  return Object.assign(error, fields, { code });
}

function timeoutError(service: string, timeoutMs: number): Error {
  const message = `Cannot wait for "${service}": no answer within ${timeoutMs} ms`;
  return Object.assign(new Error(message), { code: "ETIMEDOUT" });
}
