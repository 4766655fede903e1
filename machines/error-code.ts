/**
 * The error codes that callers may compare: one union for the whole system.
 * Classes live beside their thrower; codes cross threads, processes and HTTP unchanged.
 *
 * @module
 */

/** A JSON value: what task inputs, outputs, journal payloads and messages are made of. */
export type Json =
  | null
  | boolean
  | number
  | string
  | readonly Json[]
  | { readonly [key: string]: Json };

/** An error as data: what the journal stores and what crosses threads. `cause` is at most 5 deep. */
export interface ErrorRecord {
  readonly name: string;
  readonly message: string;
  readonly code: string;
  /** False: no retry policy may repeat the attempt. */
  readonly retryable: boolean;
  /** When the thrower knows better than the retry policy how long to wait. */
  readonly retryAfterMs?: number;
  readonly stack?: string;
  readonly cause?: ErrorRecord;
}

/**
 * An expected failure of agent work, with a stable `code` such as `ARCHIVE_NOT_FOUND`.
 * Everything else that an agent throws is recorded with the code `UNEXPECTED` and may be retried.
 */
export class AgentError extends Error {
  override readonly name = "AgentError";
  readonly code: string;
  readonly retryable: boolean;
  /** Milliseconds until the next attempt; undefined: as the retry policy says. */
  readonly retryAfterMs: number | undefined;

  /** @param options.retryable Default false: repeating would fail the same way; true with `retryAfterMs`. */
  constructor(
    code: string,
    message: string,
    options: { retryable?: boolean; retryAfterMs?: number; cause?: unknown } = {},
  ) {
    super(message, { cause: options.cause });
    this.code = code;
    this.retryAfterMs = options.retryAfterMs;
    this.retryable = options.retryable ?? options.retryAfterMs !== undefined;
  }
}

/** Shape of a thrown value that carries its own code; matched by shape because classes do not cross threads. */
function codeOf(value: object): string | undefined {
  const code = (value as { code?: unknown }).code;
  return typeof code === "string" ? code : undefined;
}

/** Turns anything thrown into a record. Never throws. Unknown values are retryable. */
export function toErrorRecord(thrown: unknown, depth = 0): ErrorRecord {
  if (!(thrown instanceof Error) && !isErrorLike(thrown)) {
    return { name: "Error", message: textOf(thrown), code: "UNEXPECTED", retryable: true };
  }
  const { retryable, retryAfterMs } = thrown as { retryable?: unknown; retryAfterMs?: unknown };
  return {
    name: thrown.name,
    message: typeof thrown.message === "string" ? thrown.message : textOf(thrown.message),
    code: codeOf(thrown) ?? "UNEXPECTED",
    retryable: typeof retryable === "boolean" ? retryable : true,
    ...(typeof retryAfterMs !== "number" || !(retryAfterMs >= 0) ? {} : { retryAfterMs }),
    ...(typeof thrown.stack !== "string" ? {} : { stack: thrown.stack.slice(0, 4_000) }),
    ...(thrown.cause === undefined || depth >= 4
      ? {}
      : { cause: toErrorRecord(thrown.cause, depth + 1) }),
  };
}

/** `String` throws for an object without a prototype. */
function textOf(value: unknown): string {
  if (typeof value !== "object" || value === null) return String(value);
  try {
    return JSON.stringify(value) ?? "undefined";
  } catch {
    return Object.prototype.toString.call(value);
  }
}

function isErrorLike(value: unknown): value is Error {
  return (
    typeof value === "object" &&
    value !== null &&
    typeof (value as { name?: unknown }).name === "string" &&
    typeof (value as { message?: unknown }).message === "string"
  );
}
