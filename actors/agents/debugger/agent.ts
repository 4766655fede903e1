/**
 * DEBUGGER: finds out why things are slow, from the server's own figures.
 *
 * @module
 */

import { defineAgent } from "../../define-agent.ts";
import { arriving } from "../../workflows/phase1/week-barrier.ts";
import { inspectTables } from "./inspect-tables.ts";
import { validatePerformanceTargets } from "./validate-performance-targets.ts";

export const debuggerAgent = defineAgent({
  name: "DEBUGGER",
  category: "quality",
  description: "finds out why things are slow, from the server's own figures",
  skills: ["error_analysis", "performance_debugging", "system_diagnostics"],
  concurrency: 2,
  resources: { cpu: 0.5, memoryMb: 1024 },
  limits: { unresponsiveMs: 1_000 },
  permissions: {},
  dependsOn: [],
  capabilities: {
    validate_performance_targets: arriving(validatePerformanceTargets),
    inspect_tables: inspectTables,
  },
});
