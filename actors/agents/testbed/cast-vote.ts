/**
 * TESTBED.cast_vote: does it hold when it is checked again?
 *
 * @module
 */

import { z } from "zod";
import { capability } from "../../define-agent.ts";
import type { AgentContext } from "../../ports.ts";
import { type BallotDecision, ballotSchema, type Proposal, proposalSchema } from "../proposal.ts";
import { auditHtml } from "../web/audit-page.ts";

export const castVote = capability({
  description: "Votes on whether the work holds, after counting or auditing it once more",
  input: z.object({ proposal: proposalSchema }),
  output: ballotSchema,
  run: async (ctx, { proposal }) =>
    proposal.kind === "publish_page" ? judgePage(proposal.html) : judgePhase(ctx, proposal),
});

function judgePage(html: string): BallotDecision {
  const findings = auditHtml(html);
  if (findings.length === 0)
    return { approve: true, reason: "the audit of the page finds nothing" };
  return { approve: false, reason: findings.map(({ detail }) => detail).join("; ") };
}

async function judgePhase(
  { sql }: AgentContext,
  { runId, migrated, failedChecks }: Extract<Proposal, { kind: "accept_phase1" }>,
): Promise<BallotDecision> {
  if (failedChecks.length > 0) {
    return { approve: false, reason: `checks failed: ${failedChecks.join(", ")}` };
  }
  const [counted] = await sql<{ messages: number; bodiless: number }[]>`
    select count(*)::float8 as messages,
      count(*) filter (where b.message_id is null and c.message_id is null)::float8 as bodiless
    from archive.messages m
    left join archive.bodies b on b.message_id = m.id
    left join archive.compressed_bodies c on c.message_id = m.id
    where m.run_id = ${runId}`;
  const { messages, bodiless } = counted ?? { messages: 0, bodiless: 0 };
  if (messages !== migrated || bodiless > 0) {
    const reason = `${messages} of ${migrated} messages are there, ${bodiless} without a body`;
    return { approve: false, reason };
  }
  return { approve: true, reason: `all ${messages} messages are there, each with its body` };
}
