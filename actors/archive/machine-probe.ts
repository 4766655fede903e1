/**
 * Measures what memory and disk of this machine deliver, in well under a second each.
 *
 * @module
 */

import { randomBytes } from "node:crypto";
import { mkdir, open, rm } from "node:fs/promises";
import { join } from "node:path";
import { percentile } from "./percentile.ts";

/** Larger than any cache of today, so that the copy goes through memory. */
const copyBytes = 64 * 1024 * 1024;
const copyRounds = 8;
const fsyncRounds = 40;
const fsyncBytes = 8 * 1024;
const sequentialBytes = 32 * 1024 * 1024;

/** GB/s (1e9 bytes) of copying on one thread, read and write counted once; the best of several rounds. */
export function probeMemoryCopy(monotonicMs: () => number): number {
  const from = new Uint8Array(copyBytes).fill(1);
  const to = new Uint8Array(copyBytes).fill(2);
  let bestMs = Number.POSITIVE_INFINITY;
  for (let round = 0; round < copyRounds; round += 1) {
    from[round] = round;
    const startedMs = monotonicMs();
    to.set(from);
    bestMs = Math.min(bestMs, monotonicMs() - startedMs);
  }
  return copyBytes / 1e6 / Math.max(bestMs, 0.001);
}

export interface DiskProbe {
  readonly fsyncs: number;
  /** Of an 8 KiB append followed by fsync. */
  readonly fsyncP50Ms: number;
  readonly fsyncP95Ms: number;
  readonly fsyncMaxMs: number;
  /** 32 MiB in one stream, the closing fsync included. */
  readonly sequentialWriteMbPerS: number;
}

/** Writes below `folder` and removes what it wrote. */
export async function probeDisk(folder: string, monotonicMs: () => number): Promise<DiskProbe> {
  await mkdir(folder, { recursive: true });
  const path = join(folder, `disk-probe-${randomBytes(6).toString("hex")}`);
  const file = await open(path, "w");
  try {
    const page = randomBytes(fsyncBytes);
    const latencies: number[] = [];
    for (let round = 0; round < fsyncRounds; round += 1) {
      const startedMs = monotonicMs();
      await file.write(page);
      await file.sync();
      latencies.push(monotonicMs() - startedMs);
    }
    const chunk = randomBytes(1024 * 1024);
    const startedMs = monotonicMs();
    for (let written = 0; written < sequentialBytes; written += chunk.length)
      await file.write(chunk);
    await file.sync();
    const sequentialMs = monotonicMs() - startedMs;
    return {
      fsyncs: fsyncRounds,
      fsyncP50Ms: percentile(latencies, 0.5),
      fsyncP95Ms: percentile(latencies, 0.95),
      fsyncMaxMs: Math.max(...latencies),
      sequentialWriteMbPerS: sequentialBytes / 1_000 / Math.max(sequentialMs, 0.001),
    };
  } finally {
    await file.close();
    await rm(path, { force: true });
  }
}
