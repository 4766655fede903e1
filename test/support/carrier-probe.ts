/**
 * Opens a carrier and keeps what it tells, in order.
 *
 * @module
 */

import type { Transferable } from "node:worker_threads";
import { createDeferred } from "../../machines/deferred.ts";
import { noPermissions } from "../../machines/permissions.ts";
import type {
  Carrier,
  CarrierOptions,
  OpenCarrier,
  WorkerFault,
} from "../../runtime/worker/web/carrier.ts";

export interface CarrierProbe {
  readonly carrier: Carrier;
  readonly messages: readonly unknown[];
  readonly errors: readonly unknown[];
  readonly faults: readonly WorkerFault[];
  readonly printed: () => string;
  /** Everything that was told, by kind. */
  readonly told: readonly string[];
  readonly exited: Promise<number>;
  /** The next message that nobody has taken. */
  next(): Promise<unknown>;
  post(data: unknown, transfer?: readonly Transferable[]): void;
}

/** @param code Of the root module, as a `data:` URL. */
export function probeCarrier(
  open: OpenCarrier,
  code: string,
  options: Partial<CarrierOptions> = {},
): CarrierProbe {
  const messages: unknown[] = [];
  const errors: unknown[] = [];
  const faults: WorkerFault[] = [];
  const told: string[] = [];
  const waiting: ((message: unknown) => void)[] = [];
  const exited = createDeferred<number>();
  let taken = 0;
  let printed = "";
  const carrier = open(
    {
      url: `data:text/javascript,${encodeURIComponent(code)}`,
      name: "probe",
      permissions: noPermissions,
      env: {},
      print: (text) => {
        printed += text;
      },
      ...options,
    },
    {
      message: (data, ports) => {
        told.push("message");
        messages.push(ports.length === 0 ? data : { data, ports });
        const take = waiting.shift();
        if (take === undefined) return;
        take(messages[taken]);
        taken += 1;
      },
      messageerror: (error) => {
        told.push("messageerror");
        errors.push(error);
      },
      fault: (fault) => {
        told.push("fault");
        faults.push(fault);
      },
      exit: (code) => {
        told.push("exit");
        exited.resolve(code);
      },
    },
  );
  return {
    carrier,
    messages,
    errors,
    faults,
    told,
    printed: () => printed,
    exited: exited.promise,
    next: () => {
      if (taken >= messages.length) return new Promise((resolve) => waiting.push(resolve));
      taken += 1;
      return Promise.resolve(messages[taken - 1]);
    },
    post: (data, transfer = []) => carrier.post(data, transfer),
  };
}
