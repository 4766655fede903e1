/**
 * A message port as a Comlink endpoint that cannot hang and does not trust the other side.
 *
 * Comlink alone leaves calls pending for ever when the other thread dies, and walks any path that
 * the other side names, `constructor` included, which is code execution. Here only calls of listed
 * methods with plain arguments reach Comlink, only plain answers and errors return, and `die`
 * settles what is pending. RELEASE is refused too: Comlink sends it when a proxy is garbage
 * collected, and it would detach the methods for everyone.
 *
 * @module
 */

import type { MessagePort } from "node:worker_threads";
import type { Endpoint } from "comlink";
import { type ErrorRecord, toErrorRecord } from "../../../machines/error-code.ts";
import { thrownAnswer } from "./wire-error.ts";

export interface HardenedPort {
  /** Give it to Comlink's `wrap` and `expose`, once each. */
  readonly endpoint: Endpoint;
  /** Calls that wait for an answer. */
  readonly pending: () => number;
  /** Rejects every pending call, and every later one, with `error`; closes the port. Only the first counts. */
  die(error: ErrorRecord): void;
}

interface Message {
  readonly id: string;
  readonly type?: unknown;
  readonly name?: unknown;
  readonly path?: unknown;
  readonly argumentList?: unknown;
}

type Listener = (event: { readonly data: unknown; readonly origin: string }) => void;

/** @param methods Names that the other side may call. */
export function hardenPort(port: MessagePort, methods: readonly string[]): HardenedPort {
  const listeners = new Set<Listener>();
  const pending = new Set<string>();
  let dead: ErrorRecord | undefined;
  const deliver = (data: unknown): void => {
    for (const listener of listeners) listener({ data, origin: "" });
  };
  const reject = (id: string, error: ErrorRecord): void => {
    pending.delete(id);
    deliver(thrownAnswer(id, error));
  };

  port.on("message", (message: unknown) => {
    if (!isMessage(message)) return;
    if (pending.has(message.id)) {
      if (!isPlainAnswer(message))
        return reject(message.id, refused("an answer that is no plain value"));
      pending.delete(message.id);
      return deliver(message);
    }
    if (!isCall(message)) return;
    if (isAllowed(message, methods)) return deliver(message);
    const what = `${String(message.type)} of "${pathOf(message).join(".")}"`;
    port.postMessage(thrownAnswer(message.id, refused(what)));
  });

  const post = (message: Message, transfer?: readonly Transferable[]): void => {
    const call = isCall(message);
    // Comlink registers its listener for the answer before it posts.
    if (call && dead !== undefined) return reject(message.id, dead);
    if (dead !== undefined) return;
    try {
      if (call) pending.add(message.id);
      port.postMessage(message, (transfer ?? []) as Parameters<MessagePort["postMessage"]>[1]);
    } catch (error) {
      // An argument that cannot be cloned; for an answer Comlink itself reports it to the caller.
      if (!call) throw error;
      reject(message.id, toErrorRecord(error));
    }
  };

  return {
    endpoint: {
      postMessage: post,
      addEventListener: (_type: string, listener: unknown) => {
        listeners.add(listener as Listener);
      },
      removeEventListener: (_type: string, listener: unknown) => {
        listeners.delete(listener as Listener);
      },
      start: () => port.start(),
    },
    pending: () => pending.size,
    die: (error) => {
      if (dead !== undefined) return;
      dead = error;
      port.close();
      for (const id of pending) reject(id, error);
    },
  };
}

function isMessage(value: unknown): value is Message {
  return (
    typeof value === "object" &&
    value !== null &&
    typeof (value as { id?: unknown }).id === "string"
  );
}

const callTypes: ReadonlySet<unknown> = new Set([
  "GET",
  "SET",
  "APPLY",
  "CONSTRUCT",
  "ENDPOINT",
  "RELEASE",
]);

function isCall(message: Message): boolean {
  return callTypes.has(message.type);
}

function isAllowed(message: Message, methods: readonly string[]): boolean {
  const path = pathOf(message);
  const [method] = path;
  if (message.type !== "APPLY" || path.length !== 1) return false;
  if (method === undefined || !methods.includes(method)) return false;
  const values = message.argumentList;
  return Array.isArray(values) && values.every(isRaw);
}

function pathOf(message: Message): readonly string[] {
  return Array.isArray(message.path) ? message.path.map(String) : [];
}

function isPlainAnswer(message: Message): boolean {
  return isRaw(message) || (message.type === "HANDLER" && message.name === "throw");
}

function isRaw(value: unknown): boolean {
  return (
    typeof value === "object" && value !== null && (value as { type?: unknown }).type === "RAW"
  );
}

function refused(what: string): ErrorRecord {
  return {
    name: "NotCapable",
    message: `Cannot call over this port: refused ${what}`,
    code: "NOT_CAPABLE",
    retryable: false,
  };
}
