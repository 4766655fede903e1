/**
 * Limits of the flow of work, and who holds their slots.
 *
 * @module
 */

import { z } from "zod";
import type { LimitsView, SlotView, System } from "../../runtime/system.ts";
import { answers, defineRoute, type Route } from "../route.ts";

const poolLimit = z.object({
  limit: z.int().optional(),
  rate: z.object({ limit: z.int(), perMs: z.int(), burst: z.int().optional() }).optional(),
});
const limitsView = z.object({
  global: poolLimit,
  agents: z.record(z.string(), poolLimit),
  keys: z.record(z.string(), poolLimit),
  tenants: z.record(z.string(), z.object({ weight: z.number() })),
  ageingMs: z.int().describe("How much waiting one level of priority is worth"),
  node: z
    .object({ cpu: z.number().nullable(), memoryMb: z.number().nullable() })
    .describe("What tasks of this node may take together; null: no limit"),
});
const slotView = z.object({
  pool: z.string().describe("agent/NAME, key/KEY or global"),
  workflowId: z.string(),
  taskKey: z.string(),
  attempt: z.int().describe("0 for one that waits"),
  state: z.enum(["holds", "waits"]),
  node: z.string().describe("The node that owns the run"),
  since: z.string().describe("ISO 8601 UTC"),
});

const slotQuery = z.strictObject({
  pool: z.string().min(1).max(600).optional().describe("Only of this pool"),
});

export function limitRoutes(system: System): readonly Route[] {
  return [
    defineRoute({
      method: "GET",
      path: "/api/v1/limits",
      tag: "System",
      summary: "Limits of the flow of work, as configured",
      responses: [answers(200, "The limits", limitsView)],
      handle: ({ context }) => context.json(system.limits.limits()),
    }),
    defineRoute({
      method: "GET",
      path: "/api/v1/slots",
      tag: "System",
      summary: "Who holds slots of the limits over all nodes, since when, and which nodes wait",
      query: slotQuery,
      responses: [answers(200, "The slots, oldest first", z.object({ items: z.array(slotView) }))],
      handle: async ({ context, query: { pool } }) =>
        context.json({ items: await system.limits.slots(pool) }),
    }),
  ];
}

// The schemas say what the interfaces say.
type Same<A, B> = [A] extends [B] ? true : never;
true satisfies Same<SlotView, z.output<typeof slotView>>;
true satisfies Same<LimitsView, z.input<typeof limitsView>>;
