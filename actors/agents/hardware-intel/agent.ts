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
  permissions: {
    read: [
      "/proc/cpuinfo",
      "/proc/meminfo",
      "/sys/devices/system/cpu",
      "/sys/fs/cgroup/memory.max",
      "<work>",
    ],
    write: ["<work>"],
    sys: ["cpus", "osRelease", "systemMemoryInfo", "statfs"],
  },
  dependsOn: [],
  capabilities: {
    analyze_compression_optimization: arriving(analyzeCompressionOptimization),
  },
});
