/**
 * PROJECTORCHESTRATOR: sets up how agents work together: groups, barriers, reservations and votes.
 *
 * @module
 */

import { defineAgent } from "../../define-agent.ts";
import { arriving } from "../../workflows/phase1/week-barrier.ts";
import { callVote } from "./call-vote.ts";
import { closeBarrier } from "./close-barrier.ts";
import { collectFindings } from "./collect-findings.ts";
import { coordinatePhase1Execution } from "./coordinate-phase1-execution.ts";
import { openBarrier } from "./open-barrier.ts";

export const projectorchestrator = defineAgent({
  name: "PROJECTORCHESTRATOR",
  category: "command_control",
  description: "sets up how agents work together: groups, barriers, reservations and votes",
  skills: ["tactical_coordination", "agent_management", "execution_monitoring"],
  concurrency: 3,
  resources: { cpu: 0.3, memoryMb: 256 },
  limits: { unresponsiveMs: 1_000 },
  permissions: {},
  dependsOn: ["DIRECTOR"],
  capabilities: {
    coordinate_phase1_execution: arriving(coordinatePhase1Execution),
    open_barrier: openBarrier,
    close_barrier: closeBarrier,
    call_vote: callVote,
    collect_findings: collectFindings,
  },
});
