/**
 * Rate limits as token buckets; times are arguments.
 *
 * A bucket holds `burst` tokens at most and gains `limit` of them in `perMs`. So in any stretch of
 * time of length `t` at most `burst + limit * t / perMs` dispatches happen.
 *
 * @module
 */

export interface RateLimit {
  /** Dispatches in the long run, per `perMs`. */
  readonly limit: number;
  readonly perMs: number;
  /** Tokens that an idle bucket saves up; from 1. Default `limit`. */
  readonly burst?: number;
}

/** Kept between looks: what was there, and when. */
export interface TokenBucket {
  readonly tokens: number;
  readonly atMs: number;
}

export function burstOf({ limit, burst }: RateLimit): number {
  return Math.max(1, burst ?? limit);
}

/** Tokens that are there at `nowMs`; a clock that went back adds none. A bucket that was never used is full. */
export function tokensAt(rate: RateLimit, bucket: TokenBucket | undefined, nowMs: number): number {
  if (bucket === undefined) return burstOf(rate);
  const gained = (Math.max(0, nowMs - bucket.atMs) * rate.limit) / rate.perMs;
  return Math.min(burstOf(rate), bucket.tokens + gained);
}

/** When the bucket, left alone, has `amount` tokens: `nowMs` when it does already, and never more than `burst`. */
export function readyAtMs(rate: RateLimit, tokens: number, nowMs: number, amount = 1): number {
  const missing = Math.min(amount, burstOf(rate)) - tokens;
  return missing <= 0 ? nowMs : nowMs + Math.ceil((missing * rate.perMs) / rate.limit);
}
