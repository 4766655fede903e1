/**
 * The global scope of a dedicated worker, over any endpoint: a thread's port or a process's channel.
 *
 * @module
 */

import { createRequire } from "node:module";
import type { Transferable } from "node:worker_threads";
import type { BrokerFrame } from "../permissions/broker-protocol.ts";
import { isEverything } from "../permissions/enforcement.ts";
import type * as Guards from "../permissions/guards.ts";
import { createDenoNamespace } from "./deno-namespace.ts";
import { DeliveredMessage, defineHandler } from "./events.ts";
import { faultOf } from "./fault.ts";
import type { LoadFrame, MessageFrame, ScopeEndpoint } from "./frames.ts";
import { defineErrorHandlers, defineGlobals, hide, hideLater } from "./globals.ts";
import { hooksAwait, installImportHooks } from "./import-hooks.ts";
import type { NurseryFrame } from "./nursery-protocol.ts";
import { enterRealm, holdPermissions } from "./realm.ts";
import { bridgeErrors } from "./scope-errors.ts";
import { portsOf, transferList } from "./transfer.ts";
import type * as WorkerModule from "./worker.ts";

/** Compiled code, as all that runs in a thread; the modules are those that an import gives. */
const require = createRequire(import.meta.url);

/** Makes this thread or process a worker, which loads what the `load` frame names. */
export function enterScope(endpoint: ScopeEndpoint): void {
  const inbox = createInbox();
  endpoint.listen(
    (frame) => {
      if (frame.type === "message") inbox.put(frame);
      else endpoint.exit(1);
    },
    (error) => inbox.put({ error }),
  );
  endpoint.onLoad((frame) => void load(frame, endpoint, inbox));
}

async function load(frame: LoadFrame, endpoint: ScopeEndpoint, inbox: Inbox): Promise<void> {
  const { root, location, name, permissions } = frame;
  const { nursery } = endpoint;
  const holder = holdPermissions(permissions, (set) => {
    if (frame.shared) endpoint.send({ type: "narrowed", permissions: set });
    endpoint.broker?.postMessage({ type: "narrow", permissions: set } satisfies BrokerFrame);
    nursery?.postMessage({ type: "narrowed", permissions: set } satisfies NurseryFrame);
  });
  const searchPath = process.env["PATH"];
  enterRealm({
    permissions: holder,
    env: { ...process.env },
    ...(nursery === undefined ? {} : { nursery }),
    ...(searchPath === undefined ? {} : { searchPath }),
  });
  const close = (): never => endpoint.exit(0);
  defineGlobals({
    name,
    location,
    close,
    post: (data, transfer) => post(endpoint, data, transfer),
  });
  hide({ Deno: createDenoNamespace(holder, close) });
  // Half of all modules are there for workers of workers, which few make.
  hideLater("Worker", () => (require("./worker.js") as typeof WorkerModule).Worker);
  if (!isEverything(permissions)) {
    const { installGuards } = require("../permissions/guards.js") as typeof Guards;
    installGuards({
      permissions: () => holder.current,
      ...(endpoint.broker === undefined ? {} : { broker: endpoint.broker }),
    });
  }
  // After the listeners are guarded, which the handlers are among.
  const errors = bridgeErrors((fault) => {
    endpoint.send({ type: "fault", fault });
    return endpoint.exit(1);
  });
  for (const type of ["message", "messageerror"]) {
    defineHandler(globalThis, type, undefined, globalThis);
  }
  defineErrorHandlers();
  let evaluating = false;
  const beginModule = announce(() => {
    evaluating = true;
    if (imports.begin().interruptible) endpoint.interruptible();
    // After the root has run up to its first await.
    setImmediate(inbox.open);
  });
  const entry = wrap(beginModule, root);
  const imports = installImportHooks({ entry, root, location }, () => holder.current);
  try {
    await import(entry);
    endpoint.interruptible();
  } catch (error) {
    if (evaluating) errors.rejected(error);
    else errors.die(faultOf(error, "load"));
  }
}

function post(endpoint: ScopeEndpoint, data: unknown, transferOrOptions: unknown): void {
  const transfer: readonly Transferable[] = transferList(transferOrOptions);
  const ports = portsOf(transfer);
  endpoint.send({ type: "message", data, ...(ports.length === 0 ? {} : { ports }) }, transfer);
}

/** A module that calls `begin` when it is evaluated. */
function announce(begin: () => void): string {
  const key = Symbol.for(`spectra.begin.${Math.random()}`);
  Object.defineProperty(globalThis, key, { configurable: true, value: begin });
  const symbol = `Symbol.for(${JSON.stringify(key.description)})`;
  return `data:text/javascript,${encodeURIComponent(`const s = ${symbol}, b = globalThis[s]; delete globalThis[s]; b();`)}`;
}

/**
 * Imports are evaluated in order, so `before` runs in the same turn as `root`.
 * The await at the end is for V8, see `thread.ts`.
 */
function wrap(before: string, root: string): string {
  const end = hooksAwait ? "await undefined;" : "";
  const code = `import ${JSON.stringify(before)}; import ${JSON.stringify(root)}; ${end}`;
  return `data:text/javascript,${encodeURIComponent(code)}`;
}

interface Inbox {
  put(item: MessageFrame | { readonly error: unknown }): void;
  /** Delivers what waits, and from then on at once. */
  readonly open: () => void;
}

/** Keeps messages until the root module has begun. Not bounded: like a port's own queue, the sender fills it. */
function createInbox(): Inbox {
  const dispatch = EventTarget.prototype.dispatchEvent;
  let waiting: (MessageFrame | { readonly error: unknown })[] | undefined = [];
  const deliver = (item: MessageFrame | { readonly error: unknown }): void => {
    const event =
      "error" in item
        ? new DeliveredMessage("messageerror", item.error)
        : new DeliveredMessage("message", item.data, item.ports);
    Reflect.apply(dispatch, globalThis, [event]);
  };
  const open = async (): Promise<void> => {
    const queue = waiting ?? [];
    // What arrives meanwhile is put behind.
    for (const item of queue) {
      deliver(item);
      await Promise.resolve();
    }
    waiting = undefined;
  };
  return {
    put: (item) => {
      if (waiting === undefined) deliver(item);
      else waiting.push(item);
    },
    open: () => void open(),
  };
}
