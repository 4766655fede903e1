/**
 * Opens postgres.js clients, with the time limits that every client of ours has.
 *
 * @module
 */

import postgres, { type Sql } from "postgres";

/** Where the server is; structured-cloneable, so that agent threads can open their own clients. */
export type DatabaseTarget =
  | { readonly type: "url"; readonly url: string }
  | {
      readonly type: "socket";
      /** Folder of the unix socket `.s.PGSQL.<port>`. */
      readonly socketDir: string;
      readonly port: number;
      readonly user: string;
      readonly password: string;
      readonly database: string;
    };

export interface SqlOptions {
  /** Shown in `pg_stat_activity`. */
  readonly name: string;
  /** Connections at most. */
  readonly max: number;
  /** A statement that runs longer is cancelled by the server; 0 for no limit. Default 0. */
  readonly statementTimeoutMs?: number;
  /** An unused connection is closed after this. Default: never. */
  readonly idleTimeoutMs?: number;
}

/** Opens a client; it connects at the first query. End it with `sql.end({ timeout: seconds })`. */
export function openSql(target: DatabaseTarget, options: SqlOptions): Sql {
  const common = {
    max: options.max,
    connect_timeout: 5,
    onnotice: () => undefined,
    ...(options.idleTimeoutMs === undefined ? {} : { idle_timeout: options.idleTimeoutMs / 1_000 }),
    connection: {
      application_name: options.name,
      statement_timeout: options.statementTimeoutMs ?? 0,
    },
  };
  if (target.type === "url") return postgres(target.url, common);
  return postgres({
    ...common,
    // postgres.js takes the whole path of a unix socket as `path`.
    path: `${target.socketDir}/.s.PGSQL.${target.port}`,
    user: target.user,
    password: target.password,
    database: target.database,
  });
}
