/**
 * What a body codec is, and how one is found by the name that is stored with each compressed body.
 * Codecs are synchronous: agents run in threads of their own, and a body is small.
 *
 * @module
 */

import { AgentError } from "../../machines/error-code.ts";
import { openProcessCodec } from "./codec-process.ts";
import { openZlibCodec } from "./codec-zlib.ts";
import { openZstdCodec } from "./codec-zstd.ts";

export interface Codec {
  readonly name: CodecName;
  readonly level: number;
  /** False: a dictionary is refused. */
  readonly takesDictionary: boolean;
  /** True where each call starts a process: every reader would need the binary and the right to run it. */
  readonly external: boolean;
  compress(raw: Uint8Array, dictionary?: Uint8Array): Uint8Array;
  /**
   * `rawBytes` is the length that was stored with the data.
   * @throws {AgentError} `BODY_CORRUPT` when the data cannot be expanded to exactly that length.
   */
  decompress(data: Uint8Array, rawBytes: number, dictionary?: Uint8Array): Uint8Array;
}

export type CodecName = "zstd" | "brotli" | "gzip" | "deflate" | "xz" | "kanzi";

/** As stored in `archive.compressed_bodies.codec`: `zstd:6`. */
export function codecId(codec: { readonly name: string; readonly level: number }): string {
  return `${codec.name}:${codec.level}`;
}

/**
 * Opens the codec of a stored id.
 * @throws {AgentError} `CODEC_UNKNOWN`, or `CODEC_UNAVAILABLE` when its binary is not on this machine.
 */
export async function openCodec(id: string): Promise<Codec> {
  const match = /^(zstd|brotli|gzip|deflate|xz|kanzi):(\d{1,2})$/.exec(id);
  const [, name = "", digits] = match ?? [];
  const level = Number(digits);
  switch (name) {
    case "zstd":
      return await openZstdCodec(level);
    case "brotli":
    case "gzip":
    case "deflate":
      return openZlibCodec(name, level);
    case "xz":
    case "kanzi":
      return openProcessCodec(name, level);
    default:
      throw new AgentError(
        "CODEC_UNKNOWN",
        `Cannot open the codec "${id}": known are zstd, brotli, gzip, deflate, xz and kanzi, with a level as in "zstd:6"`,
      );
  }
}
