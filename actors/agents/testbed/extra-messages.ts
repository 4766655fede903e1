/**
 * Further messages for tests on a live archive: copies of real ones, ingested as a source of their own
 * and removed afterwards with all that was derived from them.
 *
 * @module
 */

import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { readBodies } from "../../archive/body-store.ts";
import { deduplicateArchive } from "../../archive/dedup-run.ts";
import type { DedupSettings } from "../../archive/dedup-settings.ts";
import { normaliseBody } from "../../archive/dedup-text.ts";
import { ingestBatch } from "../../archive/ingest.ts";
import type { MigrationResult } from "../../archive/migrate.ts";
import { removeRun } from "../../archive/migration-run.ts";
import type { QuerySubject } from "../../archive/queries.ts";
import type { AgentContext } from "../../ports.ts";

/** Bodies beyond this are not copied: the test is about paths, not about volume. */
const MAX_COPIED_BYTES = 256 * 1024;
/** Messages that are searched for. */
const SUBJECTS = 5;

export interface ExtraMessage {
  /** The message that it is a copy of. */
  readonly originalId: string;
  readonly content: Buffer;
}

export interface ExtraMessages {
  readonly runId: string;
  readonly result: MigrationResult;
  /** In the order of `records`. */
  readonly ids: readonly string[];
  readonly records: readonly ExtraMessage[];
  /** The newest of them, for queries. */
  readonly subjects: readonly QuerySubject[];
}

/** Up to `count` messages whose text may be copied, the same ones at every call. */
export async function pickOriginals(ctx: AgentContext, count: number): Promise<ExtraMessage[]> {
  const rows = await ctx.sql<{ id: string }[]>`
    select m.id::text as id from archive.messages m
    where m.body_bytes between 1 and ${MAX_COPIED_BYTES}
    order by md5(m.source_id), m.id limit ${count * 2}`;
  const bodies = await readBodies(
    ctx.sql,
    rows.map((row) => row.id),
  );
  const originals: ExtraMessage[] = [];
  for (const { id } of rows) {
    const content = Buffer.from(bodies.get(id) ?? new Uint8Array());
    // An export holds text, and a body without words is nobody's duplicate.
    const text = content.toString("utf8");
    if (!Buffer.from(text).equals(content) || normaliseBody(content).length === 0) continue;
    originals.push({ originalId: id, content });
    if (originals.length === count) break;
  }
  return originals;
}

/** Writes the copies as a Telegram export and ingests that as any other archive. */
export async function ingestExtra(
  ctx: AgentContext,
  name: string,
  records: readonly ExtraMessage[],
): Promise<ExtraMessages> {
  const runId = extraRunId(ctx, name);
  const folder = join(ctx.host.dataDir, "work");
  const file = join(folder, `${runId.replaceAll(/[^A-Za-z0-9-]+/g, "-")}.json`);
  await mkdir(folder, { recursive: true });
  await writeFile(file, JSON.stringify(exportOf(runId, records)));
  try {
    const result = await ingestBatch(ctx, { runId, archive: `telegram:${file}` });
    const rows = await ctx.sql<(Omit<QuerySubject, "from" | "to"> & { sentAt: Date })[]>`
      select m.id::float8 as "messageId", m.source_id as "sourceId", m.user_id::float8 as "userId",
        u.source_id as "userSourceId", m.conversation_id::float8 as "conversationId",
        c.source_id as "conversationSourceId", m.sent_at as "sentAt"
      from archive.messages m
      join archive.users u on u.id = m.user_id
      join archive.conversations c on c.id = m.conversation_id
      where m.run_id = ${runId} order by m.id`;
    const subjects = rows.slice(-SUBJECTS).map(({ sentAt, ...subject }) => ({
      ...subject,
      from: new Date(sentAt.getTime() - 3_600_000),
      to: new Date(sentAt.getTime() + 3_600_000),
    }));
    return { runId, result, records, ids: rows.map((row) => String(row.messageId)), subjects };
  } finally {
    await rm(file, { force: true });
  }
}

/** A minute apart from the start of 2024, so that the order of time is the order of ids. */
function exportOf(runId: string, records: readonly ExtraMessage[]) {
  const startSeconds = Date.UTC(2024, 0, 1) / 1_000;
  return {
    name: "Integration test",
    type: "personal_chat",
    id: runId,
    messages: records.map(({ content }, index) => ({
      id: index + 1,
      type: "message",
      date_unixtime: String(startSeconds + index * 60),
      from: "TESTBED",
      from_id: runId,
      text: content.toString("utf8"),
    })),
  };
}

export function extraRunId(ctx: AgentContext, name: string): string {
  return `${ctx.idempotencyKey}/${name}`;
}

/** Runs the engine over what it has not seen, as for any new message. */
export function deduplicate(ctx: AgentContext, settings: DedupSettings) {
  return deduplicateArchive(ctx.sql, {
    settings,
    redisUrl: ctx.host.redisUrl,
    signal: ctx.signal,
    onProgress: async ({ done, total }) => {
      ctx.heartbeat({ done, total, message: "deduplicating" });
    },
  });
}

/** Removes the messages of a run and what deduplication knows of them. Idempotent. */
export function removeExtra(ctx: AgentContext, name: string): Promise<void> {
  return removeRun(ctx.sql, extraRunId(ctx, name));
}
