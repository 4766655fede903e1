/**
 * The bytes of `archive.compressed_bodies.data`: the CRC-32 of the raw body, little-endian, then what the
 * codec made of it. Codecs alone miss many flipped bits; the checksum finds them at the read.
 *
 * @module
 */

import { crc32 } from "node:zlib";
import type { Codec } from "./codec.ts";
import { codecId } from "./codec.ts";
import { corruptBody } from "./codec-corruption.ts";

const checksumBytes = 4;

export function packBody(codec: Codec, raw: Uint8Array, dictionary?: Uint8Array): Buffer {
  const data = codec.compress(raw, dictionary);
  const stored = Buffer.allocUnsafe(checksumBytes + data.byteLength);
  stored.writeUInt32LE(crc32(raw), 0);
  stored.set(data, checksumBytes);
  return stored;
}

/** @throws {AgentError} `BODY_CORRUPT` when the bytes are not the ones that `packBody` made. */
export function unpackBody(
  codec: Codec,
  stored: Uint8Array,
  rawBytes: number,
  dictionary?: Uint8Array,
): Uint8Array {
  if (stored.byteLength < checksumBytes) {
    throw corruptBody(codecId(codec), `${stored.byteLength} bytes are too few`);
  }
  const view = new DataView(stored.buffer, stored.byteOffset, checksumBytes);
  const raw = codec.decompress(stored.subarray(checksumBytes), rawBytes, dictionary);
  if (crc32(raw) === view.getUint32(0, true)) return raw;
  throw corruptBody(codecId(codec), "the checksum of the expanded bytes is another one");
}
