/**
 * What agents are asked to vote on. A ballot is a decision on these facts and on the voter's own data.
 *
 * @module
 */

import { z } from "zod";

/** A success criterion, with what was asked and what was measured. */
export const criterionSchema = z.object({
  name: z.string(),
  unit: z.string(),
  required: z.number(),
  /** Null: nothing measured it. */
  measured: z.number().nullable(),
  met: z.boolean(),
});

export type Criterion = z.infer<typeof criterionSchema>;

export const proposalSchema = z.discriminatedUnion("kind", [
  z.object({
    kind: z.literal("accept_phase1"),
    workflowId: z.string(),
    runId: z.string(),
    read: z.number().int(),
    migrated: z.number().int(),
    rejected: z.number().int(),
    criteria: z.array(criterionSchema).max(50),
    failedChecks: z.array(z.string()).max(100),
    severeFindings: z.array(z.string()).max(100),
  }),
  z.object({
    kind: z.literal("publish_page"),
    title: z.string(),
    html: z.string().max(60_000),
    /** What the page must tell of. */
    topics: z.array(z.string()).max(200),
  }),
]);

export type Proposal = z.infer<typeof proposalSchema>;

export const ballotSchema = z.object({ approve: z.boolean(), reason: z.string() });

export type BallotDecision = z.infer<typeof ballotSchema>;
