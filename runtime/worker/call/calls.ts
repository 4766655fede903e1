/**
 * Typed calls between two threads over one port: Comlink on a hardened endpoint, with deadlines.
 *
 * @module
 */

import type { MessagePort } from "node:worker_threads";
import { expose, type Remote, wrap } from "comlink";
import { createDeferred } from "../../../machines/deferred.ts";
import { AgentError, type ErrorRecord } from "../../../machines/error-code.ts";
import { hardenPort } from "./hardened-endpoint.ts";
import { installWireErrors } from "./wire-error.ts";

/** Methods by name, each with plain arguments and a plain result. */
export type MethodTable = object;

export interface Calls<Api> {
  /** Calls the other side; each call rejects when the other thread dies. Errors keep `code` and `cause`. */
  readonly api: Remote<Api>;
  readonly pending: () => number;
  /** Rejects what is pending, and every later call. */
  die(error: ErrorRecord): void;
}

/** Offers `methods` to the other side, and nothing else. Call once for each port. */
export function openCalls<Api>(port: MessagePort, methods: MethodTable): Calls<Api> {
  installWireErrors();
  const names = Object.keys(methods);
  const hardened = hardenPort(port, names);
  // No prototype, so that a name is a listed method or nothing.
  const table = Object.freeze(Object.assign(Object.create(null) as object, methods));
  const api = wrap<Api>(hardened.endpoint);
  if (names.length > 0) expose(table, hardened.endpoint);
  return { api, pending: hardened.pending, die: (error) => hardened.die(error) };
}

export interface Bound {
  /** What is waited for: `the agent to drain`. */
  readonly what: string;
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
}

/**
 * Waits for `work` no longer than allowed. The work itself goes on.
 * @throws {AgentError} `CALL_TIMEOUT` (retryable), or `ABORTED` when the signal fires first.
 */
export async function bounded<T>(work: Promise<T>, bound: Bound): Promise<T> {
  const { what, timeoutMs, signal } = bound;
  const limit = createDeferred<never>();
  const abort = (): void =>
    limit.reject(
      new AgentError("ABORTED", `Cannot wait for ${what}: aborted`, { cause: signal?.reason }),
    );
  const timer = setTimeout(() => {
    const message = `Cannot wait for ${what}: not done after ${timeoutMs} ms`;
    limit.reject(new AgentError("CALL_TIMEOUT", message, { retryable: true }));
  }, timeoutMs);
  if (signal?.aborted === true) abort();
  signal?.addEventListener("abort", abort, { once: true });
  // The loser of the race may still reject; it is no news then.
  work.catch(() => undefined);
  try {
    return await Promise.race([work, limit.promise]);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", abort);
  }
}
