/**
 * Checks of single paths through a live archive, on copies of real messages that were ingested for it.
 *
 * @module
 */

import type { Sql } from "postgres";
import { readBodies } from "../../archive/body-store.ts";
import { percentile } from "../../archive/percentile.ts";
import { declaredQueries, type QuerySubject } from "../../archive/queries.ts";
import type { AgentContext } from "../../ports.ts";
import type { Finding } from "./check.ts";
import type { ExtraMessages } from "./extra-messages.ts";

/** With the writer three connections; the fourth of the action is for the killed transaction. */
const READERS = 2;
const READS_PER_READER = 225;

/** Every extra body must come back byte for byte as it was given. */
export async function checkRead(sql: Sql, extra: ExtraMessages): Promise<Finding> {
  const found = await readBodies(sql, extra.ids);
  let sizeBytes = 0;
  const wrong = extra.ids.filter((id, index) => {
    const body = found.get(id);
    const expected = extra.records[index]?.content;
    sizeBytes += body?.byteLength ?? 0;
    return body === undefined || expected === undefined || !Buffer.from(body).equals(expected);
  });
  const figures = { read: found.size, sizeBytes, wrong: wrong.length };
  return {
    figures,
    problem:
      wrong.length === 0
        ? undefined
        : `bodies of ${wrong.slice(0, 5).join(", ")} are not what was given`,
  };
}

/** Each declared query about an extra message must find it. */
export async function checkSearch(sql: Sql, extra: ExtraMessages): Promise<Finding> {
  const missed: string[] = [];
  let queries = 0;
  let rowsFound = 0;
  for (const subject of extra.subjects) {
    for (const query of declaredQueries) {
      const rows = await sql.unsafe<Record<string, unknown>[]>(query.sql, [
        ...query.parameters(subject),
      ]);
      queries += 1;
      rowsFound += rows.length;
      // Answers without message ids are sums over everything: they must at least not be empty.
      const named = rows.filter((row) => row["id"] !== undefined);
      const answers =
        named.length === 0 ? rows.length > 0 : named.some((row) => isAbout(row, subject));
      if (!answers) missed.push(`${query.name} of ${subject.sourceId}`);
    }
  }
  const problem = missed.length === 0 ? undefined : `not found: ${missed.slice(0, 5).join("; ")}`;
  return { figures: { queries, rows: rowsFound, missed: missed.length }, problem };
}

function isAbout(row: Record<string, unknown>, subject: QuerySubject): boolean {
  return Number(row["id"]) === subject.messageId;
}

/** Readers at full speed while a writer ingests and removes: nobody fails, nobody reads half a message. */
export async function checkConcurrentLoad(
  ctx: AgentContext,
  write: () => Promise<number>,
): Promise<Finding> {
  const [range] = await ctx.sql<{ ids: string[] | null }[]>`
    select array_agg(id::text) as ids from (
      select id from archive.messages m order by md5(m.id::text) limit ${READS_PER_READER}) as picked`;
  const ids = range?.ids ?? [];
  if (ids.length === 0) return { figures: {}, problem: "the archive is empty" };
  const latenciesMs: number[] = [];
  let torn = 0;
  const reader = async (offset: number) => {
    for (let index = 0; index < READS_PER_READER; index += 1) {
      ctx.signal.throwIfAborted();
      const id = ids[(index + offset) % ids.length] ?? "";
      const startMs = ctx.clock.monotonicMs();
      const [row] = await ctx.sql<{ bodies: number }[]>`
        select count(b.message_id)::int + count(c.message_id)::int as bodies
        from archive.messages m left join archive.bodies b on b.message_id = m.id
        left join archive.compressed_bodies c on c.message_id = m.id where m.id = ${id}`;
      latenciesMs.push(ctx.clock.monotonicMs() - startMs);
      if (row === undefined || row.bodies < 1) torn += 1;
    }
  };
  const startMs = ctx.clock.monotonicMs();
  const readers = Array.from({ length: READERS }, (_, index) => reader(index * 31));
  const [written] = await Promise.all([write(), ...readers]);
  const seconds = (ctx.clock.monotonicMs() - startMs) / 1_000;
  const figures = {
    reads: latenciesMs.length,
    readsPerSecond: latenciesMs.length / seconds,
    p50Ms: percentile(latenciesMs, 0.5),
    p95Ms: percentile(latenciesMs, 0.95),
    written,
    torn,
  };
  return {
    figures,
    problem: torn === 0 ? undefined : `${torn} reads met a message without a body`,
  };
}
