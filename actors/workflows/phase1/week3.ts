/**
 * Week 3 of Phase 1: deduplication.
 *
 * @module
 */

import { output, type StageDefinition } from "../../define-workflow.ts";

/** What ARCHITECT designed; every later task keeps to it. */
const settings = output("deduplication_system_design", "settings");

export const week3: StageDefinition = {
  title: "Week 3: deduplication",
  tasks: {
    deduplication_system_design: {
      do: "ARCHITECT.design_deduplication_system",
      title: "Design the deduplication",
      priority: 4,
    },
    redis_cache_deployment: {
      do: "INFRASTRUCTURE.deploy_redis_cluster",
      title: "Fill the hash cache and the bloom filter",
      after: ["deduplication_system_design"],
      with: { settings },
      priority: 4,
    },
    deduplication_implementation: {
      do: "OPTIMIZER.implement_deduplication_engine",
      title: "Cluster exact and near duplicates",
      after: ["redis_cache_deployment"],
      with: { settings },
      priority: 5,
    },
    deduplication_testing: {
      do: "TESTBED.test_deduplication_accuracy",
      title: "Measure the accuracy on planted truth",
      after: ["deduplication_implementation"],
      with: { settings },
      priority: 4,
    },
  },
};
