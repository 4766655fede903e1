/**
 * Waits for a fact, instead of for a time. Unlike `expect.poll` it works in concurrent tests.
 *
 * @module
 */

import { expect, vi } from "vitest";

/** How long anything may take on a busy machine. */
const soonMs = 20_000;

export interface Soon<T> {
  toBe(expected: T): Promise<void>;
  toEqual(expected: unknown): Promise<void>;
  toMatchObject(expected: object): Promise<void>;
  toBeGreaterThan(expected: number): Promise<void>;
}

/** Looks again and again until it sees what the test expects of it. A look that throws is repeated. */
export function soon<T>(look: () => T | Promise<T>, limitMs = soonMs): Soon<T> {
  const until = (check: (seen: T) => void) =>
    vi.waitFor(async () => check(await look()), { timeout: limitMs, interval: 20 });
  return {
    toBe: (expected) => until((seen) => expect(seen).toBe(expected)),
    toEqual: (expected) => until((seen) => expect(seen).toEqual(expected)),
    toMatchObject: (expected) => until((seen) => expect(seen).toMatchObject(expected)),
    toBeGreaterThan: (expected) => until((seen) => expect(seen).toBeGreaterThan(expected)),
  };
}
