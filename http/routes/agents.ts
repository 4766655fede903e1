/**
 * Agents: what they are, how they are, and the five things one may do to them.
 *
 * @module
 */

import { z } from "zod";
import { RequestError, type System } from "../../runtime/system.ts";
import { API_ACTOR, answers, defineRoute, type Route } from "../route.ts";
import { agentDetails, agentView, pageOf } from "../schemas.ts";

const reasonBody = z.strictObject({
  reason: z.string().max(1_000).optional().describe("Goes into the journal"),
});

const CONTROLS = [
  ["restart", "Restarts the agent's thread; its running tasks are retried"],
  ["kill", "Terminates the agent's thread at once, as a crash would; its tasks are retried"],
  ["drain", "Lets running tasks finish and gives the agent no more"],
  ["pause", "Gives the agent no more tasks until it is resumed"],
  ["resume", "Gives the agent tasks again after a pause or drain"],
] as const;

export function agentRoutes(system: System): readonly Route[] {
  const { agents } = system;
  const parameters = { name: "Name of the agent, such as DIRECTOR" };
  const find = (name: string) => {
    const agent = agents.get(name);
    if (agent !== undefined) return agent;
    throw new RequestError(
      "NOT_FOUND",
      `Cannot find agent "${name}": GET /api/v1/agents lists all`,
    );
  };
  return [
    defineRoute({
      method: "GET",
      path: "/api/v1/agents",
      tag: "Agents",
      summary: "All agents",
      responses: [answers(200, "All agents on one page", pageOf(agentView))],
      handle: ({ context }) => context.json({ items: agents.list(), nextCursor: null }),
    }),
    defineRoute({
      method: "GET",
      path: "/api/v1/agents/:name",
      tag: "Agents",
      summary: "One agent, with the schemas of its actions and how strongly its permissions hold",
      parameters,
      responses: [answers(200, "The agent", agentDetails)],
      problems: ["NOT_FOUND"],
      handle: ({ context, param }) => context.json(find(param("name"))),
    }),
    ...CONTROLS.map(([control, summary]) =>
      defineRoute({
        method: "POST",
        path: `/api/v1/agents/:name/${control}`,
        tag: "Agents",
        summary,
        parameters,
        body: reasonBody,
        bodyRequired: false,
        responses: [answers(200, "The agent afterwards", agentView)],
        problems: ["NOT_FOUND", "CONFLICT"],
        handle: async ({ context, param, body }) => {
          const { name } = find(param("name"));
          const by = {
            actor: API_ACTOR,
            ...(body.reason === undefined ? {} : { reason: body.reason }),
          };
          return context.json(await agents[control](name, by));
        },
      }),
    ),
  ];
}
