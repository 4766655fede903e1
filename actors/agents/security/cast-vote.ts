/**
 * SECURITY.cast_vote: does it give away what it must not?
 *
 * @module
 */

import { z } from "zod";
import { capability } from "../../define-agent.ts";
import type { AgentContext } from "../../ports.ts";
import { type BallotDecision, ballotSchema, type Proposal, proposalSchema } from "../proposal.ts";
import { countSensitive } from "./sensitive-data.ts";

export const castVote = capability({
  description:
    "Votes on whether the work gives nothing away, after looking at it and at the grants",
  input: z.object({ proposal: proposalSchema }),
  output: ballotSchema,
  run: async (ctx, { proposal }) =>
    proposal.kind === "publish_page" ? judgePage(proposal.html) : judgePhase(ctx, proposal),
});

function judgePage(html: string): BallotDecision {
  const found = Object.entries(countSensitive(html)).filter(([, count]) => count > 0);
  if (found.length === 0) {
    return { approve: true, reason: "the page holds no secrets and no personal data" };
  }
  return { approve: false, reason: found.map(([kind, count]) => `${count} ${kind}`).join(", ") };
}

async function judgePhase(
  { sql }: AgentContext,
  { severeFindings }: Extract<Proposal, { kind: "accept_phase1" }>,
): Promise<BallotDecision> {
  if (severeFindings.length > 0) return { approve: false, reason: severeFindings.join("; ") };
  const open = await sql<{ name: string }[]>`
    select distinct table_schema || '.' || table_name as name
    from information_schema.role_table_grants
    where table_schema in ('archive', 'spectra') and grantee = 'PUBLIC' order by 1 limit 20`;
  if (open.length === 0) {
    return { approve: true, reason: "no table is open to everyone and nothing severe was found" };
  }
  return { approve: false, reason: `open to everyone: ${open.map(({ name }) => name).join(", ")}` };
}
