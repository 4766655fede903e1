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
export function bridgeErrors(die: (fault: WorkerFault) => never): ErrorBridge {
  const dispatch = EventTarget.prototype.dispatchEvent;
  const isHandled = (event: Event): boolean => !Reflect.apply(dispatch, globalThis, [event]);
  let reporting = false;
  const report = (thrown: unknown, kind: "uncaught" | "unhandled-rejection"): void => {
    const fault = faultOf(thrown, kind);
    // A handler of errors that throws itself gets no second chance.
    if (reporting) die(fault);
    reporting = true;
    const { message, filename, lineno, colno } = fault;
    const init = { cancelable: true, message, filename, lineno, colno, error: thrown };
    const handled = isHandled(new WorkerErrorEvent("error", init));
    reporting = false;
    if (!handled) die(fault);
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
