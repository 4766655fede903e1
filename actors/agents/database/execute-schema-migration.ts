/**
 * DATABASE.execute_schema_migration: applies the designed DDL and moves the archive into it.
 *
 * @module
 */

import type { Sql } from "postgres";
import { z } from "zod";
import { databaseError } from "../../archive/database-error.ts";
import { migrateArchive } from "../../archive/migrate.ts";
import { removeRun } from "../../archive/migration-run.ts";
import { transaction } from "../../archive/transaction.ts";
import { capability } from "../../define-agent.ts";

export const executeSchemaMigration = capability({
  description:
    "streams the source into PostgreSQL with COPY in checkpointed batches, then verifies counts, references and every body",
  input: z.object({
    archive: z.string(),
    ddl: z.array(z.string()).min(1),
    batchSize: z.number().int().min(1).max(100_000).default(10_000),
    loaders: z.number().int().min(1).max(4).default(4),
  }),
  output: z.object({
    runId: z.string(),
    read: z.number(),
    migrated: z.number(),
    rejected: z.number(),
    batches: z.number(),
    bytes: z.number(),
    resumedFrom: z.number(),
    rejects: z.record(z.string(), z.number()),
    checksumsVerified: z.number(),
    loadMs: z.number(),
    durationMs: z.number(),
    rowsPerSecond: z.number(),
    remarks: z.array(z.string()).readonly(),
  }),
  connections: 4,
  async run(ctx, input) {
    await applyDdl(ctx.sql, input.ddl);
    return migrateArchive(ctx, {
      runId: ctx.idempotencyKey,
      archive: input.archive,
      batchSize: input.batchSize,
      loaders: input.loaders,
      replace: true,
    });
  },
  async compensate(ctx) {
    await removeRun(ctx.sql, ctx.idempotencyKey);
  },
});

/** Key of the advisory lock that keeps two sessions from creating the same tables at once. */
const ddlLock = 7_205_601;

/** All statements or none. */
async function applyDdl(sql: Sql, ddl: readonly string[]): Promise<void> {
  try {
    await transaction(sql, async (tx) => {
      await tx`select pg_advisory_xact_lock(${ddlLock})`;
      for (const statement of ddl) await tx.unsafe(statement);
    });
  } catch (error) {
    throw databaseError("create the tables of the archive", error);
  }
}
