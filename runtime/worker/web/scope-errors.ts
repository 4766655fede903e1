/**
 * Uncaught errors and unhandled rejections of a worker: told to its scope first, then its end.
 *
 * @module
 */

import type { WorkerFault } from "./carrier.ts";
import { WorkerErrorEvent, WorkerRejectionEvent } from "./events.ts";
import { faultOf } from "./fault.ts";
import { hide } from "./globals.ts";

export interface ErrorBridge {
  /** A rejection that nobody handles. */
  rejected(reason: unknown): void;
  readonly die: (fault: WorkerFault) => never;
}

/** @param die Tells the parent and ends the worker. */
export function bridgeErrors(die: (fault: WorkerFault, thrown?: unknown) => never): ErrorBridge {
  const dispatch = EventTarget.prototype.dispatchEvent;
  const isHandled = (event: Event): boolean => !Reflect.apply(dispatch, globalThis, [event]);
  let reporting = false;
  const report = (thrown: unknown, kind: "uncaught" | "unhandled-rejection"): void => {
    const fault = faultOf(thrown, kind);
    // A handler of errors that throws itself gets no second chance.
    if (reporting) die(fault, thrown);
    reporting = true;
    const { message, filename, lineno, colno } = fault;
    const init = { cancelable: true, message, filename, lineno, colno, error: thrown };
    const handled = isHandled(new WorkerErrorEvent("error", init));
    reporting = false;
    if (!handled) die(fault, thrown);
  };
  const rejected = (reason: unknown, promise: Promise<unknown>): void => {
    const init = { cancelable: true, promise, reason };
    if (!isHandled(new WorkerRejectionEvent("unhandledrejection", init))) {
      report(reason, "unhandled-rejection");
    }
  };
  process.on("uncaughtException", (error, origin) => {
    if (origin === "uncaughtException") report(error, "uncaught");
  });
  process.on("unhandledRejection", rejected);
  guardListeners((error) => report(error, "uncaught"));
  hide({ reportError: (error: unknown) => report(error, "uncaught") });
  return {
    die,
    rejected: (reason) => {
      const promise = Promise.reject(reason);
      // It is told by the event.
      promise.catch(() => undefined);
      rejected(reason, promise);
    },
  };
}

type Listener = EventListenerOrEventListenerObject | null;

/**
 * Reports what a listener throws at once, so that a worker which it ends runs nothing more.
 * Node would throw it again in the next tick, and treats rejections of async listeners as errors.
 */
function guardListeners(report: (error: unknown) => void): void {
  const { addEventListener, removeEventListener } = EventTarget.prototype;
  const guarded = new WeakMap<object, EventListener>();
  const guard = (listener: unknown): unknown => {
    if ((typeof listener !== "function" && typeof listener !== "object") || listener === null) {
      return listener;
    }
    const known = guarded.get(listener);
    if (known !== undefined) return known;
    const wrapped: EventListener = function (this: unknown, event) {
      try {
        if (typeof listener === "function") Reflect.apply(listener, this, [event]);
        else (listener as EventListenerObject).handleEvent(event);
      } catch (error) {
        report(error);
      }
    };
    guarded.set(listener, wrapped);
    return wrapped;
  };
  const replace = (name: "addEventListener" | "removeEventListener", original: unknown): void => {
    Object.defineProperty(EventTarget.prototype, name, {
      configurable: true,
      enumerable: true,
      writable: true,
      value: function (
        this: EventTarget,
        type: string,
        listener: Listener,
        options?: unknown,
      ): void {
        const self = this ?? globalThis;
        const given = options === undefined ? [] : [options];
        Reflect.apply(original as () => void, self, [type, guard(listener), ...given]);
      },
    });
  };
  replace("addEventListener", addEventListener);
  replace("removeEventListener", removeEventListener);
}
