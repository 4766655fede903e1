/**
 * Cheap facts about this process and its disk.
 *
 * @module
 */

import { statfs } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { monitorEventLoopDelay } from "node:perf_hooks";

export interface ProcessFacts {
  /** Memory in RAM, all threads together. */
  readonly rssBytes: number;
  /** JavaScript heap of the calling thread. */
  readonly heapUsedBytes: number;
  /** Share of all cores that this process used since the last look, 0 to 1. */
  readonly cpuUtilisation: number;
  /** How much later than due the calling thread's timers ran since the last look. */
  readonly eventLoopLagMs: { readonly p50: number; readonly p99: number; readonly max: number };
}

export interface ProcessProbe {
  /**
   * Facts since the last call, or since the opening. The monitor begins anew with the turn after
   * the call, so a block within the very turn of the call is not seen.
   */
  read(): ProcessFacts;
  close(): void;
}

const RESOLUTION_MS = 10;

/** Opens the probe of the calling thread; it costs one timer of 10 ms. */
export function openProcessProbe(): ProcessProbe {
  const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  delay.enable();
  let cpu = process.cpuUsage();
  let atMs = performance.now();
  return {
    read: () => {
      const nowMs = performance.now();
      const used = process.cpuUsage(cpu);
      const wallMicros = Math.max(1, (nowMs - atMs) * 1_000 * availableParallelism());
      cpu = process.cpuUsage();
      atMs = nowMs;
      // The histogram holds whole intervals, in nanoseconds, and is empty before the first.
      const lag = (nanos: number) =>
        delay.count === 0 ? 0 : Math.max(0, nanos / 1e6 - RESOLUTION_MS);
      const eventLoopLagMs = {
        p50: lag(delay.percentile(50)),
        p99: lag(delay.percentile(99)),
        max: lag(delay.max),
      };
      delay.reset();
      const memory = process.memoryUsage();
      return {
        rssBytes: memory.rss,
        heapUsedBytes: memory.heapUsed,
        cpuUtilisation: Math.min(1, (used.user + used.system) / wallMicros),
        eventLoopLagMs,
      };
    },
    close: () => {
      delay.disable();
    },
  };
}

/** Bytes that this user may still write on the disk of `folder`. */
export async function freeDiskBytes(folder: string): Promise<number> {
  const { bavail, bsize } = await statfs(folder);
  return bavail * bsize;
}
