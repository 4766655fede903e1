/**
 * Writes rows in PostgreSQL's binary COPY format, and sends them through one COPY.
 *
 * Source of the format: PostgreSQL documentation, COPY, "Binary Format".
 *
 * @module
 */

import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { TransactionSql } from "postgres";

/** A column value; the kind must fit the column's type, as binary COPY converts nothing. */
export type CopyField =
  | { readonly type: "int4" | "int8"; readonly value: number }
  | { readonly type: "text"; readonly value: string }
  | { readonly type: "bytea"; readonly value: Uint8Array }
  | { readonly type: "timestamptz"; readonly value: Date }
  | null;

const signature = Buffer.from("PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0", "latin1");
const trailer = Buffer.from([0xff, 0xff]);
/** Postgres counts microseconds from 2000-01-01. */
const epochMs = Date.UTC(2000, 0, 1);
const chunkBytes = 256 * 1024;

/** The stream of one COPY in chunks of about 256 KiB; a larger row is a chunk of its own. */
export function* encodeRows(rows: Iterable<readonly CopyField[]>): Generator<Buffer> {
  let chunk = Buffer.allocUnsafe(chunkBytes);
  let used = signature.copy(chunk);
  for (const row of rows) {
    const need = rowBytes(row);
    if (used + need > chunkBytes) {
      yield chunk.subarray(0, used);
      chunk = Buffer.allocUnsafe(Math.max(chunkBytes, need));
      used = 0;
    }
    used = writeRow(chunk, used, row);
  }
  yield chunk.subarray(0, used);
  yield trailer;
}

/** Upper bound of the encoded size: a UTF-16 unit is at most 3 bytes of UTF-8. */
function rowBytes(row: readonly CopyField[]): number {
  let bytes = 2;
  for (const field of row) {
    bytes += 12;
    if (field?.type === "text") bytes += field.value.length * 3;
    if (field?.type === "bytea") bytes += field.value.length;
  }
  return bytes;
}

function writeRow(chunk: Buffer, at: number, row: readonly CopyField[]): number {
  let used = chunk.writeInt16BE(row.length, at);
  for (const field of row) used = writeField(chunk, used, field);
  return used;
}

function writeField(chunk: Buffer, at: number, field: CopyField): number {
  if (field === null) return chunk.writeInt32BE(-1, at);
  switch (field.type) {
    case "int4":
      return chunk.writeInt32BE(field.value, chunk.writeInt32BE(4, at));
    case "int8":
      return chunk.writeBigInt64BE(BigInt(field.value), chunk.writeInt32BE(8, at));
    case "timestamptz":
      return chunk.writeBigInt64BE(microseconds(field.value), chunk.writeInt32BE(8, at));
    case "text": {
      const length = chunk.write(field.value, at + 4);
      chunk.writeInt32BE(length, at);
      return at + 4 + length;
    }
    case "bytea":
      chunk.set(field.value, chunk.writeInt32BE(field.value.length, at));
      return at + 4 + field.value.length;
  }
}

/** What `timestamptz_send` gives for the same time. */
export function microseconds(date: Date): bigint {
  return BigInt(date.getTime() - epochMs) * 1_000n;
}

/**
 * Sends `rows` into `target` (table and columns) in the transaction; resolves when the server has taken all.
 *
 * postgres.js settles the query when COPY begins and drops what the server says after the last row, a full
 * disk for example; its stream would then wait for ever. So the query's `reject` is taken over.
 */
export async function copyRows(
  tx: TransactionSql,
  target: string,
  rows: Iterable<readonly CopyField[]>,
): Promise<void> {
  const query = tx.unsafe(`copy ${target} from stdin (format binary)`);
  const writable = await query.writable();
  const refused = new Promise<never>((_, reject) => {
    (query as unknown as { reject: (error: unknown) => void }).reject = reject;
  });
  const chunks = Readable.from(encodeRows(rows), { objectMode: true, highWaterMark: 1 });
  await Promise.race([pipeline(chunks, writable), refused]);
}
