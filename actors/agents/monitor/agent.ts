/**
 * MONITOR: reads the health of the database server and of its own process.
 *
 * @module
 */

import { defineAgent } from "../../define-agent.ts";
import { arriveAtBarrier } from "../arrive-at-barrier.ts";
import { reportSystemHealth } from "./report-system-health.ts";

export const monitor = defineAgent({
  name: "MONITOR",
  category: "monitoring",
  description: "reads the health of the database server and of its own process",
  skills: ["system_monitoring", "alerting", "performance_tracking", "log_analysis"],
  concurrency: 1,
  resources: { cpu: 0.3, memoryMb: 512 },
  limits: { unresponsiveMs: 1_000 },
  permissions: { sys: ["loadavg", "systemMemoryInfo"] },
  dependsOn: ["INFRASTRUCTURE"],
  capabilities: {
    report_system_health: reportSystemHealth,
    arrive_at_barrier: arriveAtBarrier,
  },
});
