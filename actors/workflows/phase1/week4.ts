/**
 * Week 4 of Phase 1: tests, validation and review.
 *
 * @module
 */

import { output, type Ref, type StageDefinition } from "../../define-workflow.ts";
import { week1 } from "./week1.ts";
import { week2 } from "./week2.ts";
import { week3 } from "./week3.ts";

const tests: StageDefinition["tasks"] = {
  system_integration_testing: {
    do: "TESTBED.run_comprehensive_integration_tests",
    title: "Test the live archive end to end",
    with: { settings: output("deduplication_system_design", "settings") },
    priority: 5,
  },
  performance_validation: {
    do: "DEBUGGER.validate_performance_targets",
    title: "Compare with baseline and targets",
    after: ["system_integration_testing"],
    with: {
      criteria: output("phase1_strategic_planning", "criteria"),
      baseline: {
        reads: output("performance_baseline_establishment", "reads"),
        sourceScan: output("performance_baseline_establishment", "sourceScan"),
      },
    },
    priority: 4,
  },
  security_validation: {
    do: "SECURITY.validate_security_compliance",
    title: "Check grants, passwords, hashes and messages",
    after: ["performance_validation"],
    with: { roles: output("postgresql_cluster_setup", "roles") },
    priority: 4,
    // It reads every body, which takes hours in an archive of many millions.
    timeouts: { startToCloseMs: 12 * 3_600_000 },
  },
};

/** The review sees the output of every task before it. */
function outputsBefore(...stages: readonly StageDefinition["tasks"][]): Record<string, Ref> {
  const keys = stages.flatMap((stage) => Object.keys(stage));
  return Object.fromEntries(keys.map((key) => [key, output(key)]));
}

export const week4: StageDefinition = {
  title: "Week 4: validation and review",
  tasks: {
    ...tests,
    phase1_completion_review: {
      do: "DIRECTOR.conduct_phase1_review",
      title: "Check the criteria, vote, write the report",
      after: ["security_validation"],
      with: { results: outputsBefore(week1.tasks, week2.tasks, week3.tasks, tests) },
      priority: 5,
    },
  },
};
