/**
 * TESTBED.test_compression_performance: compares every stored body with the source and measures reading.
 *
 * @module
 */

import { z } from "zod";
import { AgentError } from "../../../machines/error-code.ts";
import { compressionTotals } from "../../archive/body-compression.ts";
import { openBodyStore } from "../../archive/body-store.ts";
import { percentile } from "../../archive/percentile.ts";
import { openSource } from "../../archive/source.ts";
import { type Comparison, compareWithSource } from "../../archive/source-comparison.ts";
import { capability } from "../../define-agent.ts";
import type { AgentContext } from "../../ports.ts";

const singleReads = 200;

const input = z.object({
  /** URL of the source that was migrated. */
  archive: z.string(),
  targetSpaceSaved: z.number().min(0).max(1).default(0.65),
});

const output = z.object({
  compared: z.number(),
  rejected: z.number(),
  rawBytes: z.number(),
  storedBytes: z.number(),
  spaceSaved: z.number(),
  targetSpaceSaved: z.number(),
  /** A miss fails no task: short texts hardly shrink. The review judges it. */
  met: z.boolean(),
  /** Reading all back: query, transfer and codec. */
  readMbPerS: z.number().nullable(),
  cpuScope: z.enum(["thread", "process"]),
  peakHeapBytes: z.number(),
  classes: z.array(
    z.object({
      name: z.string(),
      bodies: z.number(),
      rawBytes: z.number(),
      readMs: z.number(),
      expandMs: z.number(),
      cpuMs: z.number(),
      readMbPerS: z.number().nullable(),
      expandMbPerS: z.number().nullable(),
    }),
  ),
  /** One body per query, nothing cached. */
  singleRead: z.object({
    reads: z.number(),
    p50Ms: z.number(),
    p95Ms: z.number(),
    p99Ms: z.number(),
  }),
  durationMs: z.number(),
});

const speed = (bytes: number, ms: number): number | null => (ms === 0 ? null : bytes / 1_000 / ms);

/** @throws {AgentError} `BODY_MISSING`, `BODY_MISMATCH` */
function requireEqual(comparison: Comparison, archive: string): void {
  if (comparison.missingCount > 0) {
    throw new AgentError(
      "BODY_MISSING",
      `Cannot confirm the archive: ${comparison.missingCount} records of "${archive}" have neither a body nor a reject, first ids ${comparison.missing.join(", ")}; migrate again`,
    );
  }
  if (comparison.mismatches > 0) {
    throw new AgentError(
      "BODY_MISMATCH",
      `Cannot confirm the archive: ${comparison.mismatches} of ${comparison.compared} bodies differ from "${archive}", first ids ${comparison.mismatched.join(", ")}; restore those bodies from the source`,
    );
  }
}

async function timeSingleReads(ctx: AgentContext): Promise<z.output<typeof output>["singleRead"]> {
  const rows = await ctx.sql<{ id: string }[]>`
    select message_id::text as id from archive.compressed_bodies
    order by md5(message_id::text) limit ${singleReads}`;
  const store = openBodyStore(ctx.sql, { cacheBytes: 0 });
  const latencies: number[] = [];
  for (const { id } of rows) {
    const startedMs = ctx.clock.monotonicMs();
    await store.read([id]);
    latencies.push(ctx.clock.monotonicMs() - startedMs);
  }
  return {
    reads: latencies.length,
    p50Ms: percentile(latencies, 0.5),
    p95Ms: percentile(latencies, 0.95),
    p99Ms: percentile(latencies, 0.99),
  };
}

async function compare(ctx: AgentContext, archive: string, total: number): Promise<Comparison> {
  const source = await openSource(archive);
  try {
    return await compareWithSource(ctx.sql, source, {
      signal: ctx.signal,
      onProgress: (done) => ctx.heartbeat({ done, total, message: "comparing with the source" }),
    });
  } finally {
    source.close();
  }
}

async function run(
  ctx: AgentContext,
  { archive, targetSpaceSaved }: z.output<typeof input>,
): Promise<z.input<typeof output>> {
  const startedMs = ctx.clock.monotonicMs();
  const totals = await compressionTotals(ctx.sql);
  if (totals.bodies === 0) {
    throw new AgentError(
      "NOTHING_COMPRESSED",
      "Cannot test the compression: archive.compressed_bodies is empty, run OPTIMIZER.integrate_kanzi_compression first",
    );
  }
  const comparison = await compare(ctx, archive, totals.bodies + totals.pending);
  requireEqual(comparison, archive);
  const readMs = comparison.classes.reduce((sum, figures) => sum + figures.readMs, 0);
  return {
    compared: comparison.compared,
    rejected: comparison.rejected,
    rawBytes: comparison.rawBytes,
    storedBytes: totals.storedBytes,
    spaceSaved: totals.spaceSaved,
    targetSpaceSaved,
    met: totals.spaceSaved >= targetSpaceSaved,
    readMbPerS: speed(comparison.rawBytes, readMs),
    cpuScope: comparison.cpuScope,
    peakHeapBytes: comparison.peakHeapBytes,
    classes: comparison.classes.map((figures) => ({
      ...figures,
      readMbPerS: speed(figures.rawBytes, figures.readMs),
      expandMbPerS: speed(figures.rawBytes, figures.expandMs),
    })),
    singleRead: await timeSingleReads(ctx),
    durationMs: ctx.clock.monotonicMs() - startedMs,
  };
}

export const testCompressionPerformance = capability({
  description:
    "Reads every body back, compares it byte for byte with the source, and measures ratio and speed by size.",
  input,
  output,
  run,
});
