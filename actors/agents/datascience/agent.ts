/**
 * DATASCIENCE: measures texts and compares them.
 *
 * @module
 */

import { defineAgent } from "../../define-agent.ts";
import { compareProfiles } from "./compare-profiles.ts";
import { profileText } from "./profile-text.ts";

export const datascience = defineAgent({
  name: "DATASCIENCE",
  category: "analytics",
  description: "measures texts and compares them",
  skills: ["ml_models", "data_analysis", "pattern_recognition", "anomaly_detection"],
  concurrency: 2,
  resources: { cpu: 2.0, memoryMb: 4096 },
  limits: { unresponsiveMs: 1_000 },
  permissions: {},
  dependsOn: ["DATABASE"],
  capabilities: {
    profile_text: profileText,
    compare_profiles: compareProfiles,
  },
});
