/**
 * Workflow runs: start, list, read.
 *
 * @module
 */

import { z } from "zod";
import type { Json } from "../../machines/error-code.ts";
import { RequestError, type RunQuery, type System } from "../../runtime/system.ts";
import { idempotencyKeyOf } from "../operator.ts";
import { API_ACTOR, answers, defineRoute, type Route } from "../route.ts";
import {
  journalEntry,
  knownWorkflow,
  pageOf,
  taskExplanation,
  taskView,
  workflowGraph,
  workflowStatus,
  workflowView,
} from "../schemas.ts";

/** Items of a page: of workflows, of journal entries. */
const MAX_PAGE = 200;
const MAX_HISTORY = 1_000;

/** What `JSON.parse` gave is JSON; checking it again would only make the document recursive. */
const json = z.unknown() as z.ZodType as z.ZodType<Json>;
const jsonObject = z.record(z.string(), json);

const startBody = z.strictObject({
  workflow: z
    .union([z.string().min(1).max(200), jsonObject])
    .describe('A registered name such as "phase1", or a definition as JSON'),
  input: jsonObject.optional().describe("By parameter name"),
  priority: z.int().min(1).max(5).optional().describe("1 (background) to 5 (critical)"),
  startPaused: z.boolean().optional(),
  attributes: z
    .record(z.string().min(1).max(100), z.union([z.string().max(1_000), z.number(), z.boolean()]))
    .optional()
    .describe("Searchable: attribute.KEY=VALUE finds the run"),
  tenant: z.string().max(200).optional().describe("Whom the run counts for in fairness"),
});

const limitOf = (max: number, preset: number) =>
  z.coerce.number().int().min(1).max(max).default(preset);

const name = z.string().min(1).max(500).optional();
const moment = z.iso.datetime({ offset: true }).optional();
const ATTRIBUTE = "attribute.";

const listQuery = z
  .object({
    status: workflowStatus.optional(),
    workflow: z.string().min(1).max(200).optional(),
    agent: name.describe("Has a task of this agent"),
    code: name.describe("Error code of the run, or of one of its tasks"),
    since: moment.describe("Created at this time or later; ISO 8601"),
    until: moment.describe("Created before this time; ISO 8601"),
    parent: name.describe("Id of the run that started it"),
    root: name.describe("Id of the topmost run of its tree"),
    schedule: name.describe("Id of the schedule that started it"),
    forkedFrom: name.describe("Id of the run that it continues"),
    archived: z
      .stringbool()
      .optional()
      .describe("Only archived runs, or only others; default both"),
    cursor: z.string().max(500).optional().describe("nextCursor of the page before"),
    limit: limitOf(MAX_PAGE, 50),
  })
  // `attribute.KEY=VALUE`, any number of them.
  .catchall(z.string().max(1_000))
  .superRefine((query, context) => {
    const known = Object.keys(listQuery.shape);
    const keys = Object.keys(query).filter(
      (key) => !known.includes(key) && !key.startsWith(ATTRIBUTE),
    );
    if (keys.length > 0) context.addIssue({ code: "unrecognized_keys", keys, input: query });
  });

function searchOf(query: z.output<typeof listQuery>): RunQuery {
  const { since, until, ...rest } = query;
  const attributes = Object.entries(rest).filter(([key]) => key.startsWith(ATTRIBUTE));
  const others = Object.entries(rest).filter(
    ([key, value]) => !key.startsWith(ATTRIBUTE) && value !== undefined,
  );
  return {
    ...(Object.fromEntries(others) as RunQuery),
    ...(since === undefined ? {} : { sinceMs: Date.parse(since) }),
    ...(until === undefined ? {} : { untilMs: Date.parse(until) }),
    ...(attributes.length === 0
      ? {}
      : {
          attributes: Object.fromEntries(
            attributes.map(([key, value]) => [key.slice(ATTRIBUTE.length), String(value)]),
          ),
        }),
  };
}

const historyQuery = z.strictObject({
  after: z.coerce.number().int().min(0).default(0).describe("Entries with a greater seq"),
  limit: limitOf(MAX_HISTORY, 200),
});

const reportQuery = z.strictObject({
  format: z.enum(["json", "md"]).optional().describe("Default: by the Accept header, else json"),
});

const WORKFLOW_ID = { id: "Id of the workflow run" };

function unknownWorkflow(id: string): RequestError {
  return new RequestError(
    "NOT_FOUND",
    `Cannot find workflow "${id}": GET /api/v1/workflows lists all`,
  );
}

export function workflowRoutes(system: System): readonly Route[] {
  return [startRoute(system), ...listRoutes(system), ...partRoutes(system), reportRoute(system)];
}

function startRoute({ workflows }: System): Route {
  return defineRoute({
    method: "POST",
    path: "/api/v1/workflows",
    tag: "Workflows",
    summary: "Starts a workflow; answers after the run is durable",
    headers: { "Idempotency-Key": "The same key gives the same run, however often it is sent" },
    body: startBody,
    responses: [answers(201, "The run", workflowView)],
    problems: ["NOT_FOUND", "CONFLICT"],
    handle: async ({ context, body }) => {
      const idempotencyKey = idempotencyKeyOf(context);
      const workflow = await workflows.start(
        {
          workflow: body.workflow,
          ...(body.input === undefined ? {} : { input: body.input }),
          ...(body.priority === undefined ? {} : { priority: body.priority }),
          ...(body.attributes === undefined ? {} : { attributes: body.attributes }),
          ...(body.startPaused === undefined ? {} : { startPaused: body.startPaused }),
          ...(body.tenant === undefined ? {} : { tenant: body.tenant }),
          ...(idempotencyKey === undefined ? {} : { idempotencyKey }),
        },
        { actor: API_ACTOR },
      );
      return context.json(workflow, 201, {
        location: `/api/v1/workflows/${encodeURIComponent(workflow.id)}`,
      });
    },
  });
}

