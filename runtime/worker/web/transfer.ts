/**
 * The second argument of `postMessage`, in all its forms.
 *
 * @module
 */

import { MessagePort, type Transferable } from "node:worker_threads";

/** A list, `{ transfer }`, null or nothing. What is named twice is transferred once. @throws {TypeError} */
export function transferList(given: unknown): readonly Transferable[] {
  if (given === undefined || given === null) return [];
  if (typeof given !== "object" && typeof given !== "function") {
    throw new TypeError(
      "Failed to execute 'postMessage' on 'MessagePort': Argument 2 can not be converted to a dictionary",
    );
  }
  const list: unknown =
    Symbol.iterator in given ? given : (given as { transfer?: unknown }).transfer;
  if (list === undefined) return [];
  if (typeof list !== "object" || list === null || !(Symbol.iterator in list)) {
    throw new TypeError(
      "Failed to execute 'postMessage' on 'MessagePort': 'transfer' of 'StructuredSerializeOptions' (Argument 2) can not be converted to sequence",
    );
  }
  return [...new Set(list as Iterable<Transferable>)];
}

/** What arrives as `event.ports`. */
export function portsOf(transfer: readonly Transferable[]): readonly MessagePort[] {
  return transfer.filter((object) => object instanceof MessagePort);
}
