/**
 * PROJECTORCHESTRATOR.open_barrier: sets the place where agents of a run wait for each other.
 *
 * @module
 */

import { z } from "zod";
import { capability } from "../../define-agent.ts";
import { barrierId } from "../arrive-at-barrier.ts";

export const openBarrier = capability({
  description: "Creates a group of agents and a barrier that opens when all of them arrived",
  input: z.object({
    barrier: z.string().min(1).max(100),
    participants: z.array(z.string()).min(1).max(64),
    timeoutMs: z.number().positive().max(604_800_000),
  }),
  output: z.object({ barrier: z.string(), participants: z.array(z.string()) }),
  connections: 0,
  async run(ctx, { barrier, participants, timeoutMs }) {
    const id = barrierId(ctx.workflowId, barrier);
    await ctx.coordination.createGroup(id, participants);
    await ctx.coordination.createBarrier(id, [...participants, ctx.agent], timeoutMs);
    return { barrier, participants };
  },
});
