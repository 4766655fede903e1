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
 * come back as new objects that are ours. Without a transfer list nothing is copied.
 * @throws {DOMException} `DataCloneError`
 */
export function takeValue(data: unknown, transfer: readonly object[]): PortedValue {
  if (transfer.length === 0) return { data, ports: [] };
  // Deno accepts an object twice in the list, so do we.
  const unique = [...new Set(transfer)];
  const ports = unique.filter((one): one is MessagePort => one instanceof MessagePort);
  return structuredClone({ data, ports }, { transfer: unique as Transferable[] });
}

/**
 * @param idsOf Takes the ports over and tells the ids that the other side will know them by; called
 *   only when the value can be sent.
 * @throws {DOMException} `DataCloneError`, also for shared memory and for more than 512 MiB.
 */
export function encodeValue(
  { data, ports }: PortedValue,
  idsOf: (ports: readonly MessagePort[]) => readonly number[],
): Buffer {
  const serializer = new v8.Serializer();
  serializer.writeHeader();
  if (ports.length === 0) {
    write(serializer, { data });
    return bytesOf(serializer);
  }
  const markers = ports.map(() => ({}));
  const marked = replaceObjects(data, new Map(ports.map((port, index) => [port, markers[index]])));
  write(serializer, { data: marked, markers });
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
  const { data, markers } = deserializer.readValue() as {
    readonly data: unknown;
    readonly markers?: readonly object[];
  };
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

/** Replaces objects in place, by identity, wherever a structured clone can hold them. */
function replaceObjects(root: unknown, replacement: ReadonlyMap<object, unknown>): unknown {
  const seen = new Set<object>();
  const open: object[] = [];
  const swap = (value: unknown): unknown => {
    if (typeof value !== "object" || value === null) return value;
    if (replacement.has(value)) return replacement.get(value);
    if (!seen.has(value) && !ArrayBuffer.isView(value)) {
      seen.add(value);
      open.push(value);
    }
    return value;
  };
  const result = swap(root);
  for (let next = open.pop(); next !== undefined; next = open.pop()) replaceInside(next, swap);
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
