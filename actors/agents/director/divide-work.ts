/**
 * DIRECTOR.divide_work: gives each worker an equal share of a schema's tables, by size.
 *
 * @module
 */

import { z } from "zod";
import { AgentError } from "../../../machines/error-code.ts";
import { capability } from "../../define-agent.ts";

export const divideWork = capability({
  description: "Lists the tables of a schema and divides them among workers, largest first",
  input: z.object({
    schema: z.string().regex(/^[a-z_][a-z0-9_]*$/),
    workers: z.number().int().min(1).max(16),
  }),
  output: z.object({
    tables: z.number(),
    /** `schema.table` names by `worker1`, `worker2`, … */
    shares: z.record(z.string(), z.array(z.string())),
    /** The same as a list, for a task per worker. */
    parts: z.array(z.object({ worker: z.string(), tables: z.array(z.string()) })),
  }),
  async run(ctx, { schema, workers }) {
    const tables = await ctx.sql<{ name: string; sizeBytes: number }[]>`
      select schemaname || '.' || relname as name, pg_total_relation_size(relid)::float8 as "sizeBytes"
      from pg_stat_user_tables where schemaname = ${schema}
      order by 2 desc, 1 limit ${MAX_TABLES}`;
    if (tables.length === 0) {
      throw new AgentError(
        "SCHEMA_EMPTY",
        `Cannot divide the schema "${schema}": it has no tables`,
      );
    }
    const shares = Array.from({ length: workers }, (_, index) => ({
      worker: `worker${index + 1}`,
      sizeBytes: 0,
      tables: new Array<string>(),
    }));
    for (const { name, sizeBytes } of tables) {
      // The largest table left goes to whoever has least so far (Graham 1969).
      const least = shares.reduce((a, b) => (b.sizeBytes < a.sizeBytes ? b : a));
      least.tables.push(name);
      least.sizeBytes += sizeBytes;
    }
    return {
      tables: tables.length,
      shares: Object.fromEntries(shares.map((share) => [share.worker, share.tables])),
      parts: shares.map((share) => ({ worker: share.worker, tables: share.tables })),
    };
  },
});

const MAX_TABLES = 500;
