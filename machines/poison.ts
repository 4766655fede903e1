/**
 * When a task is given up because threads die of it.
 *
 * A death counts when nobody meant it: a thread that was killed or stopped on purpose says nothing
 * about the attempts that it ran.
 *
 * @module
 */

import type { ErrorRecord } from "./error-code.ts";

/** Threads that may die of one task, or of one request with the same input. */
export const deathLimit = 3;

/** Codes of the causes of `AGENT_DIED` that say that it was wanted. */
const wanted: ReadonlySet<string> = new Set(["AGENT_KILLED", "AGENT_STOPPED"]);

/** True when the attempt's thread died, and may have died of the attempt. */
export function isDeath(error: ErrorRecord): boolean {
  return error.code === "AGENT_DIED" && !wanted.has(error.cause?.code ?? "");
}

/** @param what Whose attempt it was: `DATABASE.migrate`. */
export function poisoned(what: string, last: ErrorRecord): ErrorRecord {
  return {
    name: "AgentError",
    code: "POISONED",
    message: `Cannot run ${what} again: ${deathLimit} threads died of it; correct it, then retry`,
    retryable: false,
    cause: last,
  };
}
