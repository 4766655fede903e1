/**
 * OPTIMIZER.establish_performance_baseline: what the archive's reads and writes cost before anything is tuned.
 *
 * @module
 */

import type { Sql } from "postgres";
import { z } from "zod";
import { databaseError } from "../../archive/database-error.ts";
import {
  chooseSubjects,
  type MeasureOptions,
  measureQueries,
  queryTimingSchema,
  scanSource,
  sourceScanSchema,
} from "../../archive/measure-queries.ts";
import { measureWrites, writeTimingSchema } from "../../archive/measure-writes.ts";
import { openSource } from "../../archive/source.ts";
import { capability } from "../../define-agent.ts";

/** Six queries and three writes: about 2 s in all. */
const budgetMs = 220;

export const establishPerformanceBaseline = capability({
  description:
    "times light, medium and heavy reads and writes on the target, and a full scan of the source for the same answers",
  input: z.object({ archive: z.string() }),
  output: z.object({
    /** `speedup`: time of the scan over the query's median. */
    reads: z.array(queryTimingSchema.extend({ speedup: z.number() })),
    writes: z.array(writeTimingSchema),
    sourceScan: sourceScanSchema,
    /** Of the slowest query: what the criterion `read_speedup` asks for. */
    readSpeedup: z.number(),
    size: z.object({
      messages: z.number(),
      tableBytes: z.number(),
      bodyTableBytes: z.number(),
      bodyBytes: z.number(),
      bytesPerRow: z.number(),
    }),
    durationMs: z.number(),
  }),
  async run(ctx, { archive }) {
    const startedMs = ctx.clock.monotonicMs();
    const options: MeasureOptions = { signal: ctx.signal, clock: ctx.clock, budgetMs };
    const source = await openSource(archive);
    try {
      const subjects = await chooseSubjects(ctx.sql);
      const [subject] = subjects;
      ctx.heartbeat({ percent: 5, message: "measuring reads" });
      const timings = await measureQueries(ctx.sql, subjects, options);
      ctx.heartbeat({ percent: 60, message: "measuring writes" });
      const writes = await measureWrites(ctx.sql, options);
      ctx.heartbeat({ percent: 80, message: "scanning the source" });
      if (subject === undefined)
        throw new TypeError("Cannot scan the source: no subject was chosen");
      const sourceScan = await scanSource(source, subject, options);
      const reads = timings.map((timing) => ({
        ...timing,
        speedup: round(sourceScan.scanMs / Math.max(timing.p50Ms, 0.001)),
      }));
      return {
        reads,
        writes,
        sourceScan,
        readSpeedup: Math.min(...reads.map(({ speedup }) => speedup)),
        size: await measureSize(ctx.sql),
        durationMs: Math.round(ctx.clock.monotonicMs() - startedMs),
      };
    } catch (error) {
      throw databaseError("measure the archive's performance", error);
    } finally {
      source.close();
    }
  },
});

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

interface Size {
  messages: number;
  tableBytes: number;
  bodyTableBytes: number;
  bodyBytes: number;
  bytesPerRow: number;
}

async function measureSize(sql: Sql): Promise<Size> {
  const [row] = await sql<
    { messages: string; table_bytes: string; body_table_bytes: string; body_bytes: string }[]
  >`
    select count(*) as messages, coalesce(sum(body_bytes), 0) as body_bytes,
      (select sum(pg_total_relation_size(relid)) from pg_partition_tree('archive.messages')) as table_bytes,
      pg_total_relation_size('archive.bodies') as body_table_bytes
    from archive.messages`;
  const messages = Number(row?.messages ?? 0);
  const tableBytes = Number(row?.table_bytes ?? 0);
  const bodyTableBytes = Number(row?.body_table_bytes ?? 0);
  return {
    messages,
    tableBytes,
    bodyTableBytes,
    bodyBytes: Number(row?.body_bytes ?? 0),
    bytesPerRow: messages === 0 ? 0 : Math.round((tableBytes + bodyTableBytes) / messages),
  };
}
