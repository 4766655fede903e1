/**
 * Reads what PostgreSQL meant from an error, however deep a library has wrapped it.
 *
 * @module
 */

/** How deep a chain of causes is followed. */
const depthLimit = 5;
const diskFull = "53100";

/** What the server or the connection said, without the query that a library puts around it. */
export function rootMessage(error: unknown): string {
  let current = error;
  for (let depth = 0; depth < depthLimit; depth += 1) {
    if (!(current instanceof Error) || current.cause === undefined) break;
    current = current.cause;
  }
  return current instanceof Error ? current.message || current.name : String(current);
}

/**
 * True when the server refused the statement for what it says: a constraint, a value, a name. Saying
 * it again does not help. Classes 22, 23 and 42 of SQLSTATE.
 */
export function isRefusal(error: unknown): boolean {
  let current = error;
  for (let depth = 0; depth < depthLimit && current instanceof Error; depth += 1) {
    const { code } = current as { code?: unknown };
    if (typeof code === "string" && /^(?:22|23|42)[0-9A-Z]{3}$/.test(code)) return true;
    current = current.cause;
  }
  return false;
}

/** True when the server could not write because its disk is full. */
export function isDiskFull(error: unknown): boolean {
  let current = error;
  for (let depth = 0; depth < depthLimit && current instanceof Error; depth += 1) {
    if ((current as { code?: unknown }).code === diskFull) return true;
    current = current.cause;
  }
  return false;
}
