/**
 * HARDWARE-INTEL.analyze_compression_optimization: what this machine can do for compression, measured.
 *
 * @module
 */

import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { AgentError } from "../../../machines/error-code.ts";
import { batchBytes } from "../../archive/body-batches.ts";
import { sampleBodies } from "../../archive/body-sample.ts";
import { openCodec } from "../../archive/codec.ts";
import { type CodecTrial, tryCodec } from "../../archive/codec-trial.ts";
import { readMachineFacts } from "../../archive/machine-facts.ts";
import { probeDisk, probeMemoryCopy } from "../../archive/machine-probe.ts";
import { capability } from "../../define-agent.ts";
import type { AgentContext } from "../../ports.ts";

const measuredCodecs = ["zstd:3", "zstd:6", "brotli:5", "gzip:6"] as const;
const trialLimits = { bodies: 160, bytes: 1_200_000, bytesPerBody: 1_000_000 };
const noTraining = { bodies: 1, bytes: 1, bytesPerBody: 1 };

/** What one compressing thread needs: the codec's window, a batch and its result. */
const memoryPerThreadBytes = 256 * 1024 * 1024;
const smallestBatchBytes = 256 * 1024;

const output = z.object({
  machine: z.object({
    platform: z.string(),
    cpuModel: z.string().nullable(),
    cores: z.number(),
    flags: z
      .object({
        sse42: z.boolean(),
        avx: z.boolean(),
        avx2: z.boolean(),
        avx512: z.array(z.string()),
        aes: z.boolean(),
        neon: z.boolean(),
      })
      .nullable(),
    caches: z
      .array(z.object({ level: z.number(), kind: z.string(), sizeBytes: z.number() }))
      .nullable(),
    memoryBytes: z.number(),
    memoryAvailableBytes: z.number().nullable(),
    memoryLimitBytes: z.number().nullable(),
    diskFreeBytes: z.number(),
    diskTotalBytes: z.number(),
  }),
  memoryCopyGbPerS: z.number(),
  disk: z.object({
    fsyncs: z.number(),
    fsyncP50Ms: z.number(),
    fsyncP95Ms: z.number(),
    fsyncMaxMs: z.number(),
    sequentialWriteMbPerS: z.number(),
  }),
  /** One thread, no dictionary, real bodies. */
  codecs: z.array(
    z.object({
      codec: z.string(),
      bodies: z.number(),
      rawBytes: z.number(),
      spaceSaved: z.number(),
      compressMbPerS: z.number(),
      expandMbPerS: z.number(),
    }),
  ),
  recommendation: z.object({
    codecThreads: z.number(),
    batchBytes: z.number(),
    bodyCacheBytes: z.number(),
    reasons: z.array(z.string()),
  }),
  durationMs: z.number(),
});

type Output = z.output<typeof output>;

/** Threads and buffers from the measured figures. Pure. */
export function recommend(
  machine: Pick<
    Output["machine"],
    "cores" | "memoryBytes" | "memoryAvailableBytes" | "memoryLimitBytes" | "flags"
  >,
  fsyncP95Ms: number,
  compressMbPerS: number,
): Output["recommendation"] {
  const memoryBytes = Math.min(
    machine.memoryLimitBytes ?? Number.POSITIVE_INFINITY,
    machine.memoryAvailableBytes ?? machine.memoryBytes,
  );
  const byCores = Math.max(1, machine.cores - 1);
  const byMemory = Math.max(1, Math.floor(memoryBytes / 2 / memoryPerThreadBytes));
  // A commit costs one fsync; in a batch that takes 20 times as long it costs 5 %.
  const amortisedBytes = Math.round(fsyncP95Ms * 20 * compressMbPerS * 1_000);
  const chosenBytes = Math.min(batchBytes, Math.max(smallestBatchBytes, amortisedBytes));
  const mebibytes = (bytes: number): string => `${(bytes / 1024 ** 2).toFixed(1)} MiB`;
  return {
    codecThreads: Math.min(byCores, byMemory),
    batchBytes: chosenBytes,
    bodyCacheBytes: Math.min(
      64 * 1024 ** 2,
      Math.max(4 * 1024 ** 2, Math.floor(memoryBytes / 128)),
    ),
    reasons: [
      `${machine.cores} cores leave ${byCores} for codecs beside the main thread; memory allows ${byMemory}`,
      `an fsync takes ${fsyncP95Ms.toFixed(2)} ms (p95), so batches of ${mebibytes(chosenBytes)} keep its share at or below 5 % within the bounds ${mebibytes(smallestBatchBytes)} and ${mebibytes(batchBytes)}`,
      machine.flags?.avx2 === true
        ? "zstd runs as WebAssembly with vectors of 128 bits at most: avx2 and avx512 speed up only native code such as PostgreSQL and zlib"
        : "no avx2 was found or the system does not tell; the codecs do not need it",
    ],
  };
}

async function measureCodecs(ctx: AgentContext): Promise<readonly CodecTrial[]> {
  const samples = await sampleBodies(ctx.sql, { trial: trialLimits, training: noTraining });
  if (samples.trial.length === 0) {
    throw new AgentError(
      "ARCHIVE_EMPTY",
      "Cannot measure codecs: archive.bodies is empty, run the migration first",
    );
  }
  const trials: CodecTrial[] = [];
  for (const [at, id] of measuredCodecs.entries()) {
    ctx.signal.throwIfAborted();
    ctx.heartbeat({ done: at, total: measuredCodecs.length, message: `measuring ${id}` });
    const codec = await openCodec(id);
    trials.push(tryCodec(id, codec, samples.trial, undefined, () => ctx.clock.monotonicMs()));
  }
  return trials;
}

async function run(ctx: AgentContext): Promise<z.input<typeof output>> {
  const startedMs = ctx.clock.monotonicMs();
  const monotonicMs = (): number => ctx.clock.monotonicMs();
  const workDir = join(ctx.host.dataDir, "work");
  await mkdir(workDir, { recursive: true });
  const machine = await readMachineFacts(workDir);
  ctx.heartbeat({ message: "measuring memory and disk" });
  const memoryCopyGbPerS = probeMemoryCopy(monotonicMs);
  ctx.signal.throwIfAborted();
  const disk = await probeDisk(workDir, monotonicMs);
  const trials = await measureCodecs(ctx);
  const slowest = Math.min(...trials.map(({ compressMbPerS }) => compressMbPerS));
  return {
    machine,
    memoryCopyGbPerS,
    disk: { ...disk },
    codecs: trials.map(({ codec, bodies, rawBytes, spaceSaved, compressMbPerS, expandMbPerS }) => ({
      codec,
      bodies,
      rawBytes,
      spaceSaved,
      compressMbPerS,
      expandMbPerS,
    })),
    recommendation: recommend(machine, disk.fsyncP95Ms, slowest),
    durationMs: ctx.clock.monotonicMs() - startedMs,
  };
}

export const analyzeCompressionOptimization = capability({
  description:
    "Reads processor, caches, memory and disk, measures bandwidth, fsync and codec speed, and recommends threads and buffers.",
  input: z.object({}),
  output,
  run,
});
