/**
 * Computes the plan of Phase 1 from a profile: sizes, workers, budgets, and the critical path.
 *
 * Pure. Durations are estimates: each task's share of records and bytes at rates that were measured on a
 * 2-core machine relative to the scan of the source, so a faster disk or processor scales them all.
 *
 * @module
 */

import { z } from "zod";
import { AgentError } from "../../../machines/error-code.ts";
import { maxBatchBytes } from "../../archive/migration-batch.ts";
import type { ArchiveProfile } from "../../archive/profile.ts";
import { designTarget } from "../../archive/target-design.ts";
import type { StageDefinition } from "../../define-workflow.ts";
import { phase1 } from "../../workflows/phase1/phase1.ts";

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
  /** Passes over all bodies at the scan's rate that the task costs, and a fixed part. */
  readonly scans: number;
  readonly fixedMs: number;
}

/** By key of the task. */
const estimates: Readonly<Record<string, Estimate>> = {
  phase1_strategic_planning: { scans: 1, fixedMs: 20 },
  postgresql_cluster_setup: { scans: 0, fixedMs: 150 },
  phase1_tactical_coordination: { scans: 0, fixedMs: 150 },
  schema_architecture_design: { scans: 0, fixedMs: 20 },
  database_migration_execution: { scans: 6, fixedMs: 300 },
  performance_baseline_establishment: { scans: 1, fixedMs: 2_000 },
  hardware_optimization_analysis: { scans: 0, fixedMs: 3_000 },
  kanzi_cpp_integration: { scans: 20, fixedMs: 5_000 },
  storage_layer_adaptation: { scans: 4, fixedMs: 200 },
  compression_performance_testing: { scans: 5, fixedMs: 500 },
  deduplication_system_design: { scans: 1, fixedMs: 100 },
  redis_cache_deployment: { scans: 1, fixedMs: 500 },
  deduplication_implementation: { scans: 20, fixedMs: 500 },
  deduplication_testing: { scans: 4, fixedMs: 1_000 },
  system_integration_testing: { scans: 1, fixedMs: 3_000 },
  performance_validation: { scans: 1, fixedMs: 2_000 },
  security_validation: { scans: 6, fixedMs: 500 },
  phase1_completion_review: { scans: 0, fixedMs: 500 },
};

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

interface Chain {
  readonly totalMs: number;
  /** Keys, first to last. */
  readonly tasks: readonly string[];
}

/** Longest chain through the stages: the first tasks of a stage wait for all of the stage before. */
function longestPath(scanMs: number): z.infer<typeof planSchema>["criticalPath"] {
  let longest: Chain = { totalMs: 0, tasks: [] };
  for (const { tasks } of Object.values(phase1.stages)) {
    const ends = new Map<string, Chain>();
    for (const key of Object.keys(tasks)) chainTo(key, tasks, longest, scanMs, ends);
    longest = longestOf([...ends.values()]) ?? longest;
  }
  return longest.tasks.map((task) => {
    const { scans, fixedMs } = estimateOf(task);
    return {
      task,
      estimatedMs: durationMs(task, scanMs),
      basis: `${scans} times the measured scan of ${scanMs} ms, and ${fixedMs} ms`,
    };
  });
}

/** @param ends Chains that are known already; the new one is added. */
function chainTo(
  key: string,
  tasks: StageDefinition["tasks"],
  before: Chain,
  scanMs: number,
  ends: Map<string, Chain>,
): Chain {
  const known = ends.get(key);
  if (known !== undefined) return known;
  const after = tasks[key]?.after ?? [];
  const longest =
    longestOf(after.map((task) => chainTo(task, tasks, before, scanMs, ends))) ?? before;
  const chain = {
    totalMs: longest.totalMs + durationMs(key, scanMs),
    tasks: [...longest.tasks, key],
  };
  ends.set(key, chain);
  return chain;
}

function longestOf(chains: readonly Chain[]): Chain | undefined {
  return chains.toSorted((a, b) => b.totalMs - a.totalMs)[0];
}

/** @throws {AgentError} `ESTIMATE_MISSING` */
function estimateOf(task: string): Estimate {
  const estimate = estimates[task];
  if (estimate === undefined) {
    throw new AgentError(
      "ESTIMATE_MISSING",
      `Cannot plan Phase 1: the task "${task}" has no estimate, add one in phase1-plan.ts`,
    );
  }
  return estimate;
}

function durationMs(task: string, scanMs: number): number {
  const { scans, fixedMs } = estimateOf(task);
  return Math.round(scans * scanMs + fixedMs);
}
