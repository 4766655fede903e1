/**
 * PROJECTORCHESTRATOR.coordinate_phase1_execution: sets up how the agents of Phase 1 work together.
 *
 * @module
 */

import { z } from "zod";
import { capability } from "../../define-agent.ts";
import {
  createWeekBarrier,
  weekArrivals,
  weekBarrierId,
} from "../../workflows/phase1/week-barrier.ts";
import { jsonSchema } from "../json-schema.ts";

/** What the agents that run side by side in Phase 1 need at its peak: INFRASTRUCTURE, ARCHITECT and this one. */
export const phase1Need = { cpu: 1.3, memoryMb: 2_304 } as const;

/** Topic of the progress report. */
export const phase1Topic = "phase1.progress";

/** A phase has one reservation; the review at its end releases it. */
export function phase1ReservationId(workflowId: string): string {
  return `${workflowId}/phase1`;
}

export const coordinatePhase1Execution = capability({
  description: "Creates a group and a barrier for each week, reserves resources, reports the plan",
  input: z.object({ plan: z.record(z.string(), jsonSchema) }),
  output: z.object({
    groups: z.array(z.object({ id: z.string(), members: z.array(z.string()) })),
    barriers: z.array(z.string()),
    reservation: z.object({ id: z.string(), cpu: z.number(), memoryMb: z.number() }),
    topic: z.string(),
  }),
  connections: 0,
  async run(ctx, { plan }) {
    const { workflowId, coordination } = ctx;
    const groups: { id: string; members: string[] }[] = [];
    const barriers: string[] = [];
    for (const [week, arrivals] of Object.entries(weekArrivals)) {
      const id = weekBarrierId(workflowId, week);
      const members = Object.keys(arrivals);
      await coordination.createGroup(id, members);
      await createWeekBarrier(ctx, week);
      groups.push({ id, members });
      barriers.push(id);
      ctx.heartbeat({ done: barriers.length, total: Object.keys(weekArrivals).length });
    }
    const id = phase1ReservationId(workflowId);
    await coordination.reserve(id, workflowId, phase1Need);
    await ctx.bus.publish(phase1Topic, { workflowId, event: "phase.coordinated", barriers, plan });
    return { groups, barriers, reservation: { id, ...phase1Need }, topic: phase1Topic };
  },
  async compensate(ctx) {
    await ctx.coordination.release(phase1ReservationId(ctx.workflowId));
  },
});