function listRoutes({ workflows }: System): Route[] {
  return [
    defineRoute({
      method: "GET",
      path: "/api/v1/definitions",
      tag: "Workflows",
      summary: "Workflows that can be started by name, the user's own first",
      description:
        "inputSchema is read off the actions that the inputs are handed to; a start that does not fit it is refused.",
      responses: [answers(200, "All on one page", pageOf(knownWorkflow))],
      handle: ({ context }) => context.json({ items: workflows.known(), nextCursor: null }),
    }),
    defineRoute({
      method: "GET",
      path: "/api/v1/workflows",
      tag: "Workflows",
      summary: "Workflow runs, newest first",
      query: listQuery,
      responses: [answers(200, "A page of runs", pageOf(workflowView))],
      description: "Further filters: attribute.KEY=VALUE, any number of them.",
      handle: async ({ context, query }) => context.json(await workflows.list(searchOf(query))),
    }),
    defineRoute({
      method: "GET",
      path: "/api/v1/workflows/:id",
      tag: "Workflows",
      summary: "One workflow run",
      parameters: WORKFLOW_ID,
      responses: [answers(200, "The run", workflowView)],
      problems: ["NOT_FOUND"],
      handle: async ({ context, param }) => {
        const workflow = await workflows.get(param("id"));
        if (workflow === undefined) throw unknownWorkflow(param("id"));
        return context.json(workflow);
      },
    }),
  ];
}

function partRoutes({ workflows }: System): Route[] {
  return [
    defineRoute({
      method: "GET",
      path: "/api/v1/workflows/:id/tasks",
      tag: "Workflows",
      summary: "The tasks of a run",
      parameters: WORKFLOW_ID,
      responses: [answers(200, "All tasks on one page", pageOf(taskView))],
      problems: ["NOT_FOUND"],
      handle: async ({ context, param }) => {
        const items = await workflows.tasks(param("id"));
        if (items === undefined) throw unknownWorkflow(param("id"));
        return context.json({ items, nextCursor: null });
      },
    }),
    defineRoute({
      method: "GET",
      path: "/api/v1/workflows/:id/history",
      tag: "Workflows",
      summary: "The journal of a run, oldest first",
      parameters: WORKFLOW_ID,
      query: historyQuery,
      responses: [answers(200, "Entries; nextCursor is the next `after`", pageOf(journalEntry))],
      problems: ["NOT_FOUND"],
      handle: async ({ context, param, query }) => {
        const items = await workflows.history(param("id"), query.after, query.limit);
        if (items === undefined) throw unknownWorkflow(param("id"));
        const last = items.length < query.limit ? undefined : items.at(-1);
        return context.json({ items, nextCursor: last === undefined ? null : String(last.seq) });
      },
    }),
    defineRoute({
      method: "GET",
      path: "/api/v1/workflows/:id/graph",
      tag: "Workflows",
      summary: "Stages, tasks and the edges between them",
      parameters: WORKFLOW_ID,
      responses: [answers(200, "The graph", workflowGraph)],
      problems: ["NOT_FOUND"],
      handle: async ({ context, param }) => {
        const graph = await workflows.graph(param("id"));
        if (graph === undefined) throw unknownWorkflow(param("id"));
        return context.json(graph);
      },
    }),
    defineRoute({
      method: "GET",
      path: "/api/v1/workflows/:id/tasks/:key/explain",
      tag: "Workflows",
      summary: "Why a task is not running",
      parameters: { ...WORKFLOW_ID, key: "Key of the task" },
      responses: [answers(200, "Its status and what holds it", taskExplanation)],
      problems: ["NOT_FOUND"],
      handle: async ({ context, param }) => {
        const explanation = await workflows.explain(param("id"), param("key"));
        if (explanation !== undefined) return context.json(explanation);
        const detail = `Cannot find task "${param("key")}" of workflow "${param("id")}": GET its /tasks`;
        throw new RequestError("NOT_FOUND", detail);
      },
    }),
  ];
}

function reportRoute(system: System): Route {
  return defineRoute({
    method: "GET",
    path: "/api/v1/workflows/:id/report",
    tag: "Workflows",
    summary: "The report of a phase, as JSON or Markdown",
    parameters: WORKFLOW_ID,
    query: reportQuery,
    responses: [
      {
        status: 200,
        description: "The report",
        content: { "application/json": json, "text/markdown": undefined },
      },
    ],
    problems: ["NOT_FOUND"],
    handle: async ({ context, param, query }) => {
      const id = param("id");
      if ((await system.workflows.get(id)) === undefined) throw unknownWorkflow(id);
      const report = await system.phaseReport(id);
      if (report === undefined) {
        const detail = `Cannot show the report of workflow "${id}": it is written by the last task`;
        throw new RequestError("NOT_FOUND", detail);
      }
      const accepted = context.req.header("accept") ?? "";
      const isMarkdown =
        query.format === undefined ? accepted.includes("text/markdown") : query.format === "md";
      const vary = { vary: "accept" };
      return isMarkdown
        ? context.body(report.markdown, 200, {
            ...vary,
            "content-type": "text/markdown; charset=utf-8",
          })
        : context.body(JSON.stringify(report.json), 200, {
            ...vary,
            "content-type": "application/json",
          });
    },
  });
}
