/**
 * Zstandard (RFC 8878) as WebAssembly, the same on every Node version and in every worker thread.
 *
 * Contexts are made once per thread. Node's own zstd (from 22.15) is not used: Node 20 has none, and one
 * implementation means that a body written anywhere is read everywhere.
 *
 * @module
 */

import {
  compressUsingDict,
  createCCtx,
  createDCtx,
  decompressUsingDict,
  init,
} from "@bokuweb/zstd-wasm";
import type { Codec } from "./codec.ts";
import { corruptBody, ofLength } from "./codec-corruption.ts";

interface Contexts {
  readonly compress: number;
  readonly decompress: number;
}

let opened: Promise<Contexts> | undefined;

async function openContexts(): Promise<Contexts> {
  await init();
  return { compress: createCCtx(), decompress: createDCtx() };
}

const noDictionary = new Uint8Array(0);
const magic = 0xfd2fb528;

/** Reads the content size of a frame header (RFC 8878, 3.1.1.1), undefined where the frame does not say it. */
function contentSize(frame: Uint8Array): number | undefined {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  if (frame.byteLength < 6 || view.getUint32(0, true) !== magic) return undefined;
  const descriptor = view.getUint8(4);
  const singleSegment = (descriptor & 0x20) !== 0;
  const idBytes = [0, 1, 2, 4][descriptor & 3] ?? 0;
  const at = 5 + (singleSegment ? 0 : 1) + idBytes;
  const flag = descriptor >> 6;
  const sizeBytes = flag === 0 ? (singleSegment ? 1 : 0) : 1 << flag;
  if (sizeBytes === 0 || at + sizeBytes > frame.byteLength) return undefined;
  if (sizeBytes === 1) return view.getUint8(at);
  if (sizeBytes === 2) return view.getUint16(at, true) + 256;
  if (sizeBytes === 4) return view.getUint32(at, true);
  return Number(view.getBigUint64(at, true));
}

/** Levels 1 to 19. Dictionaries are raw content: bytes that bodies are likely to repeat. */
export async function openZstdCodec(level: number): Promise<Codec> {
  opened ??= openContexts();
  const contexts = await opened;
  const id = `zstd:${level}`;
  return {
    name: "zstd",
    level,
    takesDictionary: true,
    external: false,
    compress: (raw, dictionary = noDictionary) =>
      compressUsingDict(contexts.compress, raw, dictionary, level),
    decompress(data, rawBytes, dictionary = noDictionary) {
      // Checked first because the binding allocates whatever size the header claims.
      const claimed = contentSize(data);
      if (claimed !== rawBytes) {
        throw corruptBody(
          id,
          `its header says ${claimed ?? "no size"}, ${rawBytes} bytes were stored`,
        );
      }
      let raw: Uint8Array;
      try {
        raw = decompressUsingDict(contexts.decompress, data, dictionary);
      } catch (error) {
        throw corruptBody(id, "zstd refused the bytes", error);
      }
      return ofLength(raw, rawBytes, id);
    },
  };
}
