/**
 * MLOPS: checks that a model may be deployed.
 *
 * @module
 */

import { defineAgent } from "../../define-agent.ts";
import { validateModelMetadata } from "./validate-model-metadata.ts";

export const mlops = defineAgent({
  name: "MLOPS",
  category: "analytics",
  description: "checks that a model may be deployed",
  skills: ["model_deployment", "pipeline_automation", "model_monitoring"],
  concurrency: 2,
  resources: { cpu: 1.0, memoryMb: 2048 },
  limits: { unresponsiveMs: 1_000 },
  permissions: {},
  dependsOn: ["DATASCIENCE", "INFRASTRUCTURE"],
  capabilities: {
    validate_model_metadata: validateModelMetadata,
  },
});
