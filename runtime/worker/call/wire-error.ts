/**
 * Lets errors cross threads faithfully: Comlink's own handler keeps only name, message and stack.
 *
 * @module
 */

import { transferHandlers } from "comlink";
import { type ErrorRecord, toErrorRecord } from "../../../machines/error-code.ts";

/** An `Error` that carries the record's `name`, `code`, `retryable`, `stack` and `cause`. */
export function reviveError(record: ErrorRecord): Error {
  const cause = record.cause === undefined ? undefined : reviveError(record.cause);
  const error = new Error(record.message, cause === undefined ? {} : { cause });
  const { name, code, retryable } = record;
  Object.assign(error, { name, code, retryable });
  if (record.stack !== undefined) error.stack = record.stack;
  return error;
}

/** A Comlink answer that makes call `id` reject with `record`. */
export function thrownAnswer(id: string, record: ErrorRecord): object {
  return { id, type: "HANDLER", name: "throw", value: record };
}

/** Replaces Comlink's "throw" handler in this thread. Safe to call again. */
export function installWireErrors(): void {
  const original = transferHandlers.get("throw");
  if (original === undefined) throw new Error('Cannot keep errors: Comlink has no "throw" handler');
  transferHandlers.set("throw", {
    canHandle: (value): value is { readonly value: unknown } => original.canHandle(value),
    serialize: (thrown: { readonly value: unknown }) => [toErrorRecord(thrown.value), []],
    deserialize: (record: ErrorRecord) => {
      throw reviveError(record);
    },
  });
}
