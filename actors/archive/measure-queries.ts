/**
 * Times the declared read queries on the target, and a full scan of the source for the same answers.
 *
 * @module
 */

import type { Sql } from "postgres";
import { z } from "zod";
import { AgentError } from "../../machines/error-code.ts";
import { type DeclaredQuery, declaredQueries, type QuerySubject } from "./queries.ts";
import type { ArchiveSource } from "./source-contract.ts";

/** Durations in ms by nearest rank; `perSecond` counts rows that came back. */
export const timingSchema = z.object({
  runs: z.number(),
  p50Ms: z.number(),
  p95Ms: z.number(),
  p99Ms: z.number(),
  rows: z.number(),
  rowsPerSecond: z.number(),
});

export type Timing = z.infer<typeof timingSchema>;

export const queryTimingSchema = timingSchema.extend({
  name: z.string(),
  weight: z.enum(["light", "medium", "heavy"]),
});

export type QueryTiming = z.infer<typeof queryTimingSchema>;

export interface MeasureOptions {
  readonly signal: AbortSignal;
  readonly clock: { monotonicMs(): number };
  /** Per query; at least `minRuns` are made whatever they take. */
  readonly budgetMs: number;
}

const minRuns = 5;
const maxRuns: Readonly<Record<DeclaredQuery["weight"], number>> = {
  light: 300,
  medium: 150,
  heavy: 60,
};
const subjectCount = 20;

/**
 * Subjects that are spread evenly over the archive's messages.
 *
 * @throws {AgentError} `ARCHIVE_EMPTY` When there is no message with a sender.
 */
export async function chooseSubjects(sql: Sql): Promise<readonly QuerySubject[]> {
  const rows = await sql<
    {
      id: string;
      source_id: string;
      user_id: string;
      user_source_id: string;
      conversation_id: string;
      conversation_source_id: string;
      sent_at: Date;
    }[]
  >`
    with numbered as (
      select *, row_number() over (order by id) as nth, count(*) over () as total
      from archive.messages where user_id is not null)
    select n.id, n.source_id, n.user_id, u.source_id as user_source_id, n.conversation_id,
      c.source_id as conversation_source_id, n.sent_at
    from numbered n join archive.users u on u.id = n.user_id
    join archive.conversations c on c.id = n.conversation_id
    where n.nth % greatest(n.total / ${subjectCount}, 1) = 0 order by n.id limit ${subjectCount}`;
  if (rows.length === 0) {
    throw new AgentError(
      "ARCHIVE_EMPTY",
      "Cannot measure queries: the archive holds no message with a sender",
    );
  }
  return rows.map((row) => ({
    messageId: Number(row.id),
    sourceId: row.source_id,
    userId: Number(row.user_id),
    userSourceId: row.user_source_id,
    conversationId: Number(row.conversation_id),
    conversationSourceId: row.conversation_source_id,
    from: new Date(row.sent_at.getTime() - 7 * 86_400_000),
    to: new Date(row.sent_at.getTime() + 7 * 86_400_000),
  }));
}

/** Every declared query over all subjects in turn; one query at a time, on one connection. */
export async function measureQueries(
  sql: Sql,
  subjects: readonly QuerySubject[],
  options: MeasureOptions,
): Promise<QueryTiming[]> {
  const timings: QueryTiming[] = [];
  for (const query of declaredQueries) {
    let run = 0;
    const timing = await measure(maxRuns[query.weight], options, async () => {
      const subject = subjects[run % subjects.length];
      run += 1;
      if (subject === undefined) return 0;
      return (await sql.unsafe(query.sql, [...query.parameters(subject)], { prepare: true }))
        .length;
    });
    timings.push({ name: query.name, weight: query.weight, ...timing });
  }
  return timings;
}

/** Runs `once` (which returns its rows) until the budget or `limit` is used up; the first run warms up. */
export async function measure(
  limit: number,
  { signal, clock, budgetMs }: MeasureOptions,
  once: () => Promise<number>,
): Promise<Timing> {
  await once();
  const durations: number[] = [];
  let rows = 0;
  const startedMs = clock.monotonicMs();
  while (durations.length < limit) {
    signal.throwIfAborted();
    const beforeMs = clock.monotonicMs();
    if (durations.length >= minRuns && beforeMs - startedMs >= budgetMs) break;
    rows += await once();
    durations.push(clock.monotonicMs() - beforeMs);
  }
  const totalMs = durations.reduce((sum, duration) => sum + duration, 0);
  durations.sort((a, b) => a - b);
  return {
    runs: durations.length,
    p50Ms: percentile(durations, 50),
    p95Ms: percentile(durations, 95),
    p99Ms: percentile(durations, 99),
    rows,
    rowsPerSecond: totalMs === 0 ? 0 : Math.round(rows / (totalMs / 1_000)),
  };
}

/** Nearest rank of an ascending list, in ms with three decimals. */
export function percentile(ascending: readonly number[], percent: number): number {
  const rank = Math.max(0, Math.ceil((percent / 100) * ascending.length) - 1);
  return Math.round((ascending[rank] ?? 0) * 1_000) / 1_000;
}

export const sourceScanSchema = z.object({
  scanMs: z.number(),
  records: z.number(),
  /** Records of the source that belong to the answer of each query, for the first subject. */
  matches: z.record(z.string(), z.number()),
});

export type SourceScan = z.infer<typeof sourceScanSchema>;

/**
 * Reads the whole source once and answers all declared queries along the way. Deciding takes microseconds
 * a record, so that the time of the pass is the time that each query alone would take.
 */
export async function scanSource(
  source: ArchiveSource,
  subject: QuerySubject,
  options: Pick<MeasureOptions, "signal" | "clock">,
): Promise<SourceScan> {
  const matches = new Map(declaredQueries.map(({ name }) => [name, 0]));
  const startedMs = options.clock.monotonicMs();
  let records = 0;
  for await (const entry of source.read()) {
    if (entry.type === "reject") continue;
    records += 1;
    if (records % 1_000 === 0) options.signal.throwIfAborted();
    for (const query of declaredQueries) {
      if (!query.matches(entry, subject)) continue;
      matches.set(query.name, (matches.get(query.name) ?? 0) + 1);
    }
  }
  const scanMs = Math.round((options.clock.monotonicMs() - startedMs) * 1_000) / 1_000;
  return { scanMs, records, matches: Object.fromEntries(matches) };
}
