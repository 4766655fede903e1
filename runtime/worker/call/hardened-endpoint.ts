/**
 * A message port as a Comlink endpoint that cannot hang and does not trust the other side.
 *
 * Comlink alone leaves calls pending for ever when the other thread dies, and walks any path that
 * the other side names, `constructor` included, which is code execution. Here only calls of listed
 * methods with plain arguments reach Comlink, only plain answers and errors return, and `die`
 * settles what is pending. RELEASE never leaves: Comlink sends it when a proxy is garbage
 * collected, and it would detach the methods for everyone.
 *
 * One frame is our own: `{ type: "CANCEL", id }` says that nobody waits for a call any more.
 *
 * @module
 */

import type { Transferable as Movable } from "node:worker_threads";
import type { Endpoint } from "comlink";
import { AgentError, type ErrorRecord, toErrorRecord } from "../../../machines/error-code.ts";
import { thrownAnswer } from "./wire-error.ts";

/** Calls in one direction that may wait for their answers at once. */
const maxOpenCalls = 10_000;
/** After the other end has gone, its owner may still say why; then calls fail without a better reason. */
const closeGraceMs = 50;

/** What a port must do: Node's and the web's `MessagePort` both fit. */
export interface CallPort {
  postMessage(message: unknown, transfer: readonly Movable[]): void;
  addEventListener(type: string, listener: (event: Event) => void): void;
  start(): void;
  close(): void;
}

/** `this` of an offered method, until it first waits. */
export interface CallScope {
  /** Aborted when the caller gives up, by its signal or its deadline, or is dead. */
  readonly signal: AbortSignal;
}

