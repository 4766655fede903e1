/**
 * Lets errors cross threads faithfully: Comlink's own handler keeps only name, message and stack.
 *
 * @module
 */

import { transferHandlers } from "comlink";
import { AgentError, type ErrorRecord, toErrorRecord } from "../../../machines/error-code.ts";

/** Classes that an error comes back as, by its name; others come back as `Error` with their name. */
const builtIns: ReadonlyMap<string, ErrorConstructor> = new Map(
  [TypeError, RangeError, SyntaxError, ReferenceError, EvalError, URIError].map((type) => [
    type.name,
    type,
  ]),
);

/** An `Error` that carries the record's `name`, `code`, `retryable`, `retryAfterMs`, `stack` and `cause`. */
export function reviveError(record: ErrorRecord): Error {
  const { name, message, code, retryable, stack } = record;
  const cause = record.cause === undefined ? undefined : reviveError(record.cause);
  const error = name === "AgentError" ? agentError(record, cause) : builtIn(name, message, cause);
  const { retryAfterMs } = record;
  Object.assign(error, {
    name,
    code,
    retryable,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  });
  if (stack !== undefined) error.stack = stack;
  return error;
}

function agentError({ code, message, retryable }: ErrorRecord, cause: Error | undefined): Error {
  return new AgentError(code, message, { retryable, ...(cause === undefined ? {} : { cause }) });
}

function builtIn(name: string, message: string, cause: Error | undefined): Error {
  const Type = builtIns.get(name) ?? Error;
  return new Type(message, cause === undefined ? {} : { cause });
}

/** A Comlink answer that makes call `id` reject with `record`. */
export function thrownAnswer(id: string, record: ErrorRecord): object {
  return { id, type: "HANDLER", name: "throw", value: record };
}

let installed = false;

/** Replaces Comlink's "throw" handler in this thread; once, however often it is called. */
export function installWireErrors(): void {
  if (installed) return;
  installed = true;
  const original = transferHandlers.get("throw");
  if (original === undefined) throw new Error('Cannot keep errors: Comlink has no "throw" handler');
  transferHandlers.set("throw", {
    canHandle: (value): value is { readonly value: unknown } => original.canHandle(value),
    serialize: (thrown: { readonly value: unknown }) => [toErrorRecord(thrown.value), []],
    deserialize: (sent: unknown) => {
      // What the other side sent may be no record at all, or have a chain of causes without end.
      throw reviveError(toErrorRecord(sent));
    },
  });
}
