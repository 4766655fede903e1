/**
 * Tells which failures of PostgreSQL a later attempt may outlive, and says what to do about them.
 *
 * @module
 */

import { AgentError } from "../../machines/error-code.ts";

const lostConnection = new Set([
  "CONNECTION_CLOSED",
  "CONNECTION_ENDED",
  "CONNECTION_DESTROYED",
  "CONNECT_TIMEOUT",
  "ECONNREFUSED",
  "ECONNRESET",
  "EPIPE",
  "ENOENT",
  "ETIMEDOUT",
  "EAI_AGAIN",
  "ENOTFOUND",
  "ERR_STREAM_PREMATURE_CLOSE",
]);

/** Classes of SQLSTATE that are about the server's state: connection, rollback, resources, shutdown, I/O. */
const passingClasses = new Set(["08", "40", "53", "55", "57", "58"]);

/** `doing` completes "Cannot …". Returns errors of other origin unchanged. */
export function databaseError(doing: string, error: unknown): unknown {
  if (error instanceof AgentError || !(error instanceof Error)) return error;
  const { code } = error as { code?: unknown };
  if (typeof code !== "string") return error;
  if (code === "53100") {
    return new AgentError(
      "DISK_FULL",
      `Cannot ${doing}: the disk of the database is full, free space there`,
      { retryable: true, cause: error },
    );
  }
  if (lostConnection.has(code)) {
    return new AgentError(
      "DATABASE_UNAVAILABLE",
      `Cannot ${doing}: the connection to the database was lost (${code})`,
      { retryable: true, cause: error },
    );
  }
  if (!/^[0-9A-Z]{5}$/.test(code)) return error;
  const isPassing = passingClasses.has(code.slice(0, 2));
  return new AgentError(
    isPassing ? "DATABASE_UNAVAILABLE" : "DATABASE_REFUSED",
    `Cannot ${doing}: PostgreSQL says "${error.message}" (${code})`,
    { retryable: isPassing, cause: error },
  );
}
