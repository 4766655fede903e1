/**
 * Adds a small further source to the live archive.
 *
 * @module
 */

import { type MigrationHost, type MigrationResult, migrateArchive } from "./migrate.ts";

/**
 * Migrates `archive` behind what is there: its ids start after the newest one, months without a partition
 * go to the default one, and earlier runs of the same source stay. The same `runId` adds nothing twice.
 * Needs one connection.
 *
 * @throws {AgentError} As `migrateArchive`.
 */
export function ingestBatch(
  host: MigrationHost,
  options: { readonly runId: string; readonly archive: string },
): Promise<MigrationResult> {
  return migrateArchive(host, { ...options, batchSize: 1_000, loaders: 1, replace: false });
}
