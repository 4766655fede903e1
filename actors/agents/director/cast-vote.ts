/**
 * DIRECTOR.cast_vote: does the work reach what it was started for?
 *
 * @module
 */

import { z } from "zod";
import { capability } from "../../define-agent.ts";
import type { AgentContext } from "../../ports.ts";
import { type BallotDecision, ballotSchema, type Proposal, proposalSchema } from "../proposal.ts";

/** Share of the success criteria that a phase must meet for the DIRECTOR's approval. */
const MIN_CRITERIA_MET = 0.6;

export const castVote = capability({
  description: "Votes on whether the work reaches its aims, after comparing it with the records",
  input: z.object({ proposal: proposalSchema }),
  output: ballotSchema,
  run: async (ctx, { proposal }) =>
    proposal.kind === "publish_page" ? judgePage(proposal) : judgePhase(ctx, proposal),
});

function judgePage({ title, html, topics }: Extract<Proposal, { kind: "publish_page" }>) {
  const missing = [title, ...topics].filter((topic) => !html.includes(topic));
  if (topics.length === 0) return against("the page has no topics to tell of");
  if (missing.length > 0) return against(`the page does not tell of ${missing.join(", ")}`);
  return { approve: true, reason: `the page tells of all ${topics.length} topics` };
}

async function judgePhase(
  { sql }: AgentContext,
  proposal: Extract<Proposal, { kind: "accept_phase1" }>,
): Promise<BallotDecision> {
  const [recorded] = await sql<{ read: number; migrated: number; rejected: number }[]>`
    select read::float8, migrated::float8, rejected::float8 from archive.migrations
    where run_id = ${proposal.runId} and finished_at is not null`;
  if (recorded === undefined) {
    return against(`there is no finished migration "${proposal.runId}"`);
  }
  const { read, migrated, rejected } = recorded;
  if (
    read !== proposal.read ||
    migrated !== proposal.migrated ||
    rejected !== proposal.rejected ||
    read !== migrated + rejected
  ) {
    return against(
      `the records say ${read} read, ${migrated} migrated, ${rejected} rejected; the proposal ${proposal.read}, ${proposal.migrated}, ${proposal.rejected}`,
    );
  }
  const met = proposal.criteria.filter((criterion) => criterion.met).length;
  const all = proposal.criteria.length;
  if (all === 0 || met < all * MIN_CRITERIA_MET)
    return against(`${met} of ${all} criteria are met`);
  return {
    approve: true,
    reason: `${met} of ${all} criteria are met and all ${read} records add up`,
  };
}

function against(reason: string): BallotDecision {
  return { approve: false, reason };
}
