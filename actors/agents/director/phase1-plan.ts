/**
 * Computes the plan of Phase 1 from a profile: sizes, workers, budgets, and the critical path.
 *
 * Pure. Durations are estimates: each task's share of records and bytes at rates that were measured on a
 * 2-core machine relative to the scan of the source, so a faster disk or processor scales them all.
 *
 * @module
 */

import { z } from "zod";
import { maxBatchBytes } from "../../archive/migration-batch.ts";
import type { ArchiveProfile } from "../../archive/profile.ts";
import { designTarget } from "../../archive/target-design.ts";

const maxLoaders = 4;
const batchRows = 10_000;

export const planSchema = z.object({
  partitions: z.number(),
  batchSize: z.number(),
  batchBytes: z.number(),
  /** Batches that the migration will cut, estimated from rows and bytes. */
  batches: z.number(),
  loaders: z.number(),
  budgets: z.object({
    memoryBytes: z.number(),
    diskBytes: z.number(),
    connections: z.number(),
    durationMs: z.number(),
  }),
  /** Longest chain of tasks, first to last. */
  criticalPath: z.array(z.object({ task: z.string(), estimatedMs: z.number(), basis: z.string() })),
  estimatedMs: z.number(),
});

export const criterionTargets = z.array(
  z.object({ name: z.string(), unit: z.string(), required: z.number() }),
);

/** What Phase 1 must reach; each is measured by the task named in its comment. */
export const phase1Criteria: z.infer<typeof criterionTargets> = [
  // TESTBED.test_compression_performance
  { name: "compression_space_saved", unit: "percent", required: 65 },
  // TESTBED.test_deduplication_accuracy
  { name: "deduplication_accuracy", unit: "percent", required: 99.5 },
  // DEBUGGER.validate_performance_targets: slowest declared query against a full scan of the source
  { name: "read_speedup", unit: "times", required: 10 },
];

interface Estimate {
  readonly task: string;
  readonly after: readonly string[];
  /** Passes over all bodies at the scan's rate that the task costs, and a fixed part. */
  readonly scans: number;
  readonly fixedMs: number;
}

/** Weeks follow each other, so that the first task of a week waits for the last of the week before. */
const estimates: readonly Estimate[] = [
  { task: "phase1_strategic_planning", after: [], scans: 1, fixedMs: 20 },
  {
    task: "postgresql_cluster_setup",
    after: ["phase1_strategic_planning"],
    scans: 0,
    fixedMs: 150,
  },
  {
    task: "phase1_tactical_coordination",
    after: ["phase1_strategic_planning"],
    scans: 0,
    fixedMs: 150,
  },
  {
    task: "schema_architecture_design",
    after: ["phase1_strategic_planning"],
    scans: 0,
    fixedMs: 20,
  },
  {
    task: "database_migration_execution",
    after: ["postgresql_cluster_setup", "schema_architecture_design"],
    scans: 6,
    fixedMs: 300,
  },
  {
    task: "performance_baseline_establishment",
    after: ["database_migration_execution", "phase1_tactical_coordination"],
    scans: 1,
    fixedMs: 2_000,
  },
  {
    task: "hardware_optimization_analysis",
    after: ["performance_baseline_establishment"],
    scans: 0,
    fixedMs: 3_000,
  },
  {
    task: "kanzi_cpp_integration",
    after: ["hardware_optimization_analysis"],
    scans: 20,
    fixedMs: 5_000,
  },
  { task: "storage_layer_adaptation", after: ["kanzi_cpp_integration"], scans: 4, fixedMs: 200 },
  {
    task: "compression_performance_testing",
    after: ["storage_layer_adaptation"],
    scans: 5,
    fixedMs: 500,
  },
  {
    task: "deduplication_system_design",
    after: ["compression_performance_testing"],
    scans: 1,
    fixedMs: 100,
  },
  {
    task: "redis_cache_deployment",
    after: ["deduplication_system_design"],
    scans: 1,
    fixedMs: 500,
  },
  {
    task: "deduplication_implementation",
    after: ["redis_cache_deployment"],
    scans: 20,
    fixedMs: 500,
  },
  {
    task: "deduplication_testing",
    after: ["deduplication_implementation"],
    scans: 4,
    fixedMs: 1_000,
  },
  {
    task: "system_integration_testing",
    after: ["deduplication_testing"],
    scans: 1,
    fixedMs: 3_000,
  },
  {
    task: "performance_validation",
    after: ["system_integration_testing"],
    scans: 1,
    fixedMs: 2_000,
  },
  { task: "security_validation", after: ["performance_validation"], scans: 6, fixedMs: 500 },
  { task: "phase1_completion_review", after: ["security_validation"], scans: 0, fixedMs: 500 },
];

export function planPhase1(profile: ArchiveProfile, cores: number): z.infer<typeof planSchema> {
  const loaders = Math.max(1, Math.min(maxLoaders, cores));
  const criticalPath = longestPath(profile.scanMs);
  const estimatedMs = criticalPath.reduce((sum, step) => sum + step.estimatedMs, 0);
  const largestBody = profile.largest[0]?.bytes ?? 0;
  return {
    partitions: designTarget(profile).partitions.length,
    batchSize: batchRows,
    batchBytes: maxBatchBytes,
    batches: Math.max(
      Math.ceil(profile.read / batchRows),
      Math.ceil(profile.bodyBytes / maxBatchBytes),
      1,
    ),
    loaders,
    budgets: {
      // Each batch in flight as it was read, and the one that is being cut.
      memoryBytes: (loaders + 1) * (maxBatchBytes + largestBody) * 2,
      // Raw and compressed bodies side by side until verification, write-ahead log, indexes.
      diskBytes: profile.bodyBytes * 3 + profile.messages * 1_024,
      connections: loaders,
      durationMs: estimatedMs * 3,
    },
    criticalPath,
    estimatedMs,
  };
}

/** Longest chain through `estimates`, which is in topological order. */
function longestPath(scanMs: number): z.infer<typeof planSchema>["criticalPath"] {
  const ends = new Map<string, { totalMs: number; before: string | undefined }>();
  for (const estimate of estimates) {
    let longest: { totalMs: number; before: string | undefined } = {
      totalMs: 0,
      before: undefined,
    };
    for (const task of estimate.after) {
      const totalMs = ends.get(task)?.totalMs ?? 0;
      if (longest.before === undefined || totalMs > longest.totalMs)
        longest = { totalMs, before: task };
    }
    ends.set(estimate.task, {
      totalMs: longest.totalMs + durationMs(estimate, scanMs),
      before: longest.before,
    });
  }
  const path: string[] = [];
  for (let task = estimates.at(-1)?.task; task !== undefined; task = ends.get(task)?.before) {
    path.unshift(task);
  }
  return path.flatMap((task) => {
    const estimate = estimates.find((one) => one.task === task);
    if (estimate === undefined) return [];
    const { scans, fixedMs } = estimate;
    return [
      {
        task,
        estimatedMs: durationMs(estimate, scanMs),
        basis: `${scans} times the measured scan of ${scanMs} ms, and ${fixedMs} ms`,
      },
    ];
  });
}

function durationMs({ scans, fixedMs }: Estimate, scanMs: number): number {
  return Math.round(scans * scanMs + fixedMs);
}
