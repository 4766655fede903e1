/**
 * The names that a dedicated worker finds on its global scope.
 *
 * @module
 */

import { availableParallelism } from "node:os";
import {
  type CallHandler,
  defineHandler,
  WorkerErrorEvent,
  WorkerRejectionEvent,
} from "./events.ts";

export class WorkerGlobalScope extends EventTarget {}
export class DedicatedWorkerGlobalScope extends WorkerGlobalScope {
  get [Symbol.toStringTag](): string {
    return "DedicatedWorkerGlobalScope";
  }
}

/** The parts of the root's URL. */
class WorkerLocation {
  readonly #url: URL;
  constructor(url: URL) {
    this.#url = url;
  }
  get href(): string {
    return this.#url.href;
  }
  get origin(): string {
    return this.#url.origin;
  }
  get protocol(): string {
    return this.#url.protocol;
  }
  get host(): string {
    return this.#url.host;
  }
  get hostname(): string {
    return this.#url.hostname;
  }
  get port(): string {
    return this.#url.port;
  }
  get pathname(): string {
    return this.#url.pathname;
  }
  get search(): string {
    return this.#url.search;
  }
  get hash(): string {
    return this.#url.hash;
  }
  toString(): string {
    return this.#url.href;
  }
  get [Symbol.toStringTag](): string {
    return "WorkerLocation";
  }
}

class WorkerNavigator {
  get hardwareConcurrency(): number {
    return availableParallelism();
  }
  get userAgent(): string {
    return `Node.js/${process.versions.node.split(".")[0]}`;
  }
  get language(): string {
    return new Intl.NumberFormat().resolvedOptions().locale;
  }
  get languages(): readonly string[] {
    return [this.language];
  }
  get platform(): string {
    return process.platform;
  }
  get [Symbol.toStringTag](): string {
    return "WorkerNavigator";
  }
}

export interface ScopeFacts {
  readonly name: string;
  readonly location: string;
  close(): never;
  post(data: unknown, transferOrOptions: unknown): void;
}

/** Makes `globalThis` a `DedicatedWorkerGlobalScope`. */
export function defineGlobals({ name, location, close, post }: ScopeFacts): void {
  makeEventTarget(DedicatedWorkerGlobalScope.prototype);
  const place = new WorkerLocation(new URL(location));
  const navigator = new WorkerNavigator();
  Object.defineProperties(globalThis, {
    // Node's own says "global".
    [Symbol.toStringTag]: { configurable: true, value: "DedicatedWorkerGlobalScope" },
    self: { configurable: true, enumerable: true, get: () => globalThis },
    location: { configurable: false, enumerable: true, get: () => place, set: refuseLocation },
    navigator: { configurable: true, enumerable: true, get: () => navigator },
    name: { configurable: true, enumerable: true, writable: true, value: name },
  });
  // Newer Node has them; a worker has not.
  for (const name of ["localStorage", "sessionStorage"]) Reflect.deleteProperty(globalThis, name);
  hide({ WorkerGlobalScope, DedicatedWorkerGlobalScope, WorkerLocation, WorkerNavigator });
  hide({ ErrorEvent: WorkerErrorEvent, PromiseRejectionEvent: WorkerRejectionEvent });
  hide({
    close: () => close(),
    postMessage(...given: readonly [unknown?, unknown?]): void {
      if (given.length === 0) {
        throw new TypeError(
          "Failed to execute 'postMessage' on 'DedicatedWorkerGlobalScope': 1 argument required, but only 0 present",
        );
      }
      post(given[0], given[1]);
    },
  });
}

function refuseLocation(): never {
  throw new DOMException('Cannot set "location".', "NotSupportedError");
}

/** Defines names that a walk over `globalThis` does not show. */
export function hide(values: Readonly<Record<string, unknown>>): void {
  for (const [name, value] of Object.entries(values)) {
    Object.defineProperty(globalThis, name, {
      configurable: true,
      enumerable: false,
      writable: true,
      value,
    });
  }
}

/** The same for one that is slow to load: it is loaded by the first who reads it. */
export function hideLater(name: string, load: () => unknown): void {
  Object.defineProperty(globalThis, name, {
    configurable: true,
    enumerable: false,
    get: () => {
      const value = load();
      hide({ [name]: value });
      return value;
    },
    set: (value: unknown) => {
      hide({ [name]: value });
    },
  });
}

/** Node knows its event targets by symbols that the constructor sets, and by what `constructor` inherits. */
export function makeEventTarget(prototype: object): void {
  const seed = new EventTarget();
  for (const key of Object.getOwnPropertySymbols(seed)) {
    const own = Object.getOwnPropertyDescriptor(seed, key);
    if (own !== undefined) Object.defineProperty(globalThis, key, { ...own, enumerable: false });
  }
  Object.setPrototypeOf(globalThis, prototype);
  for (const name of ["addEventListener", "removeEventListener", "dispatchEvent"] as const) {
    // `addEventListener(…)` without an object means the global scope.
    hide({
      [name](this: unknown, ...given: readonly unknown[]): unknown {
        const method: unknown = EventTarget.prototype[name];
        return Reflect.apply(method as () => unknown, this ?? globalThis, given);
      },
    });
  }
}

/** `onerror` is called with five arguments, and handles the error by returning true. */
export function defineErrorHandlers(): void {
  for (const type of ["unhandledrejection", "rejectionhandled"]) {
    defineHandler(globalThis, type, undefined, globalThis);
  }
  const callOnError: CallHandler = (target, handler, event) => {
    const { message, filename, lineno, colno, error } = event as ErrorEvent;
    const all = [message, filename, lineno, colno, error];
    if (Reflect.apply(handler, target, all as never) === true) event.preventDefault();
  };
  defineHandler(globalThis, "error", callOnError, globalThis);
}
