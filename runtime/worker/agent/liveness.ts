/**
 * Watches the loop of another thread through shared memory: no message is needed, so a blocked loop is seen.
 *
 * @module
 */

import type { Clock } from "../../../actors/ports.ts";

const checkIntervalMs = 1_000;
/** Agents do long synchronous work, such as compression: a silent second is no illness. */
const unhealthyMs = 10_000;

export interface Liveness {
  lastSeenAt(): Date;
  /** False while the loop has not turned for 10 s. */
  isHealthy(): boolean;
  stop(): void;
}

export interface LivenessOptions {
  /** One Int32 that the watched thread counts up. */
  readonly turns: SharedArrayBuffer;
  readonly clock: Clock;
  /** The loop has not turned for that long: it is given up. */
  readonly unresponsiveMs: number;
  onHealth(healthy: boolean): void;
  onUnresponsive(): void;
}

/**
 * Counts its own checks rather than read a clock: where this thread is blocked or the machine
 * sleeps, no time counts against the other thread.
 */
export function watchLiveness(options: LivenessOptions): Liveness {
  const turns = new Int32Array(options.turns);
  let seen = Atomics.load(turns, 0);
  let lastSeenAt = options.clock.now();
  let silentMs = 0;
  const timer = setInterval(() => {
    const wasHealthy = silentMs < unhealthyMs;
    const now = Atomics.load(turns, 0);
    if (now === seen) {
      silentMs += checkIntervalMs;
    } else {
      seen = now;
      silentMs = 0;
      lastSeenAt = options.clock.now();
    }
    const healthy = silentMs < unhealthyMs;
    if (healthy !== wasHealthy) options.onHealth(healthy);
    if (silentMs < options.unresponsiveMs) return;
    clearInterval(timer);
    options.onUnresponsive();
  }, checkIntervalMs);
  timer.unref();
  return {
    lastSeenAt: () => lastSeenAt,
    isHealthy: () => silentMs < unhealthyMs,
    stop: () => clearInterval(timer),
  };
}
