/**
 * ARCHITECT: designs tables, indexes, partitions and storage from measured figures.
 *
 * @module
 */

import { defineAgent } from "../../define-agent.ts";
import { adaptStorageForCompression } from "./adapt-storage-for-compression.ts";

export const architect = defineAgent({
  name: "ARCHITECT",
  category: "development",
  description: "designs tables, indexes, partitions and storage from measured figures",
  skills: ["system_design", "architecture_planning", "integration_design"],
  concurrency: 2,
  resources: { cpu: 0.5, memoryMb: 1024 },
  permissions: { read: true, net: true, sys: true },
  dependsOn: ["DIRECTOR"],
  capabilities: {
    adapt_storage_for_compression: adaptStorageForCompression,
  },
});
