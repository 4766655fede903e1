import fc from "fast-check";
import { expect, test } from "vitest";
import { readyAtMs, type TokenBucket, tokensAt } from "../../machines/rate-limit.ts";

const rate = { limit: 10, perMs: 1_000 };

test("an unused bucket is full, gains in proportion to time, and never holds more than its burst", () => {
  expect(tokensAt(rate, undefined, 5)).toBe(10);
  expect(tokensAt(rate, { tokens: 0, atMs: 0 }, 250)).toBe(2.5);
  expect(tokensAt(rate, { tokens: 0, atMs: 0 }, 60_000)).toBe(10);
  expect(tokensAt({ ...rate, burst: 2 }, { tokens: 0, atMs: 0 }, 60_000)).toBe(2);
  // A clock that went back takes nothing and gives nothing.
  expect(tokensAt(rate, { tokens: 3, atMs: 1_000 }, 0)).toBe(3);
});

test("readyAtMs() is the first moment at which the tokens are there", () => {
  fc.assert(
    fc.property(
      fc.record({
        limit: fc.integer({ min: 1, max: 50 }),
        perMs: fc.integer({ min: 1, max: 9_999 }),
      }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (any, tokens) => {
        const atMs = readyAtMs(any, tokens, 1_000);
        expect(tokensAt(any, { tokens, atMs: 1_000 }, atMs)).toBeGreaterThanOrEqual(1 - 1e-9);
        if (atMs > 1_000) {
          expect(tokensAt(any, { tokens, atMs: 1_000 }, atMs - 1)).toBeLessThan(1);
        }
      },
    ),
  );
});

test("no stretch of time sees more than the burst and what was gained in it", () => {
  fc.assert(
    fc.property(
      fc.record({
        limit: fc.integer({ min: 1, max: 20 }),
        perMs: fc.integer({ min: 1, max: 1_000 }),
        burst: fc.integer({ min: 1, max: 30 }),
      }),
      fc.array(fc.nat(500), { minLength: 1, maxLength: 100 }),
      (any, pauses) => {
        let bucket: TokenBucket | undefined;
        let nowMs = 0;
        const spentAt: number[] = [];
        for (const pause of pauses) {
          nowMs += pause;
          let tokens = tokensAt(any, bucket, nowMs);
          for (; tokens >= 1; tokens -= 1) spentAt.push(nowMs);
          bucket = { tokens, atMs: nowMs };
        }
        const excess = spentAt.flatMap((from, first) =>
          spentAt.slice(first).flatMap((to, more) => {
            const most = any.burst + ((to - from) * any.limit) / any.perMs;
            return more + 1 > most + 1e-6 ? [{ from, to, count: more + 1, most }] : [];
          }),
        );
        expect(excess).toEqual([]);
      },
    ),
    { numRuns: 50 },
  );
});
