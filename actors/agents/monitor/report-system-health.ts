/**
 * MONITOR.report_system_health: figures of the database server and of this process, with warnings.
 *
 * @module
 */

import { availableParallelism, freemem, loadavg, totalmem } from "node:os";
import { performance } from "node:perf_hooks";
import { z } from "zod";
import { capability } from "../../define-agent.ts";

/** The seed's bound on sustained use. */
const MAX_USE = 0.8;

const databaseSchema = z.object({
  sizeBytes: z.number(),
  connections: z.number(),
  maxConnections: z.number(),
  commits: z.number(),
  rollbacks: z.number(),
  deadlocks: z.number(),
  cacheHitRatio: z.number().nullable(),
  oldestTransactionMs: z.number(),
  tempBytes: z.number(),
});

export const reportSystemHealth = capability({
  description: "Reads the server's statistics and the process's figures, and warns above 80 % use",
  input: z.object({}),
  output: z.object({
    database: databaseSchema,
    process: z.object({
      residentBytes: z.number(),
      heapBytes: z.number(),
      uptimeMs: z.number(),
      eventLoopUse: z.number(),
    }),
    machine: z.object({ cores: z.number(), load: z.number(), memoryUse: z.number() }),
    warnings: z.array(z.string()),
  }),
  async run(ctx) {
    const [database] = await ctx.sql<z.infer<typeof databaseSchema>[]>`
      select pg_database_size(current_database())::float8 as "sizeBytes",
        (select count(*) from pg_stat_activity)::float8 as connections,
        current_setting('max_connections')::float8 as "maxConnections",
        xact_commit::float8 as commits, xact_rollback::float8 as rollbacks, deadlocks::float8,
        blks_hit::float8 / nullif(blks_hit + blks_read, 0) as "cacheHitRatio",
        (select coalesce(max(extract(epoch from clock_timestamp() - xact_start) * 1000), 0)
          from pg_stat_activity where datname = current_database())::float8 as "oldestTransactionMs",
        temp_bytes::float8 as "tempBytes"
      from pg_stat_database where datname = current_database()`;
    if (database === undefined)
      throw new Error("Cannot report health: the server has no statistics");
    const cores = availableParallelism();
    const [load = 0] = loadavg();
    const machine = { cores, load, memoryUse: 1 - freemem() / totalmem() };
    const { rss, heapUsed } = process.memoryUsage();
    return {
      database,
      process: {
        residentBytes: rss,
        heapBytes: heapUsed,
        uptimeMs: process.uptime() * 1_000,
        eventLoopUse: performance.eventLoopUtilization().utilization,
      },
      machine,
      warnings: [
        ...warnAbove("Postgres connections", database.connections / database.maxConnections),
        ...warnAbove("memory", machine.memoryUse),
        ...warnAbove("processor", load / cores),
      ],
    };
  },
});

function warnAbove(what: string, use: number): string[] {
  return use > MAX_USE ? [`${what}: ${Math.round(use * 100)} % in use`] : [];
}
