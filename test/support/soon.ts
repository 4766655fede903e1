/**
 * Waits for a fact, instead of for a time.
 *
 * @module
 */

import { expect } from "vitest";

/** How long anything may take on a busy machine. */
const soonMs = 20_000;

/** Looks again and again until it sees what the test expects of it. */
export function soon<T>(look: () => T | Promise<T>, limitMs = soonMs) {
  return expect.poll(look, { timeout: limitMs, interval: 20 });
}
