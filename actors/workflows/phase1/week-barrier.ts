/**
 * The barriers at the ends of the weeks of Phase 1: each agent arrives after its last task of the week.
 *
 * @module
 */

import type { Capability } from "../../define-agent.ts";
import type { AgentContext } from "../../ports.ts";

/**
 * Agents by week, with the key of the task after which each arrives: its last one of the week.
 * The DIRECTOR comes to all of them in its review, last, and sees who is missing.
 */
export const weekArrivals: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  week1: {
    DIRECTOR: "phase1_strategic_planning",
    INFRASTRUCTURE: "postgresql_cluster_setup",
    PROJECTORCHESTRATOR: "phase1_tactical_coordination",
    ARCHITECT: "schema_architecture_design",
    DATABASE: "database_migration_execution",
    OPTIMIZER: "performance_baseline_establishment",
  },
  week2: {
    "HARDWARE-INTEL": "hardware_optimization_analysis",
    OPTIMIZER: "kanzi_cpp_integration",
    ARCHITECT: "storage_layer_adaptation",
    TESTBED: "compression_performance_testing",
    DIRECTOR: "phase1_completion_review",
  },
  week3: {
    ARCHITECT: "deduplication_system_design",
    INFRASTRUCTURE: "redis_cache_deployment",
    OPTIMIZER: "deduplication_implementation",
    TESTBED: "deduplication_testing",
    DIRECTOR: "phase1_completion_review",
  },
  week4: {
    TESTBED: "system_integration_testing",
    DEBUGGER: "performance_validation",
    SECURITY: "security_validation",
    DIRECTOR: "phase1_completion_review",
  },
};

/** A paused run may wait for days; after this a barrier breaks. */
const BARRIER_TIMEOUT_MS = 30 * 86_400_000;

export function weekBarrierId(workflowId: string, week: string): string {
  return `${workflowId}/${week}`;
}

/** Sets the barrier of one week. Whoever comes first sets it; asking again changes nothing. */
export async function createWeekBarrier(ctx: AgentContext, week: string): Promise<void> {
  const participants = Object.keys(weekArrivals[week] ?? {});
  const id = weekBarrierId(ctx.workflowId, week);
  await ctx.coordination.createBarrier(id, participants, BARRIER_TIMEOUT_MS);
}

/**
 * Lets the agent arrive at its week's barrier when the action has succeeded as that week's task.
 * In any other workflow the action runs as it is.
 */
export function arriving(capability: Capability): Capability {
  return {
    ...capability,
    run: async (ctx, input) => {
      const result = await capability.run(ctx, input);
      const week = Object.keys(weekArrivals).find(
        (name) => weekArrivals[name]?.[ctx.agent] === ctx.taskKey,
      );
      if (week !== undefined) {
        await createWeekBarrier(ctx, week);
        const id = weekBarrierId(ctx.workflowId, week);
        await ctx.coordination.arriveAtBarrier(id, ctx.agent);
      }
      return result;
    },
  };
}
