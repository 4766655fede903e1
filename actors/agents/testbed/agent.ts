/**
 * TESTBED: checks the work of the other agents against the source and against planted truth.
 *
 * @module
 */

import { defineAgent } from "../../define-agent.ts";
import { arriving } from "../../workflows/phase1/week-barrier.ts";
import { castVote } from "./cast-vote.ts";
import { runComprehensiveIntegrationTests } from "./run-comprehensive-integration-tests.ts";
import { testCompressionPerformance } from "./test-compression-performance.ts";
import { testDeduplicationAccuracy } from "./test-deduplication-accuracy.ts";

export const testbed = defineAgent({
  name: "TESTBED",
  category: "quality",
  description: "Tests the archive end to end and fails when a figure misses its target.",
  skills: ["integration_testing", "performance_testing", "regression_testing"],
  concurrency: 3,
  resources: { cpu: 1, memoryMb: 2_048 },
  // Archives lie wherever a task's input says, and libsql, which reads SQLite, is native code.
  permissions: { read: true, write: ["<work>"], net: ["<redis>"], ffi: true },
  dependsOn: ["DATABASE", "INFRASTRUCTURE"],
  capabilities: {
    test_deduplication_accuracy: arriving(testDeduplicationAccuracy),
    test_compression_performance: arriving(testCompressionPerformance),
    run_comprehensive_integration_tests: arriving(runComprehensiveIntegrationTests),
    cast_vote: castVote,
  },
});
