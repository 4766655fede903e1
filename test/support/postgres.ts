/**
 * A database of its own for each test file, on a real PostgreSQL server.
 *
 * @module
 */

import { randomBytes } from "node:crypto";
import postgres, { type Sql } from "postgres";

/** The server of this test run: set by the global set-up, or by hand. */
export function serverUrl(): string {
  const url = process.env["SPECTRA_TEST_DATABASE_URL"];
  if (url === undefined) {
    throw new Error("Cannot test against Postgres: SPECTRA_TEST_DATABASE_URL is not set");
  }
  return url;
}

export interface TestDatabase {
  readonly url: string;
  readonly sql: Sql;
  drop(): Promise<void>;
}

/** Creates an empty database. `drop` closes `sql` and removes the database, whoever is connected. */
export async function createTestDatabase(): Promise<TestDatabase> {
  const name = `spectra_test_${randomBytes(6).toString("hex")}`;
  const admin = postgres(serverUrl(), { max: 1, onnotice: () => undefined });
  await admin.unsafe(`create database ${name}`);
  const url = new URL(serverUrl());
  url.pathname = `/${name}`;
  const sql = postgres(url.href, { max: 4, onnotice: () => undefined });
  return {
    url: url.href,
    sql,
    drop: async () => {
      await sql.end({ timeout: 1 });
      await admin.unsafe(`drop database if exists ${name} with (force)`);
      await admin.end({ timeout: 1 });
    },
  };
}