export interface HardenedPort {
  /** Give it to Comlink's `wrap` and `expose`, once each. */
  readonly endpoint: Endpoint;
  /** Calls that wait for an answer. */
  readonly pending: () => number;
  /** Calls of the other side that are not answered yet. */
  readonly serving: () => number;
  /** Id of the newest call. Comlink posts in the same turn in which it is called. */
  readonly newestCall: () => string;
  /** The scope of the call that is being delivered. */
  readonly scope: () => CallScope;
  /** Rejects one pending call and tells the other side that nobody waits for it. */
  cancel(id: string, error: ErrorRecord): void;
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

interface Served {
  readonly method: string;
  readonly scope: CallScope;
  abort(reason: Error): void;
}

type Listener = (event: { readonly data: unknown; readonly origin: string }) => void;

/**
 * @param methods Names that the other side may call.
 * @param onClose Called when the other end has closed, by who will then call `die`. Default: the port dies by itself.
 */
export function hardenPort(
  port: CallPort,
  methods: readonly string[],
  onClose?: () => void,
): HardenedPort {
  const listeners = new Set<Listener>();
  const pending = new Set<string>();
  const served = new Map<string, Served>();
  const allowed: ReadonlySet<unknown> = new Set(methods);
  let dead: ErrorRecord | undefined;
  let newest = "";
  let entered: CallScope | undefined;
  // Comlink keeps the endpoint until its proxies are collected: it must not lead to whoever holds these.
  let whenClosed = onClose;

  const deliver = (data: unknown): void => {
    for (const listener of listeners) listener({ data, origin: "" });
  };
  const reject = (id: string, error: ErrorRecord): void => {
    pending.delete(id);
    deliver(thrownAnswer(id, error));
  };
  const refuse = (id: string, error: ErrorRecord): void =>
    port.postMessage(thrownAnswer(id, error), []);

  const serve = (message: Message): void => {
    if (!isAllowed(message, allowed)) {
      const what = `${String(message.type)} of "${pathOf(message).join(".")}"`;
      return refuse(message.id, refused(what));
    }
    if (served.has(message.id)) return refuse(message.id, refused("an id that is in use"));
    if (served.size >= maxOpenCalls) return refuse(message.id, tooMany("answer"));
    const call = createServed(String(pathOf(message)[0]));
    served.set(message.id, call);
    entered = call.scope;
    try {
      deliver(message);
    } finally {
      entered = undefined;
    }
  };
  const giveUp = (id: string): void => {
    const call = served.get(id);
    served.delete(id);
    call?.abort(new AgentError("ABORTED", `Cannot go on with "${call.method}": nobody waits`));
  };

  port.addEventListener("message", (event) => {
    const message = (event as MessageEvent<unknown>).data;
    if (!isMessage(message) || dead !== undefined) return;
    if (pending.has(message.id)) {
      if (!isPlainAnswer(message))
        return reject(message.id, refused("an answer that is no plain value"));
      pending.delete(message.id);
      return deliver(message);
    }
    if (message.type === "CANCEL") return giveUp(message.id);
    if (isCall(message)) serve(message);
  });

  const call = (message: Message, transfer: readonly Movable[]): void => {
    newest = message.id;
    // Comlink registers its listener for the answer before it posts.
    if (dead !== undefined) return reject(message.id, dead);
    if (message.type === "RELEASE") return deliver({ id: message.id, type: "RAW" });
    if (pending.size >= maxOpenCalls) return reject(message.id, tooMany("wait for"));
    try {
      port.postMessage(message, transfer);
      pending.add(message.id);
    } catch (error) {
      // An argument that cannot be cloned.
      reject(message.id, toErrorRecord(error));
    }
  };
  const answer = (message: Message, transfer: readonly Movable[]): void => {
    const open = served.get(message.id);
    served.delete(message.id);
    // Nobody waits for it.
    if (open === undefined || dead !== undefined) return closeAll(transfer);
    if (!isPlainAnswer(message)) {
      closeAll(transfer);
      return refuse(message.id, notCloneable(open.method, "it is a proxy"));
    }
    try {
      port.postMessage(message, transfer);
    } catch (error) {
      refuse(message.id, notCloneable(open.method, toErrorRecord(error).message));
    }
  };
  const die = (error: ErrorRecord): void => {
    if (dead !== undefined) return;
    dead = error;
    whenClosed = undefined;
    port.close();
    for (const id of pending) reject(id, error);
    for (const id of served.keys()) giveUp(id);
  };
  port.addEventListener("close", () => {
    if (dead !== undefined) return;
    if (whenClosed !== undefined) whenClosed();
    else setTimeout(() => die(closed), closeGraceMs).unref();
  });

  return {
    endpoint: {
      postMessage: (message: Message, transfer?: unknown) =>
        (isCall(message) ? call : answer)(message, (transfer ?? []) as readonly Movable[]),
      addEventListener: (_type: string, listener: unknown) => {
        listeners.add(listener as Listener);
      },
      removeEventListener: (_type: string, listener: unknown) => {
        listeners.delete(listener as Listener);
      },
      start: () => port.start(),
    },
    pending: () => pending.size,
    serving: () => served.size,
    newestCall: () => newest,
    scope: () => {
      if (entered !== undefined) return entered;
      throw new Error("Cannot tell the scope of a call: none is being delivered");
    },
    cancel: (id, error) => {
      if (!pending.has(id)) return;
      reject(id, error);
      port.postMessage({ type: "CANCEL", id }, []);
    },
    die,
  };
}

/** The controller is made when a method asks for its signal: most never do. */
function createServed(method: string): Served {
  let controller: AbortController | undefined;
  let aborted: Error | undefined;
  return {
    method,
    scope: {
      get signal() {
        controller ??= new AbortController();
        if (aborted !== undefined) controller.abort(aborted);
        return controller.signal;
      },
    },
    abort: (reason) => {
      aborted = reason;
      controller?.abort(reason);
    },
  };
}

function closeAll(transfer: readonly Movable[]): void {
  for (const one of transfer) {
    if ("close" in one && typeof one.close === "function") void one.close();
  }
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

function isAllowed(message: Message, methods: ReadonlySet<unknown>): boolean {
  const { path, argumentList: values } = message;
  if (message.type !== "APPLY" || !Array.isArray(path) || path.length !== 1) return false;
  return methods.has(path[0]) && Array.isArray(values) && values.every(isRaw);
}

/** For people; an element that is no string may have any shape. */
function pathOf(message: Message): readonly string[] {
  if (!Array.isArray(message.path)) return [];
  return message.path.map((part) => (typeof part === "string" ? part : typeof part));
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

function tooMany(what: string): ErrorRecord {
  const message = `Cannot ${what} another call: ${maxOpenCalls} are open`;
  return { name: "AgentError", message, code: "CALLS_FULL", retryable: true };
}

function notCloneable(method: string, why: string): ErrorRecord {
  const message = `Cannot return the result of "${method}": it cannot be cloned: ${why}`;
  return { name: "AgentError", message, code: "RESULT_NOT_CLONEABLE", retryable: false };
}

const closed: ErrorRecord = {
  name: "AgentError",
  message: "Cannot call over this port: its other end is closed",
  code: "PORT_CLOSED",
  retryable: true,
};
