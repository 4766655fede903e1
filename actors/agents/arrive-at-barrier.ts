/**
 * The action `arrive_at_barrier`, which any agent may offer.
 *
 * @module
 */

import { z } from "zod";
import { capability } from "../define-agent.ts";

/** A barrier belongs to one run: its id is made of the run's and its own name. */
export function barrierId(workflowId: string, name: string): string {
  return `${workflowId}/${name}`;
}

export const arriveAtBarrier = capability({
  description: "Tells a barrier of this run that the agent is there, and hears who is missing",
  input: z.object({ barrier: z.string().min(1).max(100) }),
  output: z.object({ barrier: z.string(), agent: z.string(), missing: z.array(z.string()) }),
  connections: 0,
  async run(ctx, { barrier }) {
    const id = barrierId(ctx.workflowId, barrier);
    const { missing } = await ctx.coordination.arriveAtBarrier(id, ctx.agent);
    return { barrier, agent: ctx.agent, missing: [...missing] };
  },
});
