/**
 * PROJECTORCHESTRATOR.close_barrier: comes last to a barrier and insists that it is open then.
 *
 * @module
 */

import { z } from "zod";
import { AgentError } from "../../../machines/error-code.ts";
import { capability } from "../../define-agent.ts";
import { barrierId } from "../arrive-at-barrier.ts";

export const closeBarrier = capability({
  description: "Arrives last at a barrier; fails while anyone is missing there",
  input: z.object({ barrier: z.string().min(1).max(100) }),
  output: z.object({ barrier: z.string(), open: z.literal(true) }),
  connections: 0,
  async run(ctx, { barrier }) {
    const id = barrierId(ctx.workflowId, barrier);
    const { missing } = await ctx.coordination.arriveAtBarrier(id, ctx.agent);
    if (missing.length > 0) {
      throw new AgentError(
        "BARRIER_WAITING",
        `Cannot pass the barrier "${barrier}": ${missing.join(", ")} did not arrive yet`,
        { retryable: true },
      );
    }
    return { barrier, open: true as const };
  },
});
