/**
 * DIRECTOR.create_phase1_strategy: reads the source once and plans Phase 1 from its figures.
 *
 * @module
 */

import { availableParallelism } from "node:os";
import { z } from "zod";
import { AgentError } from "../../../machines/error-code.ts";
import { archiveProfile, profileArchive } from "../../archive/profile.ts";
import { openSource } from "../../archive/source.ts";
import { capability } from "../../define-agent.ts";
import { criterionTargets, phase1Criteria, planPhase1, planSchema } from "./phase1-plan.ts";

export const createPhase1Strategy = capability({
  description:
    "reads the whole source once, profiles it, and computes plan, budgets, critical path and success criteria",
  input: z.object({ archive: z.string() }),
  output: z.object({ profile: archiveProfile, plan: planSchema, criteria: criterionTargets }),
  connections: 0,
  async run(ctx, { archive }) {
    const source = await openSource(archive);
    try {
      const profile = await profileArchive(source, {
        signal: ctx.signal,
        clock: ctx.clock,
        onRead: (done, total) => {
          ctx.heartbeat({
            done,
            message: "profiling the archive",
            ...(total === undefined ? {} : { total, percent: Math.min(100, (done / total) * 100) }),
          });
        },
      });
      if (profile.messages === 0) throw nothingToMigrate(archive, profile.rejects);
      return {
        profile,
        plan: planPhase1(profile, availableParallelism()),
        criteria: phase1Criteria,
      };
    } finally {
      source.close();
    }
  },
});

function nothingToMigrate(archive: string, rejects: Readonly<Record<string, number>>): AgentError {
  const reasons = Object.entries(rejects).map(([reason, count]) => `${count} × ${reason}`);
  return new AgentError(
    "ARCHIVE_EMPTY",
    reasons.length === 0
      ? `Cannot plan for "${archive}": it holds no messages`
      : `Cannot plan for "${archive}": none of its messages can be migrated (${reasons.join(", ")})`,
  );
}
