/**
 * The sample archive, migrated for real into a test database.
 *
 * @module
 */

import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { rename } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Sql } from "postgres";
import { executeSchemaMigration } from "../../actors/agents/database/execute-schema-migration.ts";
import type { MigrationResult } from "../../actors/archive/migrate.ts";
import { profileArchive } from "../../actors/archive/profile.ts";
import {
  buildSampleArchive,
  readCorpus,
  sampleGroups,
  writeTgarchive,
} from "../../actors/archive/sample.ts";
import { openSource } from "../../actors/archive/source.ts";
import { designTarget } from "../../actors/archive/target-design.ts";
import { createAgentContext } from "./agent-context.ts";

export interface MigratedArchive {
  readonly archiveUrl: string;
  readonly runId: string;
  readonly migrated: number;
}

/** Built once per machine and user; tests only read it. */
export function sampleUrl(): Promise<string> {
  return buildSampleArchive(join(tmpdir(), `spectra-sample-${process.getuid?.() ?? 0}`));
}

/** The first `limit` mails of the sample, the same share of every group, as a database of their own. */
export async function smallSampleUrl(limit: number): Promise<string> {
  const folder = join(tmpdir(), `spectra-sample-${process.getuid?.() ?? 0}`);
  const path = join(folder, `sample-${limit}.sqlite`);
  if (!existsSync(path)) {
    await sampleUrl();
    const draft = `${path}.${randomBytes(6).toString("hex")}.tmp`;
    await writeTgarchive(draft, takeCorpus(limit));
    await rename(draft, path);
  }
  return `sqlite:${path}`;
}

/** The first mails of every group, `limit` in all. */
export async function* takeCorpus(limit: number): ReturnType<typeof readCorpus> {
  const counts = new Map<string, number>();
  const each = Math.floor(limit / sampleGroups.length);
  const more = limit % sampleGroups.length;
  for await (const mail of readCorpus()) {
    const seen = counts.get(mail.group) ?? 0;
    if (seen >= each + (sampleGroups.indexOf(mail.group) < more ? 1 : 0)) continue;
    counts.set(mail.group, seen + 1);
    yield mail;
  }
}

/** Creates the tables for the sample (or its first `limit` mails) and runs the real migration. */
export async function migrateSample(
  sql: Sql,
  options: { limit?: number } = {},
): Promise<MigratedArchive> {
  const archiveUrl =
    options.limit === undefined ? await sampleUrl() : await smallSampleUrl(options.limit);
  const result = await migrateUrl(sql, archiveUrl);
  return { archiveUrl, runId: result.runId, migrated: result.migrated };
}

/** Profiles `archiveUrl`, designs the tables, and runs the real migration. */
export async function migrateUrl(
  sql: Sql,
  archiveUrl: string,
  overrides: Parameters<typeof createAgentContext>[1] = {},
): Promise<MigrationResult> {
  const ctx = createAgentContext(sql, overrides);
  const source = await openSource(archiveUrl);
  const profile = await profileArchive(source, {
    signal: ctx.signal,
    clock: ctx.clock,
    onRead: () => undefined,
  });
  source.close();
  const { ddl } = designTarget(profile);
  const input = executeSchemaMigration.input.parse({ archive: archiveUrl, ddl });
  return (await executeSchemaMigration.run(ctx, input)) as MigrationResult;
}
