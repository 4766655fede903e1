import { expect, test } from "vitest";
import { phase1Need } from "../../../actors/agents/projectorchestrator/coordinate-phase1-execution.ts";
import { agentDefinitions } from "../../../actors/agents/registry.ts";
import { phase1 } from "../../../actors/workflows/phase1/phase1.ts";
import { weekArrivals } from "../../../actors/workflows/phase1/week-barrier.ts";
import { checkDefinition } from "../../../runtime/engine/definition.ts";

const find = (name: string) => agentDefinitions.find((agent) => agent.name === name);

/** The table of the specification: task, agent.action, tasks before it in the same week. */
const table = `
phase1_strategic_planning DIRECTOR.create_phase1_strategy
postgresql_cluster_setup INFRASTRUCTURE.setup_postgresql_cluster phase1_strategic_planning
phase1_tactical_coordination PROJECTORCHESTRATOR.coordinate_phase1_execution phase1_strategic_planning
schema_architecture_design ARCHITECT.design_postgresql_schema phase1_strategic_planning
database_migration_execution DATABASE.execute_schema_migration postgresql_cluster_setup schema_architecture_design
performance_baseline_establishment OPTIMIZER.establish_performance_baseline database_migration_execution
hardware_optimization_analysis HARDWARE-INTEL.analyze_compression_optimization
kanzi_cpp_integration OPTIMIZER.integrate_kanzi_compression hardware_optimization_analysis
storage_layer_adaptation ARCHITECT.adapt_storage_for_compression kanzi_cpp_integration
compression_performance_testing TESTBED.test_compression_performance storage_layer_adaptation
deduplication_system_design ARCHITECT.design_deduplication_system
redis_cache_deployment INFRASTRUCTURE.deploy_redis_cluster deduplication_system_design
deduplication_implementation OPTIMIZER.implement_deduplication_engine redis_cache_deployment
deduplication_testing TESTBED.test_deduplication_accuracy deduplication_implementation
system_integration_testing TESTBED.run_comprehensive_integration_tests
performance_validation DEBUGGER.validate_performance_targets system_integration_testing
security_validation SECURITY.validate_security_compliance performance_validation
phase1_completion_review DIRECTOR.conduct_phase1_review security_validation`;

const tasks = Object.values(phase1.stages).flatMap((stage) => Object.entries(stage.tasks));

test("phase1 has the 18 tasks of the specification, in its order and with its dependencies", () => {
  const rows = tasks.map(([key, task]) => [key, task.do, ...(task.after ?? [])].join(" "));
  expect(rows).toEqual(table.trim().split("\n"));
});

test("phase1 is a definition that the engine accepts: every action, reference and dependency exists", () => {
  expect(() => checkDefinition(phase1, { archive: "sqlite:/a.db" }, find)).not.toThrow();
  expect(() => checkDefinition(phase1, {}, find)).toThrow(
    expect.objectContaining({ fields: [{ pointer: "/input/archive", detail: "is required" }] }),
  );
});

test("phase1's agents arrive at each week's barrier after their last task of the week", () => {
  for (const [week, arrivals] of Object.entries(weekArrivals)) {
    const expected: Record<string, string> = {};
    for (const [key, task] of Object.entries(phase1.stages[week]?.tasks ?? {})) {
      expected[(task.do ?? "").split(".")[0] ?? ""] = key;
    }
    expect(arrivals, week).toEqual({ DIRECTOR: "phase1_completion_review", ...expected });
  }
});

test("phase1's reservation is the peak of what its agents need side by side", () => {
  const peak = { cpu: 0, memoryMb: 0 };
  for (const stage of Object.values(phase1.stages)) {
    const depths = new Map<string, number>();
    for (const [key, task] of Object.entries(stage.tasks)) {
      depths.set(key, Math.max(0, ...(task.after ?? []).map((one) => (depths.get(one) ?? 0) + 1)));
    }
    for (const depth of new Set(depths.values())) {
      const together = Object.entries(stage.tasks)
        .filter(([key]) => depths.get(key) === depth)
        .map(([, task]) => find((task.do ?? "").split(".")[0] ?? "")!.resources);
      peak.cpu = Math.max(peak.cpu, sum(together.map((need) => need.cpu)));
      peak.memoryMb = Math.max(peak.memoryMb, sum(together.map((need) => need.memoryMb)));
    }
  }
  expect(phase1Need.cpu).toBeCloseTo(peak.cpu);
  expect(phase1Need.memoryMb).toBe(peak.memoryMb);
});

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
