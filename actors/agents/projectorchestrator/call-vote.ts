/**
 * PROJECTORCHESTRATOR.call_vote: asks agents for a decision by quorum.
 *
 * @module
 */

import { z } from "zod";
import { capability } from "../../define-agent.ts";
import { proposalSchema } from "../proposal.ts";

export const voteSchema = z.object({
  id: z.string(),
  outcome: z.enum(["accepted", "rejected"]),
  required: z.number(),
  ballots: z.array(z.object({ voter: z.string(), approve: z.boolean(), reason: z.string() })),
});

export const callVote = capability({
  description: "Asks each voter for a ballot and decides as soon as enough of them agree",
  input: z.object({
    proposal: proposalSchema,
    voters: z.array(z.string()).min(1).max(16),
    required: z.number().int().min(1),
    timeoutMs: z.number().positive().max(600_000).default(30_000),
  }),
  output: voteSchema,
  connections: 0,
  async run(ctx, { proposal, voters, required, timeoutMs }) {
    const id = `${ctx.workflowId}/${ctx.taskKey}`;
    const result = await ctx.coordination.vote(id, proposal, voters, required, timeoutMs);
    return { ...result, ballots: result.ballots.map((ballot) => ({ ...ballot })) };
  },
});
