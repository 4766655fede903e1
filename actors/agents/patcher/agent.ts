/**
 * PATCHER: applies unified diffs to texts, all or nothing.
 *
 * @module
 */

import { defineAgent } from "../../define-agent.ts";
import { applyPatch } from "./apply-patch.ts";

export const patcher = defineAgent({
  name: "PATCHER",
  category: "development",
  description: "applies unified diffs to texts, all or nothing",
  skills: ["code_fixes", "integration_patches", "legacy_system_integration"],
  concurrency: 2,
  resources: { cpu: 0.5, memoryMb: 512 },
  limits: { unresponsiveMs: 1_000 },
  permissions: {},
  dependsOn: ["DEBUGGER"],
  capabilities: {
    apply_patch: applyPatch,
  },
});
