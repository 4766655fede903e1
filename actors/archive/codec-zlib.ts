/**
 * Brotli, gzip and raw deflate from Node's own zlib.
 *
 * @module
 */

import {
  brotliCompressSync,
  brotliDecompressSync,
  constants,
  deflateRawSync,
  gunzipSync,
  gzipSync,
  inflateRawSync,
} from "node:zlib";
import { AgentError } from "../../machines/error-code.ts";
import type { Codec } from "./codec.ts";
import { corruptBody, ofLength } from "./codec-corruption.ts";

type ZlibName = "brotli" | "gzip" | "deflate";

/** Deflate looks back 32 KiB at most, so only the end of a dictionary counts. */
const deflateWindowBytes = 32 * 1024;

/** The end of the dictionary that deflate can reach, as an option object; empty without one. */
function windowOf(dictionary: Uint8Array | undefined): { dictionary?: Uint8Array } {
  if (dictionary === undefined) return {};
  return { dictionary: dictionary.subarray(Math.max(0, dictionary.length - deflateWindowBytes)) };
}

function pack(name: ZlibName, level: number, raw: Uint8Array, dictionary?: Uint8Array): Uint8Array {
  if (name === "gzip") return gzipSync(raw, { level });
  if (name === "deflate") return deflateRawSync(raw, { level, ...windowOf(dictionary) });
  const params = {
    [constants.BROTLI_PARAM_QUALITY]: level,
    [constants.BROTLI_PARAM_SIZE_HINT]: raw.byteLength,
  };
  return brotliCompressSync(raw, { params });
}

function unpack(
  name: ZlibName,
  data: Uint8Array,
  rawBytes: number,
  dictionary?: Uint8Array,
): Uint8Array {
  // One byte more than expected shows a longer body without letting it grow without bound.
  const limits = { maxOutputLength: rawBytes + 1 };
  if (name === "gzip") return gunzipSync(data, limits);
  if (name === "brotli") return brotliDecompressSync(data, limits);
  return inflateRawSync(data, { ...limits, ...windowOf(dictionary) });
}

export function openZlibCodec(name: ZlibName, level: number): Codec {
  const takesDictionary = name === "deflate";
  const id = `${name}:${level}`;
  const check = (dictionary: Uint8Array | undefined): void => {
    if (dictionary === undefined || takesDictionary) return;
    throw new AgentError(
      "DICTIONARY_REFUSED",
      `Cannot use a dictionary with ${id}: ${name} has no way to take one`,
    );
  };
  return {
    name,
    level,
    takesDictionary,
    external: false,
    compress(raw, dictionary) {
      check(dictionary);
      return pack(name, level, raw, dictionary);
    },
    decompress(data, rawBytes, dictionary) {
      check(dictionary);
      let raw: Uint8Array;
      try {
        raw = unpack(name, data, rawBytes, dictionary);
      } catch (error) {
        throw corruptBody(id, "zlib refused the bytes", error);
      }
      return ofLength(raw, rawBytes, id);
    },
  };
}
