/**
 * Cuts a source into batches: the same source and limits always give the same batches.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { microseconds } from "./copy-rows.ts";
import type { ArchiveSource, SourceRecord, SourceReject } from "./source-contract.ts";

/** A batch ends after this many bytes of bodies, whatever its number of records. */
export const maxBatchBytes = 8 * 1024 * 1024;
/** Longer ids would not fit into an index entry. */
const maxIdLength = 800;

export interface BatchRecord {
  readonly record: SourceRecord;
  readonly sha256: Buffer;
}

export interface MigrationBatch {
  /** From 0. */
  readonly number: number;
  readonly firstPosition: number;
  readonly lastPosition: number;
  readonly records: readonly BatchRecord[];
  readonly rejects: readonly SourceReject[];
}

/** Where to go on: the first batch to be cut, and the position before its first record. */
export interface BatchStart {
  readonly number: number;
  readonly after: number;
}

export async function* cutBatches(
  source: ArchiveSource,
  batchSize: number,
  start: BatchStart,
): AsyncGenerator<MigrationBatch> {
  let records: BatchRecord[] = [];
  let rejects: SourceReject[] = [];
  let bytes = 0;
  let { number } = start;
  let first = start.after + 1;
  const cut = (): MigrationBatch => {
    const lastPosition = first + records.length + rejects.length - 1;
    const batch = { number, firstPosition: first, lastPosition, records, rejects };
    records = [];
    rejects = [];
    bytes = 0;
    number += 1;
    first = lastPosition + 1;
    return batch;
  };
  for await (const entry of source.read({ after: start.after })) {
    if (entry.type === "record") {
      records.push({
        record: entry,
        sha256: createHash("sha256").update(entry.content).digest(),
      });
      bytes += entry.content.length;
    } else rejects.push(entry);
    if (records.length + rejects.length >= batchSize || bytes >= maxBatchBytes) yield cut();
  }
  if (records.length + rejects.length > 0) yield cut();
}

/**
 * Hash over id, time and body hash of each record in order, from what the source gave.
 * `checksumSql` computes the same from what the target holds.
 */
export function batchChecksum(idBase: number, records: readonly BatchRecord[]): string {
  const hash = createHash("sha256");
  const head = Buffer.alloc(16);
  for (const { record, sha256 } of records) {
    head.writeBigInt64BE(BigInt(idBase + record.position), 0);
    head.writeBigInt64BE(microseconds(record.sentAt), 8);
    hash.update(head).update(sha256);
  }
  return hash.digest("hex");
}

/** Aggregate over rows `m` of `archive.messages` whose body hash is `h.body`; null for no rows. */
export const checksumSql = `encode(sha256(string_agg(
  int8send(m.id) || timestamptz_send(m.sent_at) || h.body, ''::bytea order by m.id)), 'hex')`;

/** The id itself, or its start and hash where it is too long for an index. */
export function indexableId(id: string): string {
  if (id.length <= maxIdLength) return id;
  const hash = createHash("sha256").update(id).digest("hex");
  return `${id.slice(0, maxIdLength - 80).toWellFormed()}#${hash}`;
}
