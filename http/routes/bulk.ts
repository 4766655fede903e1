/**
 * One operation on many runs, or a look at which runs it would go to.
 *
 * @module
 */

import { z } from "zod";
import type { Json } from "../../machines/error-code.ts";
import { type BulkFilter, type Order, RequestError, type System } from "../../runtime/system.ts";
import { operatorOf } from "../operator.ts";
import { answers, defineRoute, type Route } from "../route.ts";
import { workflowStatus } from "../schemas.ts";

const json = z.unknown() as z.ZodType as z.ZodType<Json>;
const text = z
  .string()
  .max(200)
  .refine((given) => !given.includes("\u0000"), "must not hold U+0000");
const name = text.min(1);
const moment = z.iso.datetime({ offset: true }).optional();

const filter = z
  .strictObject({
    ids: z.array(name).max(10_000).optional(),
    status: z.array(workflowStatus).optional(),
    workflow: name.optional(),
    tenant: text.optional(),
    agent: name.optional().describe("Has a task of this agent"),
    code: name.optional().describe("Error code of the run, or of one of its tasks"),
    since: moment.describe("Created at this time or later; ISO 8601"),
    until: moment.describe("Created before this time; ISO 8601"),
    attributes: z.record(z.string(), json).optional(),
  })
  .refine((given) => Object.values(given).some((value) => value !== undefined), {
    error: "must have at least one condition; for all runs, list each status",
  });

const common = {
  filter,
  reason: z.string().max(1_000).optional().describe("Goes into the journals"),
  dryRun: z.boolean().optional().describe("Only tells which runs match; nothing is stored"),
};
const body = z.discriminatedUnion("operation", [
  z.strictObject({ operation: z.enum(["pause", "resume", "retry"]), ...common }),
  z.strictObject({
    operation: z.literal("cancel"),
    rollback: z.boolean().optional(),
    graceMs: z.int().min(0).max(600_000).optional(),
    ...common,
  }),
  z.strictObject({
    operation: z.literal("priority"),
    priority: z.int().min(1).max(5),
    ...common,
  }),
  z.strictObject({
    operation: z.literal("signal"),
    signal: z.strictObject({ name, payload: json.optional() }),
    ...common,
  }),
]);
type Body = z.output<typeof body>;

const bulkView = z.object({
  id: z.string(),
  matched: z.int(),
  taken: z.int(),
  refused: z.int(),
  pending: z.int(),
  refusals: z.array(z.object({ workflowId: z.string(), message: z.string() })),
});
const preview = z.object({
  dryRun: z.literal(true),
  matched: z.int(),
  statuses: z.record(z.string(), z.int()).describe("How many by status"),
  runs: z
    .array(z.object({ id: z.string(), workflow: z.string(), status: workflowStatus }))
    .describe("The oldest hundred"),
});

function orderOf(given: Body): Order {
  switch (given.operation) {
    case "pause":
    case "resume":
      return { type: `run.${given.operation}` };
    case "retry":
      return { type: "run.retry", taskKey: null };
    case "cancel":
      return {
        type: "run.cancel",
        ...(given.rollback === undefined ? {} : { rollback: given.rollback }),
        ...(given.graceMs === undefined ? {} : { graceMs: given.graceMs }),
      };
    case "priority":
      return { type: "run.priority", priority: given.priority };
    case "signal":
      return { type: "run.signal", name: given.signal.name, payload: given.signal.payload ?? null };
  }
}

function filterOf({ since, until, ...rest }: Body["filter"]): BulkFilter {
  return {
    ...(Object.fromEntries(
      Object.entries(rest).filter(([, value]) => value !== undefined),
    ) as BulkFilter),
    ...(since === undefined ? {} : { sinceMs: Date.parse(since) }),
    ...(until === undefined ? {} : { untilMs: Date.parse(until) }),
  };
}

export function bulkRoutes({ workflows }: System): readonly Route[] {
  return [
    defineRoute({
      method: "POST",
      path: "/api/v1/workflows/bulk",
      tag: "Workflows",
      summary: "One operation on all runs that a filter matches, 10,000 at most",
      description:
        "Stored whole before it begins; `pending` runs will answer, see /api/v1/bulk/:id. With `dryRun` it only tells which runs match.",
      headers: { "Idempotency-Key": "The same key is the same operation, with the same runs" },
      body,
      responses: [answers(200, "How many took it, or which match", z.union([bulkView, preview]))],
      problems: ["CONFLICT", "UNAVAILABLE"],
      handle: async ({ context, body: given }) => {
        const by = operatorOf(context, given.reason);
        const chosen = filterOf(given.filter);
        return context.json(
          given.dryRun === true
            ? await workflows.bulkPreview(chosen)
            : await workflows.bulk(orderOf(given), chosen, by),
        );
      },
    }),
    defineRoute({
      method: "GET",
      path: "/api/v1/bulk/:id",
      tag: "Workflows",
      summary: "How far an operation on many runs is",
      parameters: { id: "Of the operation: its Idempotency-Key, or what its answer said" },
      responses: [answers(200, "How many took it", bulkView)],
      problems: ["NOT_FOUND"],
      handle: async ({ context, param }) => {
        const view = await workflows.bulkState(param("id"));
        if (view !== undefined) return context.json(view);
        const hint = "its id is its Idempotency-Key, or what its answer said";
        throw new RequestError("NOT_FOUND", `Cannot find the operation "${param("id")}": ${hint}`);
      },
    }),
  ];
}
