/**
 * OPTIMIZER: measures the archive's speed and size, and improves both.
 *
 * @module
 */

import { defineAgent } from "../../define-agent.ts";
import { arriving } from "../../workflows/phase1/week-barrier.ts";
import { establishPerformanceBaseline } from "./establish-performance-baseline.ts";
import { implementDeduplicationEngine } from "./implement-deduplication-engine.ts";
import { integrateKanziCompression } from "./integrate-kanzi-compression.ts";

export const optimizer = defineAgent({
  name: "OPTIMIZER",
  category: "performance",
  description: "measures the archive's speed and size, and improves both",
  skills: ["performance_tuning", "compression_optimization", "resource_optimization"],
  concurrency: 2,
  resources: { cpu: 0.8, memoryMb: 1024 },
  // Archives lie wherever a task's input says, and libsql, which reads SQLite, is native code.
  permissions: { read: true, net: ["<redis>"], run: ["xz", "kanzi"], ffi: true },
  dependsOn: ["DATABASE", "INFRASTRUCTURE"],
  capabilities: {
    implement_deduplication_engine: arriving(implementDeduplicationEngine),
    establish_performance_baseline: arriving(establishPerformanceBaseline),
    integrate_kanzi_compression: arriving(integrateKanziCompression),
  },
});
