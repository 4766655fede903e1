/**
 * The past of workflow runs: snapshots, forks, differences, attributes; and which versions fit open runs.
 *
 * @module
 */

import { z } from "zod";
import type { Json } from "../../machines/error-code.ts";
import {
  type ForkRequest,
  RequestError,
  type RetentionRequest,
  type System,
} from "../../runtime/system.ts";
import {
  attributesView,
  auditFinding,
  moveCheckView,
  retentionView,
  runDiffView,
  snapshotView,
} from "../history-schemas.ts";
import { API_ACTOR, answers, defineRoute, type Route } from "../route.ts";
import { workflowView } from "../schemas.ts";

const json = z.unknown() as z.ZodType as z.ZodType<Json>;
const RUN = { id: "Id of the workflow run" };
const by = { actor: API_ACTOR };

const forkBody = z.strictObject({
  at: z.int().min(1).describe("Number of the journal entry after which the fork goes on"),
  input: z.record(z.string(), json).optional().describe("Default: the input of the run"),
  definition: z
    .enum(["same", "latest"])
    .optional()
    .describe("Default same: the version that the run was pinned to then"),
  stub: z
    .union([z.boolean(), z.array(z.string().min(1).max(200)).max(10_000)])
    .optional()
    .describe("Tasks that take what the run has recorded instead of being run; true: all of them"),
});

const attributes = z
  .record(
    z.string().min(1).max(100),
    z.union([z.string().max(1_000), z.number(), z.boolean(), z.null()]),
  )
  .refine((set) => Object.keys(set).length <= 100, "must have at most 100 fields");

function unknown(id: string): RequestError {
  const message = `Cannot find workflow "${id}": GET /api/v1/workflows lists all`;
  return new RequestError("NOT_FOUND", message);
}

export function historyRoutes(system: System): readonly Route[] {
  return [...pastRoutes(system), ...versionRoutes(system)];
}

function pastRoutes(system: System): Route[] {
  const common = { tag: "History", parameters: RUN, problems: ["NOT_FOUND", "CONFLICT"] } as const;
  return [
    defineRoute({
      ...common,
      method: "GET",
      path: "/api/v1/workflows/:id/snapshot",
      summary: "A run exactly as it was after an entry of its journal",
      query: z.strictObject({
        at: z.coerce.number().int().min(0).optional().describe("Default: the newest entry"),
      }),
      responses: [answers(200, "The state at that moment", snapshotView)],
      handle: async ({ context, param, query }) => {
        const snapshot = await system.history.snapshot(param("id"), query.at);
        if (snapshot === undefined) throw unknown(param("id"));
        return context.json(snapshot);
      },
    }),
    defineRoute({
      ...common,
      method: "POST",
      path: "/api/v1/workflows/:id/fork",
      summary: "Starts a new run that continues this one from an entry of its journal",
      description:
        "Finished tasks stay finished, what was under way is begun again, timers have as much left as then.",
      body: forkBody,
      responses: [answers(201, "The new run", workflowView)],
      handle: async ({ context, param, body }) => {
        // Optional fields that are missing are missing in what zod gives, too.
        const request = JSON.parse(JSON.stringify(body)) as ForkRequest;
        const id = await system.history.fork(param("id"), request, by);
        const run = await system.workflows.get(id);
        if (run === undefined) throw unknown(id);
        return context.json(run, 201, { location: `/api/v1/workflows/${encodeURIComponent(id)}` });
      },
    }),
    defineRoute({
      ...common,
      method: "GET",
      path: "/api/v1/workflows/:id/diff",
      summary: "Where two runs differ: version, input, tasks, outputs, the order of their journals",
      query: z.strictObject({ with: z.string().min(1).max(500).describe("Id of the other run") }),
      responses: [answers(200, "Only what differs", runDiffView)],
      handle: async ({ context, param, query }) =>
        context.json(await system.history.diff(param("id"), query.with)),
    }),
    defineRoute({
      ...common,
      method: "POST",
      path: "/api/v1/workflows/:id/unpark",
      summary: "Lets a parked run go on once what was wrong with it is corrected",
      bodyRequired: false,
      body: z.strictObject({}),
      responses: [answers(200, "The run afterwards", workflowView)],
      handle: async ({ context, param }) => {
        await system.history.unpark(param("id"), by);
        return context.json(await system.workflows.get(param("id")));
      },
    }),
    defineRoute({
      ...common,
      method: "PATCH",
      path: "/api/v1/workflows/:id/attributes",
      summary: "Sets searchable attributes of a run; null takes one away",
      body: z.strictObject({ attributes }),
      responses: [answers(200, "All attributes afterwards", attributesView)],
      handle: async ({ context, param, body }) => {
        const all = await system.history.setAttributes(param("id"), body.attributes, by);
        if (all === undefined) throw unknown(param("id"));
        return context.json({ attributes: all });
      },
    }),
  ];
}

function versionRoutes(system: System): Route[] {
  return [
    defineRoute({
      method: "POST",
      path: "/api/v1/definitions/check",
      tag: "History",
      summary: "Which open runs could go on with the definitions that are registered now",
      bodyRequired: false,
      body: z.strictObject({ workflow: z.string().min(1).max(200).optional() }),
      responses: [answers(200, "By workflow", z.object({ items: z.array(moveCheckView) }))],
      handle: async ({ context, body }) =>
        context.json({ items: await system.history.checkVersions(body.workflow) }),
    }),
    defineRoute({
      method: "POST",
      path: "/api/v1/system/archive",
      tag: "History",
      summary: "Moves ended runs out of the live tables now; what is archived can still be read",
      bodyRequired: false,
      body: z.strictObject({
        olderThanMs: z.number().min(0).optional().describe("Ended before; default as configured"),
        then: z.enum(["archive", "delete"]).optional(),
      }),
      responses: [answers(200, "Rows that left the live tables", retentionView)],
      handle: async ({ context, body }) =>
        context.json(
          await system.history.archive(JSON.parse(JSON.stringify(body)) as RetentionRequest),
        ),
    }),
    defineRoute({
      method: "POST",
      path: "/api/v1/system/audit",
      tag: "History",
      summary: "Checks that every journal is without gaps and folds to exactly the stored rows",
      responses: [
        answers(200, "What is wrong: nothing", z.object({ items: z.array(auditFinding) })),
      ],
      handle: async ({ context }) => context.json({ items: await system.history.audit() }),
    }),
  ];
}
