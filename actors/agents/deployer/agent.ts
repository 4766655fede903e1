/**
 * DEPLOYER: renders and compares Kubernetes manifests.
 *
 * @module
 */

import { defineAgent } from "../../define-agent.ts";
import { compareManifests } from "./compare-manifests.ts";
import { renderManifest } from "./render-manifest.ts";

export const deployer = defineAgent({
  name: "DEPLOYER",
  category: "deployment",
  description: "renders and compares Kubernetes manifests",
  skills: ["application_deployment", "configuration_management", "rollback_procedures"],
  concurrency: 2,
  resources: { cpu: 0.5, memoryMb: 512 },
  limits: { unresponsiveMs: 1_000 },
  permissions: {},
  dependsOn: ["INFRASTRUCTURE"],
  capabilities: {
    render_manifest: renderManifest,
    compare_manifests: compareManifests,
  },
});
