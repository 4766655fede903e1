/**
 * Week 2 of Phase 1: compression.
 *
 * @module
 */

import { param, type StageDefinition } from "../../define-workflow.ts";

export const week2: StageDefinition = {
  title: "Week 2: compression",
  tasks: {
    hardware_optimization_analysis: {
      do: "HARDWARE-INTEL.analyze_compression_optimization",
      title: "Measure the hardware",
      priority: 4,
    },
    kanzi_cpp_integration: {
      do: "OPTIMIZER.integrate_kanzi_compression",
      title: "Choose a codec and compress all bodies",
      after: ["hardware_optimization_analysis"],
      priority: 5,
    },
    storage_layer_adaptation: {
      do: "ARCHITECT.adapt_storage_for_compression",
      title: "Verify, then drop the raw bodies",
      after: ["kanzi_cpp_integration"],
      priority: 4,
    },
    compression_performance_testing: {
      do: "TESTBED.test_compression_performance",
      title: "Compare every body with the source",
      after: ["storage_layer_adaptation"],
      with: { archive: param("archive") },
      priority: 4,
    },
  },
};
