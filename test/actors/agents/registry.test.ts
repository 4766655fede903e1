import { expect, test } from "vitest";
import { agentDefinitions } from "../../../actors/agents/registry.ts";

/** The table of the specification: name, category, skills, concurrency, cores, MiB, depends on. */
const table = `
DIRECTOR | command_control | strategic_planning, resource_allocation, workflow_coordination | 2 | 0.5 | 512 |
PROJECTORCHESTRATOR | command_control | tactical_coordination, agent_management, execution_monitoring | 3 | 0.3 | 256 | DIRECTOR
INFRASTRUCTURE | infrastructure | cloud_setup, kubernetes_management, resource_provisioning | 2 | 0.5 | 1024 |
DATABASE | infrastructure | schema_design, migration, optimization, backup_recovery | 1 | 1 | 2048 | INFRASTRUCTURE
ARCHITECT | development | system_design, architecture_planning, integration_design | 2 | 0.5 | 1024 | DIRECTOR
OPTIMIZER | performance | performance_tuning, compression_optimization, resource_optimization | 2 | 0.8 | 1024 | DATABASE, INFRASTRUCTURE
HARDWARE-INTEL | hardware | cpu_optimization, avx_optimization, memory_tuning | 1 | 0.2 | 256 |
PATCHER | development | code_fixes, integration_patches, legacy_system_integration | 2 | 0.5 | 512 | DEBUGGER
TESTBED | quality | integration_testing, performance_testing, regression_testing | 3 | 1 | 2048 | DATABASE, INFRASTRUCTURE
DEBUGGER | quality | error_analysis, performance_debugging, system_diagnostics | 2 | 0.5 | 1024 |
DATASCIENCE | analytics | ml_models, data_analysis, pattern_recognition, anomaly_detection | 2 | 2 | 4096 | DATABASE
MLOPS | analytics | model_deployment, pipeline_automation, model_monitoring | 2 | 1 | 2048 | DATASCIENCE, INFRASTRUCTURE
DEPLOYER | deployment | application_deployment, configuration_management, rollback_procedures | 2 | 0.5 | 512 | INFRASTRUCTURE
MONITOR | monitoring | system_monitoring, alerting, performance_tracking, log_analysis | 1 | 0.3 | 512 | INFRASTRUCTURE
SECURITY | security | security_analysis, vulnerability_assessment, compliance_checking | 2 | 0.5 | 1024 |
WEB | frontend | web_interface, dashboard_development, user_experience | 2 | 0.5 | 1024 | APIDESIGNER
APIDESIGNER | backend | api_design, endpoint_development, integration_apis | 2 | 0.5 | 1024 | DATABASE`;

test("agentDefinitions are the 17 agents of the specification, in its order, with its figures", () => {
  const rows = agentDefinitions.map(({ resources: { cpu, memoryMb }, ...agent }) =>
    [
      agent.name,
      agent.category,
      agent.skills.join(", "),
      agent.concurrency,
      cpu,
      memoryMb,
      agent.dependsOn.join(", "),
    ]
      .join(" | ")
      .trimEnd(),
  );
  expect(rows).toEqual(table.trim().split("\n"));
});

test("every agent of the registry can do something, and depends on agents that exist", () => {
  const names = agentDefinitions.map((agent) => agent.name);
  expect(new Set(names).size).toBe(17);
  for (const { name, capabilities, dependsOn, description } of agentDefinitions) {
    expect(Object.keys(capabilities), name).not.toHaveLength(0);
    expect(names, name).toEqual(expect.arrayContaining([...dependsOn]));
    expect(description, name).not.toBe("");
  }
});

test("no agent asks for the network at large: declared connections already mean the database", () => {
  for (const { name, permissions } of agentDefinitions) {
    expect([undefined, ["<redis>"]], name).toContainEqual(permissions.net);
  }
});
