/**
 * Opens postgres.js clients, with the time limits that every client of ours has.
 *
 * @module
 */

import postgres, { type Sql, type TransactionSql } from "postgres";

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
  /** Hears what arrives on channels that a connection of this client listens on. */
  readonly onNotify?: (channel: string, payload: string) => void;
}

/** How long after a connection's death its transaction may take to notice. */
const closeGraceMs = 1_000;

/** Opens a client; it connects at the first query. End it with `sql.end({ timeout: seconds })`. */
export function openSql(target: DatabaseTarget, options: SqlOptions): Sql {
  const common = {
    max: options.max,
    connect_timeout: 5,
    onnotice: () => undefined,
    // Known to postgres.js, not to its types: notices of any of its connections.
    ...(options.onNotify === undefined ? {} : { onnotify: options.onNotify }),
    ...(options.idleTimeoutMs === undefined ? {} : { idle_timeout: options.idleTimeoutMs / 1_000 }),
    connection: {
      application_name: options.name,
      statement_timeout: options.statementTimeoutMs ?? 0,
    },
  };
  if (target.type === "url") return prepared(guardTransactions(postgres(target.url, common)));
  const client = postgres({
    ...common,
    // postgres.js takes the whole path of a unix socket as `path`.
    path: `${target.socketDir}/.s.PGSQL.${target.port}`,
    user: target.user,
    password: target.password,
    database: target.database,
  });
  return prepared(guardTransactions(client));
}

/** Statements of more parameters are lists of varying length: each length would be one of its own. */
const preparedParameters = 40;

/**
 * Drizzle hands its statements over as unprepared, which the server parses and plans every time.
 * Prepared, one costs a round trip less and a fraction of the server's time.
 */
function prepared<T extends TransactionSql | Sql>(sql: T): T {
  const { unsafe } = sql;
  const faster = ((text: string, parameters: never[] = [], options = {}) =>
    unsafe.call(sql, text, parameters, {
      ...options,
      prepare: parameters.length > 0 && parameters.length <= preparedParameters,
    })) as typeof unsafe;
  if (!("begin" in sql)) return Object.assign(sql, { unsafe: faster });
  type Body = (tx: TransactionSql) => unknown;
  const begin = sql.begin.bind(sql) as (mode: string, body: Body) => Promise<unknown>;
  const inside = (...args: readonly [Body] | readonly [string, Body]): Promise<unknown> => {
    const [mode, body] = args.length === 1 ? ["", args[0]] : args;
    return begin(mode, (tx) => body(prepared(tx)));
  };
  return Object.assign(sql, { unsafe: faster, begin: inside });
}

/**
 * When a connection dies inside a transaction, postgres.js 3.4 sends `rollback` into the closed
 * socket and throws where nobody can catch it, which ends the process (porsager/postgres#1208).
 * So a body that failed for that reason does not end: `begin` itself rejects when it sees the close.
 */
function guardTransactions(sql: Sql): Sql {
  type Body = (tx: TransactionSql) => unknown;
  const begin = sql.begin.bind(sql) as (mode: string, body: Body) => Promise<unknown>;
  const guarded = (...args: readonly [Body] | readonly [string, Body]): Promise<unknown> => {
    const [mode, body] = args.length === 1 ? ["", args[0]] : args;
    let ended = false;
    const outcome = begin(mode, async (tx) => {
      try {
        const made = body(tx);
        return await (Array.isArray(made) ? Promise.all(made) : made);
      } catch (error) {
        if (!isConnectionLoss(error)) throw error;
        await new Promise((resolve) => setTimeout(resolve, closeGraceMs).unref());
        // Still open: the error came from elsewhere, and this transaction can be rolled back.
        if (!ended) throw error;
        return await new Promise<never>(() => undefined);
      }
    });
    const end = (): void => {
      ended = true;
    };
    outcome.then(end, end);
    return outcome;
  };
  return Object.assign(sql, { begin: guarded });
}

const lossCodes = new Set([
  "CONNECTION_CLOSED",
  "CONNECTION_DESTROYED",
  "CONNECTION_ENDED",
  "ECONNRESET",
  "EPIPE",
  "ETIMEDOUT",
]);

/** Drizzle wraps what the driver throws, so the causes count too. */
function isConnectionLoss(error: unknown): boolean {
  if (typeof error !== "object" || error === null) return false;
  const { cause, code, severity } = error as {
    cause?: unknown;
    code?: unknown;
    severity?: unknown;
  };
  if (severity === "FATAL" || severity === "PANIC") return true;
  return (typeof code === "string" && lossCodes.has(code)) || isConnectionLoss(cause);
}
