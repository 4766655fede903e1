import fc from "fast-check";
import { expect, test } from "vitest";
import { backoffDelayMs } from "../../machines/backoff-delay.ts";

const exponential = { kind: "exponential", initialMs: 200, maxMs: 5_000 } as const;

test("backoffDelayMs() doubles up to the limit", () => {
  const delays = [1, 2, 3, 4, 5, 6, 7, 1_000].map((failures) =>
    backoffDelayMs(exponential, failures, 0),
  );
  expect(delays).toEqual([200, 400, 800, 1_600, 3_200, 5_000, 5_000, 5_000]);
});

test("backoffDelayMs() stays the same when the policy is fixed", () => {
  const policy = { kind: "fixed", initialMs: 300, maxMs: 5_000 } as const;
  expect([1, 2, 50].map((failures) => backoffDelayMs(policy, failures, 0))).toEqual([
    300, 300, 300,
  ]);
});

test("backoffDelayMs() takes the limit when it is below the first delay", () => {
  expect(backoffDelayMs({ ...exponential, maxMs: 50 }, 1, 0)).toBe(50);
});

test("backoffDelayMs() is a whole number between half of the delay and the delay, and never shrinks with failures", () => {
  const policy = fc.record({
    kind: fc.constantFrom("fixed", "exponential"),
    initialMs: fc.nat(86_400_000),
    maxMs: fc.nat(86_400_000),
  });
  const jitter = fc.double({ min: 0, max: 1, noNaN: true });
  fc.assert(
    fc.property(policy, fc.integer({ min: 1, max: 5_000 }), jitter, (given, failures, random) => {
      const full = backoffDelayMs(given, failures, 0);
      const delay = backoffDelayMs(given, failures, random);
      expect(Number.isSafeInteger(delay)).toBe(true);
      expect(full).toBeLessThanOrEqual(given.maxMs);
      expect(delay).toBeLessThanOrEqual(full);
      expect(delay).toBeGreaterThanOrEqual(Math.floor(full / 2));
      expect(backoffDelayMs(given, failures + 1, 0)).toBeGreaterThanOrEqual(full);
    }),
  );
});
