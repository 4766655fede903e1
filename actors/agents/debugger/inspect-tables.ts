/**
 * DEBUGGER.inspect_tables: counts and measures tables, and says what is odd about them.
 *
 * @module
 */

import { z } from "zod";
import { AgentError } from "../../../machines/error-code.ts";
import { capability } from "../../define-agent.ts";

export const tableFactsSchema = z.object({
  name: z.string(),
  rows: z.number(),
  sizeBytes: z.number(),
  deadRows: z.number(),
  sequentialScans: z.number(),
  indexScans: z.number(),
  remarks: z.array(z.string()),
});

type TableFacts = z.infer<typeof tableFactsSchema>;
type Statistics = Omit<TableFacts, "name" | "rows" | "remarks">;

export const inspectTables = capability({
  description: "Counts the rows of tables and reads their size and how they are used",
  input: z.object({
    /** As `schema.table`. */
    tables: z.array(z.string().regex(/^[a-z_][a-z0-9_]*\.[a-z_][a-z0-9_]*$/)).max(200),
  }),
  output: z.object({ tables: z.array(tableFactsSchema) }),
  async run(ctx, { tables }) {
    const facts: TableFacts[] = [];
    for (const name of tables) {
      ctx.signal.throwIfAborted();
      const [statistics] = await ctx.sql<Statistics[]>`
        select pg_total_relation_size(relid)::float8 as "sizeBytes", n_dead_tup::float8 as "deadRows",
          seq_scan::float8 as "sequentialScans", coalesce(idx_scan, 0)::float8 as "indexScans"
        from pg_stat_user_tables where relid = to_regclass(${name})`;
      if (statistics === undefined) {
        throw new AgentError("TABLE_UNKNOWN", `Cannot inspect "${name}": there is no such table`);
      }
      const [counted] = await ctx.sql<{ rows: number }[]>`
        select count(*)::float8 as rows from ${ctx.sql(name)}`;
      const rows = counted?.rows ?? 0;
      facts.push({ name, rows, ...statistics, remarks: remarksOn(rows, statistics) });
      ctx.heartbeat({ done: facts.length, total: tables.length });
    }
    return { tables: facts };
  },
});

function remarksOn(rows: number, { deadRows, sequentialScans, indexScans }: Statistics): string[] {
  const remarks: string[] = [];
  if (deadRows > 1_000 && deadRows > rows / 5) {
    remarks.push(`${deadRows} dead rows on ${rows} live ones: vacuum is behind`);
  }
  if (rows > 10_000 && sequentialScans > indexScans) {
    remarks.push(
      `${sequentialScans} sequential scans, ${indexScans} by index: an index is missing`,
    );
  }
  return remarks;
}
