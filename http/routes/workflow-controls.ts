/**
 * What one may do to a workflow run: pause, resume, cancel, retry. Acknowledged after it is durable.
 *
 * @module
 */

import { z } from "zod";
import type { Actor, System } from "../../runtime/system.ts";
import { API_ACTOR, answers, defineRoute, type Route } from "../route.ts";
import { workflowView } from "../schemas.ts";

const reason = z.string().max(1_000).optional().describe("Goes into the journal");
const reasonBody = z.strictObject({ reason });
const retryBody = z.strictObject({
  reason,
  task: z.string().min(1).max(200).optional().describe("Only this task; default all that failed"),
});

const CONTROLS = [
  ["pause", "Starts no further task; running ones finish"],
  ["resume", "Goes on after a pause"],
  ["cancel", "Stops running tasks and ends the run"],
] as const;

function byApi(why: string | undefined): Actor {
  return { actor: API_ACTOR, ...(why === undefined ? {} : { reason: why }) };
}

export function workflowControlRoutes({ workflows }: System): readonly Route[] {
  const common = {
    method: "POST",
    tag: "Workflows",
    parameters: { id: "Id of the workflow run" },
    bodyRequired: false,
    responses: [answers(200, "The run afterwards", workflowView)],
    problems: ["NOT_FOUND", "CONFLICT"],
  } as const;
  return [
    ...CONTROLS.map(([control, summary]) =>
      defineRoute({
        ...common,
        path: `/api/v1/workflows/:id/${control}`,
        summary,
        body: reasonBody,
        handle: async ({ context, param, body }) =>
          context.json(await workflows[control](param("id"), byApi(body.reason))),
      }),
    ),
    defineRoute({
      ...common,
      path: "/api/v1/workflows/:id/retry",
      summary: "Runs failed and cancelled tasks again, or just one",
      body: retryBody,
      handle: async ({ context, param, body }) =>
        context.json(await workflows.retry(param("id"), byApi(body.reason), body.task)),
    }),
  ];
}
