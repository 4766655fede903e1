/**
 * Execution plans, and dry runs in virtual time.
 *
 * @module
 */

import { z } from "zod";
import type { Json } from "../../machines/error-code.ts";
import { RequestError, type SimulateWorkflow, type System } from "../../runtime/system.ts";
import { planView, simulationView } from "../plan-schemas.ts";
import { answers, defineRoute, type Route } from "../route.ts";

/** What `JSON.parse` gave is JSON; checking it again would only make the document recursive. */
const json = z.unknown() as z.ZodType as z.ZodType<Json>;
const jsonObject = z.record(z.string(), json);
/** A century; longer durations are mistakes. */
const longestMs = 100 * 366 * 24 * 3_600_000;

const givenTask = z.strictObject({
  durationMs: z.number().min(0).max(longestMs).optional().describe("Default: what its past says"),
  fail: z
    .array(
      z.strictObject({
        attempt: z.int().min(1).optional().describe("Default: every attempt"),
        code: z.string().min(1).max(100),
        retryable: z.boolean().optional().describe("Default true"),
      }),
    )
    .max(100)
    .optional()
    .describe("Attempts that fail"),
  output: json.optional().describe("Default: null wherever something reads"),
  never: z.boolean().optional().describe("Nobody answers: the task waits for ever"),
});

const simulateBody = z.strictObject({
  workflow: z
    .union([z.string().min(1).max(200), jsonObject])
    .describe('A registered name such as "phase1", or a definition as JSON'),
  input: jsonObject.optional().describe("By parameter name"),
  priority: z.int().min(1).max(5).optional(),
  tasks: z
    .record(z.string(), givenTask)
    .optional()
    .describe("Durations, failures and outputs by key of the task"),
});

function requestOf(body: z.output<typeof simulateBody>): SimulateWorkflow {
  // Optional fields that are missing are missing in what zod gives, too.
  return JSON.parse(JSON.stringify(body)) as SimulateWorkflow;
}

export function planRoutes(system: System): readonly Route[] {
  return [
    defineRoute({
      method: "GET",
      path: "/api/v1/workflows/:id/plan",
      tag: "Plans",
      summary: "The execution plan of a run, as of now",
      description:
        "Critical path, slack, parallel groups, checkpoints, rollback points, what it needs, and when it will end, with an interval.",
      parameters: { id: "Id of the workflow run" },
      responses: [answers(200, "The plan", planView)],
      problems: ["NOT_FOUND"],
      handle: async ({ context, param }) => {
        const plan = await system.plans.ofRun(param("id"));
        if (plan !== undefined) return context.json(plan);
        const detail = `Cannot find workflow "${param("id")}": GET /api/v1/workflows lists all`;
        throw new RequestError("NOT_FOUND", detail);
      },
    }),
    defineRoute({
      method: "POST",
      path: "/api/v1/workflows/plan",
      tag: "Plans",
      summary: "The plan of a workflow before it starts, with a dry run; nothing is stored",
      body: simulateBody,
      responses: [
        answers(200, "Plan and dry run", z.object({ plan: planView, dryRun: simulationView })),
      ],
      handle: async ({ context, body }) => context.json(await system.plans.before(requestOf(body))),
    }),
    defineRoute({
      method: "POST",
      path: "/api/v1/workflows/simulate",
      tag: "Plans",
      summary: "Runs a workflow in virtual time, with durations and failures that are given",
      description:
        "The engine's own turns, admission and timers with a clock that jumps; no agent is called and nothing is stored.",
      body: simulateBody,
      responses: [answers(200, "What happened", simulationView)],
      handle: async ({ context, body }) =>
        context.json(await system.plans.simulate(requestOf(body))),
    }),
  ];
}
