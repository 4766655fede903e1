/**
 * Watches a worker through the figures that it writes about itself: no answer is needed, so a blocked
 * loop is seen, and so are buffers outside of V8's heap, which have no limit of their own.
 *
 * @module
 */

import type { Clock } from "../../../actors/ports.ts";
import type { LoopFigures } from "../web/carrier.ts";
import type { ThreadLimits } from "./limits.ts";

/** Workers write their figures that often. */
const shortestCheckMs = 250;
const longestCheckMs = 1_000;
/** Agents do long synchronous work, such as compression: a silent second is no illness. */
const unhealthyMs = 10_000;
/** Buffers that are garbage count until V8 collects them: only a budget that stays exceeded counts. */
const overBudgetMs = 2_000;
/** This much over the budget is not waited for. */
const farOverBudget = 2;

export interface Liveness {
  lastSeenAt(): Date;
  /** False while the loop has not turned for 10 s, or half of its limit. */
  isHealthy(): boolean;
  stop(): void;
}

export interface LivenessOptions {
  figures(): LoopFigures;
  /** Grows with each heartbeat, also while the loop is blocked. */
  pulse(): number;
  readonly clock: Clock;
  readonly limits: Pick<ThreadLimits, "unresponsiveMs" | "bufferMb">;
  /** How much of a core a busy thread gets now, 0 to 1: only that part of the time counts. Default 1. */
  cpuShare?(): number;
  onHealth(healthy: boolean): void;
  onUnresponsive(): void;
  onOverBudget(bytes: number): void;
}

/**
 * Counts its own checks rather than read a clock: where this thread is blocked or the machine
 * sleeps, no time counts against the worker. Nor does time in which others had the processor: on a
 * crowded machine, healthy work that takes a second takes ten.
 */
export function watchLiveness(options: LivenessOptions): Liveness {
  const { unresponsiveMs, bufferMb } = options.limits;
  const checkMs = Math.min(longestCheckMs, Math.max(shortestCheckMs, unresponsiveMs / 4));
  const sickMs = Math.min(unhealthyMs, unresponsiveMs / 2);
  const signs = (): number => options.figures().turns + options.pulse();
  let seen = signs();
  let lastSeenAt = options.clock.now();
  let silentMs = 0;
  let overMs = 0;

  const checkLoop = (): void => {
    const wasHealthy = silentMs < sickMs;
    const now = signs();
    if (now === seen) {
      silentMs += checkMs * (options.cpuShare?.() ?? 1);
    } else {
      seen = now;
      silentMs = 0;
      lastSeenAt = options.clock.now();
    }
    const healthy = silentMs < sickMs;
    if (healthy !== wasHealthy) options.onHealth(healthy);
    if (silentMs < unresponsiveMs) return;
    clearInterval(timer);
    options.onUnresponsive();
  };
  const checkMemory = (): void => {
    const { arrayBufferBytes } = options.figures();
    const budget = bufferMb * 1_048_576;
    overMs = arrayBufferBytes > budget ? overMs + checkMs : 0;
    if (overMs < overBudgetMs && arrayBufferBytes <= budget * farOverBudget) return;
    clearInterval(timer);
    options.onOverBudget(arrayBufferBytes);
  };
  const timer = setInterval(() => {
    checkMemory();
    checkLoop();
  }, checkMs);
  timer.unref();
  return {
    lastSeenAt: () => lastSeenAt,
    isHealthy: () => silentMs < sickMs,
    stop: () => clearInterval(timer),
  };
}

/** More of a core than this is work, not a hang. */
const busyShare = 0.5;

export interface ProgressWatch {
  /** The attempt gave a sign of life. */
  touch(): void;
  stop(): void;
}

/** Calls `onHang` once, when the attempt gave no sign for `timeoutMs` while its worker did nothing. */
export function watchProgress(
  timeoutMs: number,
  { figures, pulse }: Pick<LivenessOptions, "figures" | "pulse">,
  onHang: () => void,
): ProgressWatch {
  let touched = false;
  let cpuMs = figures().cpuMs;
  let beats = pulse();
  const timer = setInterval(() => {
    const before = cpuMs;
    cpuMs = figures().cpuMs;
    // A blocked loop sends no heartbeat, but counts it.
    const isBusy = cpuMs - before > timeoutMs * busyShare || pulse() !== beats;
    beats = pulse();
    if (!touched && !isBusy) {
      clearInterval(timer);
      onHang();
    }
    touched = false;
  }, timeoutMs);
  timer.unref();
  return {
    touch: () => {
      touched = true;
    },
    stop: () => clearInterval(timer),
  };
}
