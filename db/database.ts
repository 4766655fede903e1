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
  /** What arrives on channels that a connection of the pool listens on. */
  readonly notices: { subscribe(listener: NoticeListener): () => void };
  close(): Promise<void>;
}

export type NoticeListener = (channel: string, payload: string) => void;

export function openDatabase(target: DatabaseTarget): OpenDatabase {
  const listeners = new Set<NoticeListener>();
  const sql = openSql(target, {
    name: "spectra-node",
    max: nodeConnections,
    statementTimeoutMs: 30_000,
    onNotify: (channel, payload) => {
      for (const listener of listeners) listener(channel, payload);
    },
  });
  return {
    db: drizzle(sql),
    sql,
    notices: {
      subscribe: (listener) => {
        listeners.add(listener);
        return () => void listeners.delete(listener);
      },
    },
    close: () => sql.end({ timeout: 2 }),
  };
}
