/**
 * The maker's end of the capability port: judges what a restricted worker asks for, and does it.
 *
 * @module
 */

import { MessagePort, type Transferable } from "node:worker_threads";
import { isNoWider, type PermissionSet } from "../../../machines/permissions.ts";
import type { BrokerFrame, Refusal } from "./broker-protocol.ts";

/** Children, connections and servers that one worker may have open at a time. */
const maxCapabilities = 1_024;

/** The maker's end of one capability. */
export interface CapabilityChannel {
  readonly port: MessagePort;
  /** Posts, and wakes a worker that waits synchronously. */
  post(message: unknown, transfer?: readonly Transferable[]): void;
  /** Runs once, when either end has closed it or the worker is gone. */
  onClose(run: () => void): void;
  close(): void;
}

/** Opens one capability. What it throws refuses it, and is told to the worker. */
export type CapabilityService = (
  request: unknown,
  channel: CapabilityChannel,
  /** What the worker holds now. */
  held: () => PermissionSet,
) => void;

export interface Broker {
  /** Ends everything that the worker has open. Idempotent. */
  close(): void;
}

/** Serves `port` for a worker that holds `permissions`. Does not keep the process alive. */
export function openBroker(
  port: MessagePort,
  permissions: PermissionSet,
  services: Readonly<Record<string, CapabilityService>>,
): Broker {
  const open = new Set<CapabilityChannel>();
  let held = permissions;
  port.on("message", (frame: unknown) => {
    if (!isFrame(frame)) return;
    if (frame.type === "narrow") {
      if (isNarrower(frame.permissions, held)) held = frame.permissions;
      return;
    }
    const channel = openChannel(frame.channel, frame.wake);
    open.add(channel);
    channel.onClose(() => open.delete(channel));
    try {
      if (open.size > maxCapabilities) throw tooMany();
      if (!Object.hasOwn(services, frame.service)) throw unknownService(frame.service);
      services[frame.service]?.(frame.request, channel, () => held);
    } catch (error) {
      channel.post(refusalOf(error));
      channel.close();
    }
  });
  port.unref();
  return {
    close: () => {
      port.close();
      for (const channel of open) channel.close();
    },
  };
}

/** The error as a worker may see it. */
export function refusalOf(error: unknown): Refusal {
  if (!(error instanceof Error)) {
    return { type: "refused", name: "Error", code: "UNEXPECTED", message: String(error) };
  }
  const { code, errno, syscall, path } = error as NodeJS.ErrnoException;
  const fields = Object.fromEntries(
    Object.entries({ errno, syscall, path }).filter(([, value]) => value !== undefined),
  ) as Record<string, string | number>;
  return {
    type: "refused",
    name: error.name,
    code: typeof code === "string" ? code : "UNEXPECTED",
    message: error.message,
    fields,
  };
}

function openChannel(port: MessagePort, wake: SharedArrayBuffer): CapabilityChannel {
  const counter = new Int32Array(wake);
  const onClosed: (() => void)[] = [];
  let closed = false;
  const ended = (): void => {
    if (closed) return;
    closed = true;
    for (const run of onClosed) run();
  };
  port.on("close", ended);
  port.unref();
  return {
    port,
    post: (message, transfer = []) => {
      port.postMessage(message, transfer as Transferable[]);
      Atomics.add(counter, 0, 1);
      Atomics.notify(counter, 0);
    },
    onClose: (run) => {
      if (closed) run();
      else onClosed.push(run);
    },
    close: () => {
      port.close();
      ended();
    },
  };
}

/** All of it may be forged. */
function isFrame(frame: unknown): frame is BrokerFrame {
  if (typeof frame !== "object" || frame === null) return false;
  const { type, channel, wake, service, permissions } = frame as Readonly<Record<string, unknown>>;
  if (type === "narrow") return typeof permissions === "object" && permissions !== null;
  return (
    type === "request" &&
    typeof service === "string" &&
    channel instanceof MessagePort &&
    wake instanceof SharedArrayBuffer &&
    wake.byteLength === 4
  );
}

/** A set that is malformed is none. */
function isNarrower(set: PermissionSet, held: PermissionSet): boolean {
  try {
    return isNoWider(set, held);
  } catch {
    return false;
  }
}

function tooMany(): Error {
  const message = `Cannot open more than ${maxCapabilities} children and connections at a time: close some`;
  return Object.assign(new Error(message), { code: "CAPABILITIES_EXHAUSTED" });
}

function unknownService(service: string): Error {
  const message = `Cannot open "${service}": this worker was granted nothing of it`;
  return Object.assign(new Error(message), { code: "ERR_ACCESS_DENIED" });
}
