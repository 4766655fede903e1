/**
 * Keeps trained dictionaries in `archive.dictionaries`, each once, named by its hash.
 *
 * @module
 */

import { createHash } from "node:crypto";
import type { Sql } from "postgres";
import { AgentError } from "../../machines/error-code.ts";

/** Stores the dictionary, or finds the equal one that is there. Returns its id. */
export async function saveDictionary(sql: Sql, codec: string, data: Uint8Array): Promise<number> {
  const sha256 = createHash("sha256").update(data).digest("hex");
  await sql`
    insert into archive.dictionaries (codec, data, sha256)
    values (${codec}, ${Buffer.from(data)}, ${sha256}) on conflict (sha256) do nothing`;
  const rows = await sql<{ id: number }[]>`
    select id from archive.dictionaries where sha256 = ${sha256}`;
  const [row] = rows;
  if (row === undefined) throw dictionaryMissing(`with the hash ${sha256}`);
  return row.id;
}

/** @throws {AgentError} `DICTIONARY_MISSING`, `DICTIONARY_CORRUPT` */
export async function loadDictionary(sql: Sql, id: number): Promise<Uint8Array> {
  const rows = await sql<{ data: Buffer; sha256: string }[]>`
    select data, sha256 from archive.dictionaries where id = ${id}`;
  const [row] = rows;
  if (row === undefined) throw dictionaryMissing(`${id}`);
  if (createHash("sha256").update(row.data).digest("hex") === row.sha256) return row.data;
  throw new AgentError(
    "DICTIONARY_CORRUPT",
    `Cannot use the dictionary ${id}: its bytes no longer have the hash ${row.sha256}; restore archive.dictionaries from a backup`,
  );
}

function dictionaryMissing(which: string): AgentError {
  return new AgentError(
    "DICTIONARY_MISSING",
    `Cannot read the dictionary ${which}: archive.dictionaries has no such row; restore it from a backup`,
  );
}
