/**
 * DIRECTOR.cast_vote: does the work reach what it was started for?
 *
 * For a phase this means all of its success criteria, and counts that agree with the records of
 * the migration. One missed criterion is a ballot against: the plan set the criteria, so the
 * DIRECTOR does not bargain them down. Whether the phase is accepted all the same is up to the
 * other voters, and the report then says "accepted with misses".
 *
 * @module
 */

import { z } from "zod";
import { capability } from "../../define-agent.ts";
import type { AgentContext } from "../../ports.ts";
import {
  type BallotDecision,
  ballotSchema,
  type Criterion,
  type Proposal,
  proposalSchema,
} from "../proposal.ts";

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
  if (proposal.criteria.length === 0) return against("the phase has no criteria");
  const missed = proposal.criteria.filter((criterion) => !criterion.met);
  if (missed.length > 0) return against(missed.map(missText).join("; "));
  return {
    approve: true,
    reason: `all ${proposal.criteria.length} criteria are met and all ${read} records add up`,
  };
}

function missText({ name, unit, required, measured }: Criterion): string {
  const figure = measured === null ? "not measured" : `${Number(measured.toFixed(2))} ${unit}`;
  return `${name} is missed: ${figure}, required ${required}`;
}

function against(reason: string): BallotDecision {
  return { approve: false, reason };
}
