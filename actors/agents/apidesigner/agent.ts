/**
 * APIDESIGNER: derives REST endpoints from a description of the data.
 *
 * @module
 */

import { defineAgent } from "../../define-agent.ts";
import { describeEndpoints } from "./describe-endpoints.ts";

export const apidesigner = defineAgent({
  name: "APIDESIGNER",
  category: "backend",
  description: "derives REST endpoints from a description of the data",
  skills: ["api_design", "endpoint_development", "integration_apis"],
  concurrency: 2,
  resources: { cpu: 0.5, memoryMb: 1024 },
  limits: { unresponsiveMs: 1_000 },
  permissions: {},
  dependsOn: ["DATABASE"],
  capabilities: {
    describe_endpoints: describeEndpoints,
  },
});
