/**
 * SECURITY: checks grants, integrity and what messages give away.
 *
 * @module
 */

import { defineAgent } from "../../define-agent.ts";
import { arriving } from "../../workflows/phase1/week-barrier.ts";
import { arriveAtBarrier } from "../arrive-at-barrier.ts";
import { castVote } from "./cast-vote.ts";
import { scanText } from "./scan-text.ts";
import { validateSecurityCompliance } from "./validate-security-compliance.ts";

export const security = defineAgent({
  name: "SECURITY",
  category: "security",
  description: "checks grants, integrity and what messages give away",
  skills: ["security_analysis", "vulnerability_assessment", "compliance_checking"],
  concurrency: 2,
  resources: { cpu: 0.5, memoryMb: 1024 },
  permissions: {},
  dependsOn: [],
  capabilities: {
    validate_security_compliance: arriving(validateSecurityCompliance),
    scan_text: scanText,
    cast_vote: castVote,
    arrive_at_barrier: arriveAtBarrier,
  },
});
