/**
 * DATABASE: moves the archive into PostgreSQL and proves that nothing was lost.
 *
 * @module
 */

import { defineAgent } from "../../define-agent.ts";
import { arriving } from "../../workflows/phase1/week-barrier.ts";
import { executeSchemaMigration } from "./execute-schema-migration.ts";

export const database = defineAgent({
  name: "DATABASE",
  category: "infrastructure",
  description: "moves the archive into PostgreSQL and proves that nothing was lost",
  skills: ["schema_design", "migration", "optimization", "backup_recovery"],
  concurrency: 1,
  resources: { cpu: 1.0, memoryMb: 2048 },
  // Archives lie wherever a task's input says, and libsql, which reads SQLite, is native code.
  permissions: { read: true, ffi: true },
  dependsOn: ["INFRASTRUCTURE"],
  capabilities: {
    execute_schema_migration: arriving(executeSchemaMigration),
  },
});
