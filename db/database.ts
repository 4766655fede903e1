/**
 * The Drizzle handle that all repos share.
 *
 * @module
 */

import { drizzle, type PostgresJsDatabase } from "drizzle-orm/postgres-js";
import type { Sql } from "postgres";
import { type DatabaseTarget, openSql } from "./client.ts";

/** Connections of a node for its own tables. Agents and queue have their own. */
export const nodeConnections = 3;

export type Database = PostgresJsDatabase;

export interface OpenDatabase {
  readonly db: Database;
  /** Drizzle sets this client's date parsers: timestamps arrive as text, so queries cast to epoch ms. */
  readonly sql: Sql;
  close(): Promise<void>;
}

export function openDatabase(target: DatabaseTarget): OpenDatabase {
  const sql = openSql(target, {
    name: "spectra-node",
    max: nodeConnections,
    statementTimeoutMs: 30_000,
  });
  return { db: drizzle(sql), sql, close: () => sql.end({ timeout: 2 }) };
}
