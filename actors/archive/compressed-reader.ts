/**
 * Expands rows of `archive.compressed_bodies`, with the codecs and dictionaries that they name.
 *
 * @module
 */

import type { Sql } from "postgres";
import { AgentError } from "../../machines/error-code.ts";
import { type Codec, openCodec } from "./codec.ts";
import { loadDictionary } from "./dictionary-store.ts";
import { createLruCache } from "./lru-cache.ts";
import { unpackBody } from "./stored-body.ts";

/** Dictionaries that one expander keeps in memory, in bytes. */
const dictionaryCacheBytes = 8 * 1024 * 1024;
/** Ids of one query; larger requests are split. */
export const idsPerQuery = 500;

export interface CompressedRow {
  readonly id: string;
  readonly codec: string | null;
  readonly dictionary_id: number | null;
  readonly raw_bytes: number | null;
  readonly data: Buffer | null;
}

export interface Expander {
  /** @throws {AgentError} `BODY_CORRUPT`, `DICTIONARY_MISSING`, `CODEC_UNAVAILABLE`, naming the message. */
  expand(row: CompressedRow): Promise<Uint8Array>;
  /** Time in the codec since the expander was made. */
  expandMs(): number;
}

export function createExpander(sql: Sql): Expander {
  const dictionaries = createLruCache<number, Uint8Array>({
    maxBytes: dictionaryCacheBytes,
    sizeOf: (data) => data.byteLength,
  });
  const codecs = new Map<string, Codec>();
  let expandMs = 0;

  async function codecOf(id: string): Promise<Codec> {
    const codec = codecs.get(id) ?? (await openCodec(id));
    codecs.set(id, codec);
    return codec;
  }

  async function dictionaryOf(id: number | null): Promise<Uint8Array | undefined> {
    if (id === null) return undefined;
    const data = dictionaries.get(id) ?? (await loadDictionary(sql, id));
    dictionaries.set(id, data);
    return data;
  }

  return {
    async expand(row) {
      if (row.data === null || row.codec === null || row.raw_bytes === null) {
        throw new AgentError(
          "BODY_CORRUPT",
          `Cannot read the body of message ${row.id}: its row is empty`,
        );
      }
      const codec = await codecOf(row.codec);
      const dictionary = await dictionaryOf(row.dictionary_id);
      const startedMs = performance.now();
      try {
        return unpackBody(codec, row.data, row.raw_bytes, dictionary);
      } catch (error) {
        if (!(error instanceof AgentError)) throw error;
        throw new AgentError(
          error.code,
          `Cannot read the body of message ${row.id}: ${error.message}`,
          { cause: error },
        );
      } finally {
        expandMs += performance.now() - startedMs;
      }
    },
    expandMs: () => expandMs,
  };
}

/** Reads the compressed form alone, also where a raw body still stands: for verifying it. */
export function openCompressedReader(
  sql: Sql,
): (ids: readonly string[]) => Promise<Map<string, Uint8Array>> {
  const expander = createExpander(sql);
  return async (ids) => {
    const bodies = new Map<string, Uint8Array>();
    for (let at = 0; at < ids.length; at += idsPerQuery) {
      const rows = await sql<CompressedRow[]>`
        select message_id::text as id, codec, dictionary_id, raw_bytes, data
        from archive.compressed_bodies
        where message_id = any(${sql.array(ids.slice(at, at + idsPerQuery))}::bigint[])`;
      for (const row of rows) bodies.set(row.id, await expander.expand(row));
    }
    return bodies;
  };
}
