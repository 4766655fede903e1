/**
 * Runs a transaction that outlives the loss of its connection as an error, not as a crash.
 *
 * postgres.js 3.4 answers a failed transaction with ROLLBACK also when the connection is gone; that write
 * goes to no socket and throws where nobody can catch it, which would end the whole thread. Here the
 * failure is held back until the client itself has noticed the loss, so that no ROLLBACK is sent.
 *
 * @module
 */

import { setImmediate, setTimeout } from "node:timers/promises";
import type { Sql, TransactionSql } from "postgres";

/** How long a lost connection may take to be noticed as closed. */
const closeTimeoutMs = 10_000;

const lostCodes = new Set([
  "CONNECTION_CLOSED",
  "CONNECTION_DESTROYED",
  "CONNECTION_ENDED",
  "ECONNRESET",
  "EPIPE",
  "ETIMEDOUT",
]);

/** As `sql.begin`. @throws {Error} With code `CONNECTION_CLOSED` when the connection is lost. */
export async function transaction<T>(
  sql: Sql,
  run: (tx: TransactionSql) => Promise<T>,
): Promise<T> {
  const over = new AbortController();
  const outcome = sql.begin(async (tx) => {
    try {
      return await run(tx);
    } catch (error) {
      // An error of other origin may be the first sign of a loss, too.
      if (isLost(error)) await untilClosed(over.signal);
      else await setImmediate();
      if (over.signal.aborted) return never();
      throw error;
    }
  }) as Promise<T>;
  outcome.then(undefined, () => {
    over.abort();
  });
  return outcome;
}

async function untilClosed(signal: AbortSignal): Promise<void> {
  try {
    await setTimeout(closeTimeoutMs, undefined, { ref: false, signal });
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

/** The transaction has been rejected already; settling this one would send ROLLBACK. */
function never(): Promise<never> {
  return new Promise(() => undefined);
}

/** After a FATAL or PANIC message the server closes the connection. */
function isLost(error: unknown): boolean {
  const { code, severity } = error as { code?: unknown; severity?: unknown };
  return (
    severity === "FATAL" ||
    severity === "PANIC" ||
    (typeof code === "string" && lostCodes.has(code))
  );
}
