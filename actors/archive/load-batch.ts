/**
 * Loads one batch into the target in one transaction: bodies, messages, rejects, and the batch's own row.
 *
 * The row in `archive.batches` goes in first: a second attempt that loads the same batch waits for it and
 * then finds it there, so that nothing is loaded twice.
 *
 * @module
 */

import type { Sql, TransactionSql } from "postgres";
import { AgentError } from "../../machines/error-code.ts";
import { type CopyField, copyRows } from "./copy-rows.ts";
import type { DimensionIds } from "./dimension-ids.ts";
import { batchChecksum, indexableId, type MigrationBatch } from "./migration-batch.ts";
import { holdRun, type OwnedRun } from "./migration-run.ts";
import { transaction } from "./transaction.ts";

/**
 * Resolves with false when the batch was loaded already.
 *
 * @throws {AgentError} `RUN_LOST`
 */
export async function loadBatch(
  sql: Sql,
  run: OwnedRun,
  batch: MigrationBatch,
  ids: DimensionIds,
): Promise<boolean> {
  const { runId, idBase } = run;
  return transaction(sql, async (tx) => {
    await holdRun(tx, run);
    const inserted = await tx`
      insert into archive.batches
        (run_id, batch, first_position, last_position, read, migrated, rejected, checksum)
      values (${runId}, ${batch.number}, ${batch.firstPosition}, ${batch.lastPosition},
        ${batch.records.length + batch.rejects.length}, ${batch.records.length},
        ${batch.rejects.length}, ${batchChecksum(idBase, batch.records)})
      on conflict (run_id, batch) do nothing returning batch`;
    if (inserted.length === 0) return false;
    await copyBatch(tx, { runId, idBase }, batch, ids);
    return true;
  });
}

async function copyBatch(
  tx: TransactionSql,
  { runId, idBase }: { runId: string; idBase: number },
  batch: MigrationBatch,
  ids: DimensionIds,
): Promise<void> {
  if (batch.records.length > 0) {
    await copyRows(
      tx,
      `archive.messages (id, conversation_id, source_id, sent_at, edited_at, kind, user_id, media_id,
        reply_to, body_bytes, body_sha256, batch, run_id)`,
      messageRows(runId, idBase, batch, ids),
    );
    await copyRows(tx, "archive.bodies (message_id, raw)", bodyRows(idBase, batch));
  }
  if (batch.rejects.length > 0) {
    await copyRows(
      tx,
      "archive.rejects (run_id, position, source_id, reason, detail)",
      rejectRows(runId, batch),
    );
  }
}

function* messageRows(
  runId: string,
  idBase: number,
  batch: MigrationBatch,
  ids: DimensionIds,
): Generator<readonly CopyField[]> {
  for (const { record, sha256 } of batch.records) {
    yield [
      { type: "int8", value: idBase + record.position },
      reference(ids.conversations, record.conversation.sourceId),
      { type: "text", value: indexableId(record.sourceId) },
      { type: "timestamptz", value: record.sentAt },
      record.editedAt === null ? null : { type: "timestamptz", value: record.editedAt },
      text(record.kind),
      record.user === null ? null : reference(ids.users, record.user.sourceId),
      record.media === null ? null : reference(ids.media, record.media.sourceId),
      record.replyTo === null ? null : text(indexableId(record.replyTo)),
      { type: "int4", value: record.content.length },
      { type: "bytea", value: sha256 },
      { type: "int4", value: batch.number },
      { type: "text", value: runId },
    ];
  }
}

function reference(ids: ReadonlyMap<string, number>, sourceId: string): CopyField {
  const id = ids.get(indexableId(sourceId));
  if (id === undefined) {
    throw new AgentError(
      "REFERENCE_LOST",
      `Cannot load a message: "${sourceId}" has no row in the target any more`,
      { retryable: true },
    );
  }
  return { type: "int8", value: id };
}

function text(value: string | null): CopyField {
  return value === null ? null : { type: "text", value };
}

function* bodyRows(idBase: number, batch: MigrationBatch): Generator<readonly CopyField[]> {
  for (const { record } of batch.records) {
    yield [
      { type: "int8", value: idBase + record.position },
      { type: "bytea", value: record.content },
    ];
  }
}

function* rejectRows(runId: string, batch: MigrationBatch): Generator<readonly CopyField[]> {
  for (const reject of batch.rejects) {
    yield [
      { type: "text", value: runId },
      { type: "int8", value: reject.position },
      reject.sourceId === null ? null : text(indexableId(reject.sourceId)),
      { type: "text", value: reject.reason },
      { type: "text", value: reject.detail },
    ];
  }
}
