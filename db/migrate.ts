/**
 * Brings a database to the schema that this code expects, behind an advisory lock.
 *
 * @module
 */

import { readFile } from "node:fs/promises";
import { drizzle } from "drizzle-orm/postgres-js";
import { migrate } from "drizzle-orm/postgres-js/migrator";
import { type DatabaseTarget, openSql } from "./client.ts";

/** Any constant of our own: nodes that start together take turns. */
const migrationLock = 7_305_501;
const oldestServer = 150_000;

export class MigrationError extends Error {
  override readonly name = "MigrationError";
  readonly code: "DATABASE_NEWER" | "DATABASE_TOO_OLD";
  readonly retryable = false;

  constructor(code: MigrationError["code"], message: string) {
    super(message);
    this.code = code;
  }
}

/**
 * Applies what is missing. Nodes that start together do not collide; a killed migration is rolled
 * back, because drizzle applies all of them in one transaction.
 *
 * @param folder Folder of the generated migrations, with its `meta/_journal.json`.
 * @returns The server's version, such as `18.4`.
 * @throws {MigrationError} When the server is older than PostgreSQL 15, or the database was
 *   migrated by newer code.
 */
export async function migrateDatabase(target: DatabaseTarget, folder: string): Promise<string> {
  const sql = openSql(target, { name: "spectra-migrate", max: 1 });
  try {
    const [server] = await sql<{ number: number; version: string }[]>`
      select current_setting('server_version_num')::int as number,
             split_part(current_setting('server_version'), ' ', 1) as version`;
    if (server === undefined || server.number < oldestServer) {
      throw new MigrationError(
        "DATABASE_TOO_OLD",
        `Cannot use this database: it runs PostgreSQL ${server?.version ?? "of unknown version"}, 15 or newer is needed`,
      );
    }
    await sql`select pg_advisory_lock(${migrationLock})`;
    await refuseNewer(sql, folder);
    await migrate(drizzle(sql), { migrationsFolder: folder, migrationsSchema: "spectra" });
    return server.version;
  } finally {
    // Ends the session, and with it the advisory lock.
    await sql.end({ timeout: 2 });
  }
}

async function refuseNewer(sql: ReturnType<typeof openSql>, folder: string): Promise<void> {
  const journal = JSON.parse(await readFile(`${folder}/meta/_journal.json`, "utf8")) as {
    entries: { when: number; tag: string }[];
  };
  const newest = journal.entries.at(-1);
  const [ledger] = await sql<{ exists: boolean }[]>`
    select to_regclass('spectra.__drizzle_migrations') is not null as exists`;
  if (newest === undefined || ledger?.exists !== true) return;
  const [applied] = await sql<{ at: string | null }[]>`
    select max(created_at)::text as at from spectra.__drizzle_migrations`;
  if (Number(applied?.at ?? 0) > newest.when) {
    throw new MigrationError(
      "DATABASE_NEWER",
      `Cannot use this database: a newer SPECTRA has migrated it past "${newest.tag}". Start that version, or name another database`,
    );
  }
}
