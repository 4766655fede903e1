/**
 * Runs in a Deno worker before its root module. The worker's scope is Deno's own; this adds what
 * Deno does not tell the outside: how the loop fares, that the worker ended itself, that a port
 * was closed.
 *
 * @module
 */

import { closedWord, exitWord } from "./deno-protocol.ts";

/** Of Deno, what this file uses. */
interface DenoNamespace {
  exit(code?: number): never;
  memoryUsage(): { readonly heapUsed: number; readonly external: number };
  unrefTimer(id: number): void;
}

interface DenoWorkerScope {
  readonly Deno: DenoNamespace;
  close(): void;
  postMessage(data: unknown, transfer?: unknown): void;
}

const turnIntervalMs = 250;
const scope = globalThis as unknown as DenoWorkerScope;
const { Deno: deno } = scope;

const given = new URL(import.meta.url).searchParams;
const token = given.get("token") ?? "";

globalThis.addEventListener(
  "message",
  (event) => {
    event.stopImmediatePropagation();
    writeFigures(new Float64Array((event as MessageEvent).data as SharedArrayBuffer));
  },
  { once: true },
);
showLocation(given.get("location") ?? "");
tellExit();
tellClosedPorts();

function writeFigures(meter: Float64Array): void {
  let turns = 0;
  let busyMs = 0;
  let expectedAt = performance.now();
  const measure = (): void => {
    const now = performance.now();
    const { heapUsed, external } = deno.memoryUsage();
    const lagMs = Math.max(0, now - expectedAt);
    turns += 1;
    // Deno does not tell the time of one worker; that by which its loop came late is a lower bound.
    busyMs += lagMs;
    meter.set([turns, lagMs, busyMs, heapUsed, external]);
    expectedAt = now + turnIntervalMs;
  };
  measure();
  deno.unrefTimer(setInterval(measure, turnIntervalMs) as unknown as number);
}

/** The root that Deno knows is a file of ours, which imports the worker's own. */
function showLocation(url: string): void {
  const { href, protocol, host, hostname, port, pathname, search, hash, origin } = new URL(url);
  const shown = { href, protocol, host, hostname, port, pathname, search, hash, origin };
  const properties = Object.fromEntries(
    Object.entries(shown).map(([name, value]) => [name, { value, enumerable: true }]),
  );
  const location: unknown = Object.create(Object.getPrototypeOf(globalThis.location) as object, {
    ...properties,
    toString: { value: () => href },
  });
  Object.defineProperty(globalThis, "location", {
    get: () => location,
    enumerable: true,
    configurable: true,
  });
}

function tellExit(): void {
  const post = scope.postMessage.bind(globalThis);
  const { close } = scope;
  const { exit } = deno;
  scope.close = () => {
    post(`${token}${exitWord}0`);
    Reflect.apply(close, globalThis, []);
  };
  deno.exit = (code = 0): never => {
    post(`${token}${exitWord}${code}`);
    return Reflect.apply(exit, deno, [code]) as never;
  };
}

/**
 * A port says so before it closes, where its other end is not in this worker: it came from outside,
 * or the other end has been posted outside.
 */
function tellClosedPorts(): void {
  const peers = new WeakMap<MessagePort, MessagePort>();
  const local = new WeakSet<MessagePort>();
  const { close } = MessagePort.prototype;
  MessagePort.prototype.close = function (this: MessagePort): void {
    if (!local.has(this)) this.postMessage(`${token}${closedWord}`);
    Reflect.apply(close, this, []);
  };
  globalThis.MessageChannel = class extends MessageChannel {
    constructor() {
      super();
      peers.set(this.port1, this.port2);
      peers.set(this.port2, this.port1);
      local.add(this.port1);
      local.add(this.port2);
    }
  };
  const { postMessage } = scope;
  scope.postMessage = (...args: [unknown, unknown?]): void => {
    Reflect.apply(postMessage, globalThis, args);
    for (const leaving of listOf(args[1])) {
      const peer = leaving instanceof MessagePort ? peers.get(leaving) : undefined;
      if (peer !== undefined) local.delete(peer);
    }
  };
}

function listOf(argument: unknown): readonly unknown[] {
  const list = Array.isArray(argument)
    ? argument
    : (argument as { transfer?: unknown } | undefined)?.transfer;
  return Array.isArray(list) ? list : [];
}
