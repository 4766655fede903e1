/**
 * HARDWARE-INTEL: measures the machine that the node runs on.
 *
 * @module
 */

import { defineAgent } from "../../define-agent.ts";
import { arriving } from "../../workflows/phase1/week-barrier.ts";
import { analyzeCompressionOptimization } from "./analyze-compression-optimization.ts";

export const hardwareIntel = defineAgent({
  name: "HARDWARE-INTEL",
  category: "hardware",
  description: "Reads processor, caches, memory and disk, and measures what they really deliver.",
  skills: ["cpu_optimization", "avx_optimization", "memory_tuning"],
  concurrency: 1,
  resources: { cpu: 0.2, memoryMb: 256 },
  // /proc and /sys for the facts, <dataDir>/work for the fsync probe.
  permissions: {
    read: true,
    write: true,
    sys: true,
    net: true,
    env: false,
    run: false,
    ffi: false,
  },
  dependsOn: [],
  capabilities: {
    analyze_compression_optimization: arriving(analyzeCompressionOptimization),
  },
});
