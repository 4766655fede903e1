/**
 * ARCHITECT: designs tables, indexes, partitions and storage from measured figures.
 *
 * @module
 */

import { defineAgent } from "../../define-agent.ts";
import { arriving } from "../../workflows/phase1/week-barrier.ts";
import { adaptStorageForCompression } from "./adapt-storage-for-compression.ts";
import { designDeduplicationSystem } from "./design-deduplication-system.ts";
import { designPostgresqlSchema } from "./design-postgresql-schema.ts";

export const architect = defineAgent({
  name: "ARCHITECT",
  category: "development",
  description: "designs tables, indexes, partitions and storage from measured figures",
  skills: ["system_design", "architecture_planning", "integration_design"],
  concurrency: 2,
  resources: { cpu: 0.5, memoryMb: 1024 },
  permissions: {},
  dependsOn: ["DIRECTOR"],
  capabilities: {
    design_deduplication_system: arriving(designDeduplicationSystem),
    design_postgresql_schema: arriving(designPostgresqlSchema),
    adapt_storage_for_compression: arriving(adaptStorageForCompression),
  },
});
