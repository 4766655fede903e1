/**
 * Values between processes: V8's own serialisation, which Node and Deno share, plus ports.
 *
 * Cycles, shared references, Map, Set, Date, RegExp, BigInt, errors with causes and views on one
 * buffer survive as in a structured clone. A port is replaced by a marker object; markers stand in a
 * list of their own too, so the reader knows them by identity and no user value can look like one.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import * as v8 from "node:v8";
import { maximumFrameBytes } from "./frames.ts";

/** What is sent, and the ports that travel with it. Port objects in `data` are those in `ports`. */
export interface PortedValue {
  readonly data: unknown;
  readonly ports: readonly MessagePort[];
}

/**
 * Takes the value out of the sender's hands: transferred buffers are detached, transferred ports
 * come back as new objects that are ours. Without a transfer list nothing is copied, unless asked for.
 * @throws {DOMException} `DataCloneError`
 */
export function takeValue(
  data: unknown,
  transfer: readonly object[],
  alwaysCopy = false,
): PortedValue {
  if (transfer.length === 0) return { data: alwaysCopy ? structuredClone(data) : data, ports: [] };
  // Deno accepts an object twice in the list, so do we.
  const unique = [...new Set(transfer)];
  const ports = unique.filter((one): one is MessagePort => one instanceof MessagePort);
  return structuredClone({ data, ports }, { transfer: unique as Transferable[] });
}

/**
 * Whether this V8 writes the cause of an error before its stack, as Node 20 does. Newer ones, that
 * of Deno too, do not read that; they write what all can read.
 */
export const writesCauseFirst = ((): boolean => {
  const error = new Error("m", { cause: 0 });
  error.stack = "s";
  const bytes = encodePlain(error).toString("latin1");
  // Tags: c, then a small integer; s, then a string.
  return bytes.indexOf("cI") < bytes.indexOf('s"');
})();

/**
 * @param idsOf Takes the ports over and tells the ids that the other side will know them by; called
 *   only when the value can be sent.
 * @param causesApart The reader would not understand causes as this V8 writes them. The value must
 *   be a copy of ours.
 * @throws {DOMException} `DataCloneError`, also for shared memory and for more than 512 MiB.
 */
export function encodeValue(
  { data, ports }: PortedValue,
  idsOf: (ports: readonly MessagePort[]) => readonly number[],
  causesApart = false,
): Buffer {
  const serializer = new v8.Serializer();
  serializer.writeHeader();
  const apart = causesApart ? { causes: takeCauses(data) } : {};
  if (ports.length === 0) {
    write(serializer, { data, ...apart });
    return bytesOf(serializer);
  }
  const markers = ports.map(() => ({}));
  const marked = replaceObjects(data, new Map(ports.map((port, index) => [port, markers[index]])));
  write(serializer, { data: marked, markers, ...apart });
  // Only now: a value that cannot be sent takes no port over.
  write(serializer, idsOf(ports));
  return bytesOf(serializer);
}

/** @param portsOf Makes the ports that stand for the ids of the other side. */
export function decodeValue(
  payload: Uint8Array,
  portsOf: (ids: readonly number[]) => readonly MessagePort[],
): PortedValue {
  const deserializer = new v8.Deserializer(payload);
  deserializer.readHeader();
  const {
    data,
    markers,
    causes = [],
  } = deserializer.readValue() as {
    readonly data: unknown;
    readonly markers?: readonly object[];
    readonly causes?: readonly (readonly [Error, unknown])[];
  };
  for (const [error, value] of causes) {
    Object.defineProperty(error, "cause", { value, configurable: true, writable: true });
  }
  if (markers === undefined) return { data, ports: [] };
  const ports = portsOf(deserializer.readValue() as readonly number[]);
  const replacement = new Map(markers.map((marker, index) => [marker, ports[index]]));
  return { data: replaceObjects(data, replacement), ports };
}

/** Plain data of ours, for frames that carry no value of the worker. */
export function encodePlain(data: unknown): Buffer {
  const serializer = new v8.Serializer();
  serializer.writeHeader();
  write(serializer, data);
  return bytesOf(serializer);
}

export function decodePlain(payload: Uint8Array): unknown {
  const deserializer = new v8.Deserializer(payload);
  deserializer.readHeader();
  return deserializer.readValue();
}

// Not `v8.serialize`: with Node's own kind of views two of them no longer share a buffer.
function write(serializer: v8.Serializer, value: unknown): void {
  try {
    serializer.writeValue(value);
  } catch (error) {
    throw cloneError(error);
  }
}

function bytesOf(serializer: v8.Serializer): Buffer {
  const { buffer, byteOffset, byteLength } = serializer.releaseBuffer();
  if (byteLength > maximumFrameBytes - 16) {
    throw new DOMException(
      `A value of ${byteLength} bytes could not be cloned: at most ${maximumFrameBytes} bytes cross to another process.`,
      "DataCloneError",
    );
  }
  return Buffer.from(buffer, byteOffset, byteLength);
}

/** V8 reports what it cannot clone as a plain `Error`; a getter's own error must stay what it is. */
function cloneError(error: unknown): unknown {
  if (!(error instanceof Error) || !error.message.endsWith("could not be cloned.")) return error;
  return new DOMException(error.message, "DataCloneError");
}

/** Cuts causes off their errors, in place. */
function takeCauses(root: unknown): readonly (readonly [Error, unknown])[] {
  const found: (readonly [Error, unknown])[] = [];
  walk(root, (object) => {
    if (object instanceof Error && object.cause !== undefined) found.push([object, object.cause]);
    return object;
  });
  for (const [error] of found) delete error.cause;
  return found;
}

/** Replaces objects in place, by identity. */
function replaceObjects(root: unknown, replacement: ReadonlyMap<object, unknown>): unknown {
  return walk(root, (object) => (replacement.has(object) ? replacement.get(object) : object));
}

/** Calls `swap` for every object wherever a structured clone can hold one, and puts its result there. */
function walk(root: unknown, swap: (object: object) => unknown): unknown {
  const seen = new Set<object>();
  const open: object[] = [];
  const visit = (value: unknown): unknown => {
    if (typeof value !== "object" || value === null || seen.has(value)) return value;
    const swapped = swap(value);
    if (swapped !== value || ArrayBuffer.isView(value)) return swapped;
    seen.add(value);
    open.push(value);
    return value;
  };
  const result = visit(root);
  for (let next = open.pop(); next !== undefined; next = open.pop()) replaceInside(next, visit);
  return result;
}

function replaceInside(object: object, swap: (value: unknown) => unknown): void {
  if (object instanceof Map) {
    const entries = [...object];
    object.clear();
    for (const [key, value] of entries) object.set(swap(key), swap(value));
  } else if (object instanceof Set) {
    const values = [...object];
    object.clear();
    for (const value of values) object.add(swap(value));
  } else {
    for (const [key, value] of Object.entries(object)) {
      const swapped = swap(value);
      if (swapped !== value) (object as Record<string, unknown>)[key] = swapped;
    }
    if (object instanceof Error) swap(object.cause);
  }
}
