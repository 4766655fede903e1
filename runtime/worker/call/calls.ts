/**
 * Typed calls between two threads over one port: Comlink on a hardened endpoint, with deadlines.
 *
 * @module
 */

import { expose, wrap } from "comlink";
import { createDeferred } from "../../../machines/deferred.ts";
import { AgentError, type ErrorRecord, toErrorRecord } from "../../../machines/error-code.ts";
import {
  type CallPort,
  type CallScope,
  type HardenedPort,
  hardenPort,
} from "./hardened-endpoint.ts";
import { installWireErrors } from "./wire-error.ts";

/** Deadline of a call that names none. */
const defaultTimeoutMs = 60_000;
/** Node's timers count in 31 bits. */
const longestTimerMs = 2_147_483_647;

/** Methods by name, each with plain arguments and a plain result; `this` is a `CallScope`. */
export type MethodTable = object;

/** The other side's methods, as calls. */
export type Caller<Api> = {
  readonly [Name in keyof Api]: Api[Name] extends (...args: infer Args) => infer Result
    ? (...args: Args) => Promise<Awaited<Result>>
    : never;
};

export interface CallLimits {
  /** From the call to its answer. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
}

export interface Calls<Api> {
  /**
   * Calls the other side; each call has 60 s, and rejects when the other thread dies. Errors keep
   * name, `code`, stack and causes.
   */
  readonly api: Caller<Api>;
  /**
   * The same within other limits. When they are reached the call rejects with `CALL_TIMEOUT`
   * (retryable) or `ABORTED`, and the method's own signal is aborted on the other side.
   */
  within(limits: CallLimits): Caller<Api>;
  readonly pending: () => number;
  /** Calls of the other side that are not answered yet. */
  readonly serving: () => number;
  /** Rejects what is pending, and every later call. */
  die(error: ErrorRecord): void;
}

/**
 * Offers `methods` to the other side, and nothing else. Call once for each port.
 * @param onClose See `hardenPort`.
 */
export function openCalls<Api>(
  port: CallPort,
  methods: MethodTable,
  onClose?: () => void,
): Calls<Api> {
  installWireErrors();
  const names = Object.keys(methods);
  const hardened = hardenPort(port, names, onClose);
  const remote = wrap(hardened.endpoint) as unknown as RemoteMethods;
  if (names.length > 0) expose(tableOf(methods, hardened.scope), hardened.endpoint);
  // Comlink makes a proxy at each look; one for each method is enough.
  const known = new Map<string, Method>();
  const call = (name: string, args: unknown[], limits: CallLimits): Promise<unknown> => {
    const method = known.get(name) ?? (remote[name] as Method);
    known.set(name, method);
    return callWithin(hardened, `"${name}"`, () => method(...args), limits);
  };
  const within = (limits: CallLimits): Caller<Api> => createCaller<Api>(call, limits);
  return {
    api: within({ timeoutMs: defaultTimeoutMs }),
    within,
    pending: hardened.pending,
    serving: hardened.serving,
    die: hardened.die,
  };
}

type Method = (...args: unknown[]) => Promise<unknown>;
type RemoteMethods = Readonly<Record<string, Method>>;

/** No prototype, so that a name is a listed method or nothing. */
function tableOf(methods: MethodTable, scope: () => CallScope): object {
  const table = Object.create(null) as Record<string, unknown>;
  for (const [name, method] of Object.entries(methods)) {
    table[name] = (...args: unknown[]): unknown =>
      (method as (this: CallScope, ...args: unknown[]) => unknown).apply(scope(), args);
  }
  return Object.freeze(table);
}

/** A property is a call, but for `then`: who awaits a caller must not call the other side. */
function createCaller<Api>(
  call: (name: string, args: unknown[], limits: CallLimits) => Promise<unknown>,
  limits: CallLimits,
): Caller<Api> {
  return new Proxy(Object.freeze(Object.create(null) as object), {
    get: (_, name) =>
      typeof name === "symbol" || name === "then"
        ? undefined
        : (...args: unknown[]) => call(name, args, limits),
  }) as Caller<Api>;
}

async function callWithin(
  hardened: HardenedPort,
  what: string,
  post: () => Promise<unknown>,
  { timeoutMs, signal }: CallLimits,
): Promise<unknown> {
  if (signal?.aborted === true) throw aborted(what, signal);
  const answer = post();
  const id = hardened.newestCall();
  const abort = (): void => hardened.cancel(id, toErrorRecord(aborted(what, signal)));
  const timer = setTimeout(
    () => hardened.cancel(id, toErrorRecord(timedOut(what, timeoutMs))),
    Math.min(timeoutMs, longestTimerMs),
  );
  signal?.addEventListener("abort", abort, { once: true });
  try {
    return await answer;
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", abort);
  }
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
  const abort = (): void => limit.reject(aborted(what, signal));
  const timer = setTimeout(
    () => limit.reject(timedOut(what, timeoutMs)),
    Math.min(timeoutMs, longestTimerMs),
  );
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

function aborted(what: string, signal: AbortSignal | undefined): AgentError {
  return new AgentError("ABORTED", `Cannot wait for ${what}: aborted`, { cause: signal?.reason });
}

function timedOut(what: string, timeoutMs: number): AgentError {
  const message = `Cannot wait for ${what}: not done after ${timeoutMs} ms`;
  return new AgentError("CALL_TIMEOUT", message, { retryable: true });
}
