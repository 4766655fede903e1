/**
 * Where a worker runs: the seam between Deno's `Worker` interface and what carries it.
 *
 *     Worker (events, queueing, Deno's semantics) ── Carrier ── thread | Node process | Deno process
 *
 * A carrier moves values and reports facts; it knows nothing of event targets or supervision.
 * In Node's threads and processes the other end is `scope.ts`, which speaks `frames.ts`;
 * a Deno process has its own scope, so its carrier may speak anything.
 *
 * @module
 */

import type { MessagePort, Transferable } from "node:worker_threads";
import type { ErrorRecord } from "../../../machines/error-code.ts";
import type { PermissionSet } from "../../../machines/permissions.ts";

export type Isolation = "thread" | "process" | "deno";

export interface CarrierOptions {
  /** What `self.location` shows: absolute `file:`, `data:`, `blob:` or `http(s):` URL of the root module. */
  readonly url: string;
  /** What is imported instead of `url`, once it is known: text of a blob as a `data:` URL, compiled TypeScript. */
  readonly root?: Promise<string>;
  readonly name: string;
  /** Effective, already computed by `childPermissions`. */
  readonly permissions: PermissionSet;
  /** They are those of the maker: what the worker gives up is told by `narrowed`. Default: a set of its own. */
  readonly shared?: boolean;
  /** Environment that the worker sees: already filtered by its `env` permission. */
  readonly env: Readonly<Record<string, string>>;
  /** Limit of the old generation in MiB. Default: Node's own. */
  readonly heapLimitMb?: number;
  /** Flags of the worker's thread. Default: made from `permissions`, which a restricted process cannot do. */
  readonly execArgv?: readonly string[];
  /** Files and folders that its code is loaded from; with `execArgv`, where that was made. */
  readonly code?: readonly string[];
  /** Gets what the worker prints. Default: it goes where the parent's output goes. */
  readonly print?: (text: string, stream: "stdout" | "stderr") => void;
}

/** An error that ended the worker, as Deno's `ErrorEvent` tells it. */
export interface WorkerFault {
  /** `Uncaught Error: x`, `Uncaught (in promise) Error: x`, `Uncaught null`. */
  readonly message: string;
  /** Empty where the module could not be loaded. */
  readonly filename: string;
  readonly lineno: number;
  readonly colno: number;
  /** What was thrown, as data. */
  readonly error: ErrorRecord;
  readonly kind: "uncaught" | "unhandled-rejection" | "load" | "out-of-memory";
}

export interface CarrierListener {
  /** In order; never before the root module has begun to evaluate, never after `exit`. */
  message(data: unknown, ports: readonly MessagePort[]): void;
  messageerror(error: unknown): void;
  /** A worker with `shared` permissions has given some up; these are left. In order with its messages. */
  narrowed?(permissions: PermissionSet): void;
  /** At most once; `exit` follows. */
  fault(fault: WorkerFault): void;
  /** Exactly once, last. What the worker posted before it closed has been delivered. */
  exit(code: number): void;
}

/** Figures of the worker's own loop; reading them needs no answer from the worker. */
export interface LoopFigures {
  /** Grows every 250 ms while the loop turns. */
  readonly turns: number;
  /** Newest event-loop delay, in ms. */
  readonly lagMs: number;
  /** Time that the worker's loop was busy so far, in ms: its CPU time, as long as it does not wait synchronously. */
  readonly cpuMs: number;
  /** Heap and array buffers in use, in bytes. */
  readonly heapBytes: number;
  readonly arrayBufferBytes: number;
}

export interface Carrier {
  readonly isolation: Isolation;
  /** Thread id, or process id. */
  readonly id: number;
  /** Queues until the worker listens. @throws {DOMException} `DataCloneError`, at once. After the end: nothing. */
  post(data: unknown, transfer: readonly Transferable[]): void;
  figures(): LoopFigures;
  /** Ends it now, a busy loop too. Idempotent; resolves when it is gone. No event follows but `exit`. */
  terminate(): Promise<void>;
  /** Whether it keeps the parent's process alive; it does at first. */
  ref(): void;
  unref(): void;
}

/** @throws {AgentError} `ISOLATION_UNAVAILABLE` where this machine lacks what the carrier needs. */
export type OpenCarrier = (options: CarrierOptions, listener: CarrierListener) => Carrier;
