/**
 * How long a failed attempt waits before the next.
 *
 * @module
 */

/**
 * Exponential: `initialMs * 2^(failures-1)`, at most `maxMs`. With 200 and 5,000: 200, 400, 800 ms … 5 s.
 *
 * @param failures Failed attempts so far, from 1.
 * @param jitter From 0 (no jitter) to 1; the delay is shortened by up to half of it.
 */
export function backoffDelayMs(
  policy: { readonly kind: "fixed" | "exponential"; initialMs: number; maxMs: number },
  failures: number,
  jitter: number,
): number {
  const exponent = policy.kind === "fixed" ? 0 : Math.min(failures - 1, 30);
  const delayMs = Math.min(policy.initialMs * 2 ** exponent, policy.maxMs);
  return Math.round(delayMs * (1 - jitter / 2));
}
