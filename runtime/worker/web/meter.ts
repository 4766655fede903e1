/**
 * Measures the loop of a worker from inside, for who watches it from outside.
 *
 * @module
 */

import { performance } from "node:perf_hooks";
import type { LoopFigures } from "./carrier.ts";

export const turnIntervalMs = 250;

const figureCount = 5;
/** One number per figure, and whether the thread may be interrupted. Only the worker writes; a reader may see figures of two turns mixed. */
export const meterBytes = (figureCount + 1) * Float64Array.BYTES_PER_ELEMENT;

/** Measures each `turnIntervalMs`, for as long as something else keeps the loop alive. */
export function startMeter(write: (figures: LoopFigures) => void): void {
  let turns = 0;
  let expectedAt = performance.now();
  const measure = (): void => {
    const now = performance.now();
    const { heapUsed, arrayBuffers } = process.memoryUsage();
    turns += 1;
    write({
      turns,
      lagMs: Math.max(0, now - expectedAt),
      cpuMs: performance.eventLoopUtilization().active,
      heapBytes: heapUsed,
      arrayBufferBytes: arrayBuffers,
    });
    expectedAt = performance.now() + turnIntervalMs;
  };
  measure();
  setInterval(measure, turnIntervalMs).unref();
}

export function writeFigures(into: Float64Array, figures: LoopFigures): void {
  const { turns, lagMs, cpuMs, heapBytes, arrayBufferBytes } = figures;
  into.set([turns, lagMs, cpuMs, heapBytes, arrayBufferBytes]);
}

export function readFigures(from: Float64Array): LoopFigures {
  const [turns = 0, lagMs = 0, cpuMs = 0, heapBytes = 0, arrayBufferBytes = 0] = from;
  return { turns, lagMs, cpuMs, heapBytes, arrayBufferBytes };
}

/** See `thread.ts`. */
export function writeInterruptible(into: Float64Array): void {
  into[figureCount] = 1;
}

export function isInterruptible(from: Float64Array): boolean {
  return from[figureCount] === 1;
}
