/**
 * DIRECTOR: plans a phase from the archive's own figures and reviews what was reached.
 *
 * @module
 */

import { defineAgent } from "../../define-agent.ts";
import { arriving } from "../../workflows/phase1/week-barrier.ts";
import { castVote } from "./cast-vote.ts";
import { conductPhase1Review } from "./conduct-phase1-review.ts";
import { createPhase1Strategy } from "./create-phase1-strategy.ts";
import { divideWork } from "./divide-work.ts";

export const director = defineAgent({
  name: "DIRECTOR",
  category: "command_control",
  description: "plans a phase from the archive's own figures and reviews what was reached",
  skills: ["strategic_planning", "resource_allocation", "workflow_coordination"],
  concurrency: 2,
  resources: { cpu: 0.5, memoryMb: 512 },
  // Archives lie wherever a task's input says, and libsql, which reads SQLite, is native code.
  permissions: { read: true, write: ["<reports>"], ffi: true },
  dependsOn: [],
  capabilities: {
    create_phase1_strategy: arriving(createPhase1Strategy),
    conduct_phase1_review: conductPhase1Review,
    cast_vote: castVote,
    divide_work: divideWork,
  },
});
