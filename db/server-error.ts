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

/** The error among the causes that has this SQLSTATE, with the `detail` that the server gave. */
export function causeWith(
  error: unknown,
  sqlState: string,
): (Error & { readonly detail?: string }) | undefined {
  return causeThat(error, (code) => code === sqlState);
}

/**
 * True when the server refused the statement for what it says: a constraint, a value, a name. Saying
 * it again does not help. Classes 22, 23 and 42 of SQLSTATE.
 */
export function isRefusal(error: unknown): boolean {
  return causeThat(error, (code) => /^(?:22|23|42)[0-9A-Z]{3}$/.test(code)) !== undefined;
}

/** True when the server could not write because its disk is full. */
export function isDiskFull(error: unknown): boolean {
  return causeWith(error, diskFull) !== undefined;
}

function causeThat(error: unknown, isIt: (code: string) => boolean): Error | undefined {
  let current = error;
  for (let depth = 0; depth < depthLimit && current instanceof Error; depth += 1) {
    const { code } = current as { code?: unknown };
    if (typeof code === "string" && isIt(code)) return current;
    current = current.cause;
  }
  return undefined;
}
