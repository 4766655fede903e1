/**
 * Frames on the one channel between this process and the process of a worker.
 *
 *     u32 length of the rest · u8 kind · u32 port (0: the worker itself) · payload
 *
 * Little-endian. Runs in Node and in Deno.
 *
 * @module
 */

import { Buffer } from "node:buffer";

export const frameKinds = {
  /** First, to the worker's process: what to run. */
  boot: 1,
  /** A value for the worker, or for the port. */
  message: 2,
  /** A port was closed on the side that sends this. */
  portClosed: 3,
  /** To the sender of values: its bytes have been consumed (f64). */
  consumed: 4,
  /** From the worker's process: `LoopFigures` as five f64. */
  figures: 5,
  fault: 6,
  messageError: 7,
  /** From the worker's process: the permissions that it has left, where it shares its maker's. */
  narrowed: 9,
  /** Last, from the worker's process: the exit code (i32). */
  exit: 8,
  /** From the worker's process: what a nested worker needs, `PrepareCall`. */
  prepare: 10,
  /** To the worker's process: the answer, `PrepareAnswer`. */
  prepared: 11,
} as const;

export type FrameKind = (typeof frameKinds)[keyof typeof frameKinds];

export interface Frame {
  readonly kind: number;
  readonly port: number;
  readonly payload: Buffer;
}

/** One value may not be larger; a longer length in the stream means that the stream is broken. */
export const maximumFrameBytes = 512 * 1_048_576;
const headBytes = 9;
const empty = Buffer.alloc(0);

export function encodeFrame(kind: FrameKind, port = 0, payload: Uint8Array = empty): Buffer {
  const frame = Buffer.allocUnsafe(headBytes + payload.byteLength);
  frame.writeUInt32LE(headBytes - 4 + payload.byteLength, 0);
  frame.writeUInt8(kind, 4);
  frame.writeUInt32LE(port, 5);
  frame.set(payload, headBytes);
  return frame;
}

/** Cuts a byte stream into frames. @throws {RangeError} When a length is impossible. */
export function frameReader(onFrame: (frame: Frame) => void): (chunk: Buffer) => void {
  let chunks: Buffer[] = [];
  let held = 0;
  /** Bytes that must be there before looking again. */
  let wanted = 4;
  return (chunk) => {
    chunks.push(chunk);
    held += chunk.length;
    if (held < wanted) return;
    const bytes = chunks.length === 1 ? chunk : Buffer.concat(chunks, held);
    let offset = 0;
    wanted = 4;
    while (bytes.length - offset >= 4) {
      const length = bytes.readUInt32LE(offset);
      if (length < headBytes - 4 || length > maximumFrameBytes) {
        throw new RangeError(`Cannot read a frame of ${length} bytes`);
      }
      wanted = 4 + length;
      if (bytes.length - offset < wanted) break;
      const end = offset + wanted;
      const frame = {
        kind: bytes.readUInt8(offset + 4),
        port: bytes.readUInt32LE(offset + 5),
        payload: bytes.subarray(offset + headBytes, end),
      };
      offset = end;
      wanted = 4;
      onFrame(frame);
    }
    const rest = bytes.subarray(offset);
    chunks = rest.length === 0 ? [] : [rest];
    held = rest.length;
  };
}

/** Numbers as f64, little-endian. */
export function encodeNumbers(...numbers: readonly number[]): Buffer {
  const bytes = Buffer.allocUnsafe(numbers.length * 8);
  for (const [index, number] of numbers.entries()) bytes.writeDoubleLE(number, index * 8);
  return bytes;
}

/** The number at `index`; 0 where the payload is shorter. */
export function numberAt(payload: Buffer, index: number): number {
  const end = index * 8 + 8;
  return payload.length < end ? 0 : payload.readDoubleLE(index * 8);
}
