/**
 * Week 1 of Phase 1: from a source to a verified archive in PostgreSQL, with a baseline.
 *
 * @module
 */

import { output, param, type StageDefinition } from "../../define-workflow.ts";

export const week1: StageDefinition = {
  title: "Week 1: planning and migration",
  tasks: {
    phase1_strategic_planning: {
      do: "DIRECTOR.create_phase1_strategy",
      title: "Profile the archive and plan the phase",
      with: { archive: param("archive") },
      priority: 5,
    },
    postgresql_cluster_setup: {
      do: "INFRASTRUCTURE.setup_postgresql_cluster",
      title: "Prepare schema, roles and checks",
      after: ["phase1_strategic_planning"],
      with: { diskBytes: output("phase1_strategic_planning", "plan.budgets.diskBytes") },
      priority: 5,
    },
    phase1_tactical_coordination: {
      do: "PROJECTORCHESTRATOR.coordinate_phase1_execution",
      title: "Set groups, barriers and reservations",
      after: ["phase1_strategic_planning"],
      with: { plan: output("phase1_strategic_planning", "plan") },
      priority: 4,
    },
    schema_architecture_design: {
      do: "ARCHITECT.design_postgresql_schema",
      title: "Design tables, partitions and indexes",
      after: ["phase1_strategic_planning"],
      with: { profile: output("phase1_strategic_planning", "profile") },
      priority: 5,
    },
    database_migration_execution: {
      do: "DATABASE.execute_schema_migration",
      title: "Migrate and verify every message",
      after: ["postgresql_cluster_setup", "schema_architecture_design"],
      with: {
        archive: param("archive"),
        ddl: output("schema_architecture_design", "ddl"),
        batchSize: output("phase1_strategic_planning", "plan.batchSize"),
        loaders: output("phase1_strategic_planning", "plan.loaders"),
      },
      priority: 5,
      retry: { attempts: 5, backoff: "exponential", initialMs: 200, maxMs: 5_000 },
      // An archive of millions of messages takes hours; heartbeats show that it goes on.
      timeouts: { startToCloseMs: 12 * 3_600_000 },
    },
    performance_baseline_establishment: {
      do: "OPTIMIZER.establish_performance_baseline",
      title: "Measure reads and writes",
      after: ["database_migration_execution"],
      with: { archive: param("archive") },
      priority: 4,
    },
  },
};
