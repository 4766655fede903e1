/**
 * Times committed writes of three sizes in scratch tables that are like the archive's own.
 *
 * @module
 */

import type { Sql } from "postgres";
import { z } from "zod";
import { type MeasureOptions, measure, timingSchema } from "./measure-queries.ts";
import { transaction } from "./transaction.ts";

export const writeTimingSchema = timingSchema.extend({
  name: z.string(),
  weight: z.enum(["light", "medium", "heavy"]),
  rowsPerWrite: z.number(),
});

export type WriteTiming = z.infer<typeof writeTimingSchema>;

const workloads = [
  { name: "insert_message", weight: "light", rowsPerWrite: 1, maxRuns: 100 },
  { name: "insert_page", weight: "medium", rowsPerWrite: 100, maxRuns: 40 },
  { name: "insert_batch", weight: "heavy", rowsPerWrite: 1_000, maxRuns: 10 },
] as const;

const scratchTables = "archive.baseline_messages, archive.baseline_bodies";

/** Messages with bodies, copied from real ones; every write is its own commit. Leaves nothing behind. */
export async function measureWrites(sql: Sql, options: MeasureOptions): Promise<WriteTiming[]> {
  await sql.unsafe(`drop table if exists ${scratchTables}`);
  try {
    await sql`create table archive.baseline_messages (like archive.messages including indexes)`;
    await sql`create table archive.baseline_bodies (like archive.bodies including all)`;
    const [newest] = await sql<{ id: string }[]>`
      select coalesce(max(id), 0) as id from archive.messages`;
    let next = Number(newest?.id ?? 0);
    const timings: WriteTiming[] = [];
    for (const { name, weight, rowsPerWrite, maxRuns } of workloads) {
      const timing = await measure(maxRuns, options, async () => {
        const base = next;
        next += rowsPerWrite;
        return writeRows(sql, base, rowsPerWrite);
      });
      timings.push({ name, weight, rowsPerWrite, ...timing });
    }
    return timings;
  } finally {
    await sql.unsafe(`drop table if exists ${scratchTables}`);
  }
}

/** Returns how many messages were written: fewer than asked for when the archive is smaller. */
async function writeRows(sql: Sql, base: number, count: number): Promise<number> {
  return transaction(sql, async (tx) => {
    const written = await tx`
      insert into archive.baseline_messages
      select row_number() over () + ${base}::bigint, conversation_id, source_id, sent_at, edited_at, kind,
        user_id, media_id, reply_to, body_bytes, body_sha256, batch, run_id
      from archive.messages limit ${count} returning id`;
    await tx`
      insert into archive.baseline_bodies
      select row_number() over () + ${base}::bigint, raw from archive.bodies limit ${count}`;
    return written.length;
  });
}
