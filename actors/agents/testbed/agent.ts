/**
 * TESTBED: checks the work of the other agents against the source and against planted truth.
 *
 * @module
 */

import { defineAgent } from "../../define-agent.ts";
import { castVote } from "./cast-vote.ts";
import { testCompressionPerformance } from "./test-compression-performance.ts";

export const testbed = defineAgent({
  name: "TESTBED",
  category: "quality",
  description: "Tests the archive end to end and fails when a figure misses its target.",
  skills: ["integration_testing", "performance_testing", "regression_testing"],
  concurrency: 3,
  resources: { cpu: 1, memoryMb: 2_048 },
  permissions: {
    read: true,
    write: true,
    sys: true,
    net: true,
    env: false,
    run: false,
    ffi: false,
  },
  dependsOn: ["DATABASE", "INFRASTRUCTURE"],
  capabilities: {
    test_compression_performance: testCompressionPerformance,
    cast_vote: castVote,
  },
});
