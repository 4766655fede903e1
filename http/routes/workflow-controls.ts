/**
 * What one may do to a workflow run and its tasks. Each is acknowledged after the turn that took it
 * has committed; the header Idempotency-Key makes it safe to send again.
 *
 * @module
 */

import type { Context } from "hono";
import { z } from "zod";
import type { Json } from "../../machines/error-code.ts";
import { type Operator, type Order, RequestError, type System } from "../../runtime/system.ts";
import { ProblemError } from "../problem.ts";
import { API_ACTOR, answers, defineRoute, type Route } from "../route.ts";
import { workflowStatus, workflowView } from "../schemas.ts";

const json = z.unknown() as z.ZodType as z.ZodType<Json>;
const reason = z.string().max(1_000).optional().describe("Goes into the journal");
const priority = z.int().min(1).max(5);
const name = z.string().min(1).max(200);
const graceMs = z.int().min(0).max(600_000).optional();

const orderOf = {
  pause: z.strictObject({ reason, clocks: z.enum(["stop", "run"]).optional() }),
  resume: z.strictObject({ reason }),
  cancel: z.strictObject({ reason, rollback: z.boolean().optional(), graceMs }),
  retry: z.strictObject({ reason, task: name.optional() }),
  priority: z.strictObject({ reason, priority }),
  budget: z.strictObject({ reason, limits: z.record(z.string(), z.number().min(0)) }),
  signals: z.strictObject({ name, payload: json.optional() }),
};

const answer = z.object({
  taken: z.boolean(),
  status: workflowStatus,
  seq: z.int(),
  entry: z.object({ seq: z.int(), type: z.string() }).nullable(),
  inFlight: z.int(),
  refusal: z.object({ code: z.string(), message: z.string() }).nullable(),
});
const commandedRun = workflowView.extend({
  command: answer.describe("What its turn said; the same each time that the key is sent"),
});
const bulkView = z.object({
  id: z.string(),
  matched: z.int(),
  taken: z.int(),
  refused: z.int(),
  pending: z.int(),
  refusals: z.array(z.object({ workflowId: z.string(), message: z.string() })),
});

/** @throws {ProblemError} `INVALID` for a key that is empty, too long or not printable ASCII. */
function by(context: Context, why?: string): Operator {
  const key = context.req.header("idempotency-key");
  if (key !== undefined && !/^[\x21-\x7e]{1,255}$/.test(key)) {
    const detail = "Must be 1 to 255 printable ASCII characters without spaces";
    throw new ProblemError("INVALID", "Cannot accept the header Idempotency-Key", {
      fields: [{ pointer: "/idempotency-key", detail, in: "header" }],
    });
  }
  return {
    actor: API_ACTOR,
    ...(why === undefined ? {} : { reason: why }),
    ...(key === undefined ? {} : { idempotencyKey: key }),
  };
}

const common = {
  method: "POST",
  tag: "Workflows",
  parameters: { id: "Id of the workflow run" },
  headers: { "Idempotency-Key": "The same key is the same command, with the same answer" },
  bodyRequired: false,
  responses: [answers(200, "The run now, and what the command's turn said", commandedRun)],
  problems: ["NOT_FOUND", "CONFLICT", "UNAVAILABLE"],
} as const;

export function workflowControlRoutes(system: System): readonly Route[] {
  return [
    ...runRoutes(system),
    ...taskRoutes(system),
    ...stateRoutes(system),
    ...approvalRoutes(system),
    ...bulkRoutes(system),
  ];
}

function runRoutes({ workflows }: System): Route[] {
  function route<B extends z.ZodObject>(
    path: string,
    summary: string,
    body: B,
    order: (body: z.output<B>) => Order,
  ): Route {
    return defineRoute({
      ...common,
      path: `/api/v1/workflows/:id/${path}`,
      summary,
      body: body as z.ZodType as z.ZodType<z.output<B>>,
      handle: async ({ context, param, body: given }) => {
        const { reason: why } = given as { reason?: string };
        const run = await workflows.control(
          param("id"),
          order(given as z.output<B>),
          by(context, why),
        );
        return context.json(run);
      },
    });
  }
  return [
    route("pause", "Starts no further task; running ones finish", orderOf.pause, ({ clocks }) => ({
      type: "run.pause",
      ...(clocks === undefined ? {} : { clocks }),
    })),
    route("resume", "Goes on after a pause", orderOf.resume, () => ({ type: "run.resume" })),
    route("cancel", "Stops running tasks and ends the run", orderOf.cancel, (body) => ({
      type: "run.cancel",
      ...(body.rollback === undefined ? {} : { rollback: body.rollback }),
      ...(body.graceMs === undefined ? {} : { graceMs: body.graceMs }),
    })),
    route("retry", "Runs failed and cancelled tasks again, or just one", orderOf.retry, (body) => ({
      type: "run.retry",
      taskKey: body.task ?? null,
    })),
    route("priority", "Sets the priority of a run", orderOf.priority, (body) => ({
      type: "run.priority",
      priority: body.priority,
    })),
    route("budget", "Raises hard limits", orderOf.budget, ({ limits }) => ({
      type: "run.budget",
      limits,
    })),
    route(
      "signals",
      "Sends a signal; it is kept until something takes it",
      orderOf.signals,
      (body) => ({
        type: "run.signal",
        name: body.name,
        payload: body.payload ?? null,
      }),
    ),
  ];
}

const taskOrder = z.strictObject({
  reason,
  priority: priority.optional().describe("For `priority`"),
  as: z.enum(["succeeded", "failed", "retry", "skip"]).optional().describe("For `resolve`"),
  output: json.optional().describe("For `resolve` as succeeded"),
});

function taskRoutes({ workflows }: System): Route[] {
  const summaries = {
    skip: "Skips a task that has not ended well",
    "run-now": "Lifts every limit but its agent's own from a task",
    priority: "Sets the priority of a task",
    resolve: "Decides about a parked task",
  } as const;
  return Object.entries(summaries).map(([operation, summary]) =>
    defineRoute({
      ...common,
      path: `/api/v1/workflows/:id/tasks/:key/${operation}`,
      parameters: { ...common.parameters, key: "Key of the task" },
      summary,
      body: taskOrder,
      handle: async ({ context, param, body }) => {
        const order = orderOfTask(operation as keyof typeof summaries, param("key"), body);
        return context.json(await workflows.control(param("id"), order, by(context, body.reason)));
      },
    }),
  );
}

/** @throws {RequestError} `INVALID` when the operation's own field is missing. */
function orderOfTask(
  operation: "skip" | "run-now" | "priority" | "resolve",
  taskKey: string,
  body: z.output<typeof taskOrder>,
): Order {
  const missing = (pointer: string, detail: string) =>
    new RequestError("INVALID", `Cannot ${operation} task "${taskKey}": check ${pointer}`, [
      { pointer, detail },
    ]);
  switch (operation) {
    case "skip":
      return { type: "task.skip", taskKey };
    case "run-now":
      return { type: "task.run-now", taskKey };
    case "priority":
      if (body.priority === undefined) throw missing("/priority", "must be 1 to 5");
      return { type: "task.priority", taskKey, priority: body.priority };
    case "resolve":
      if (body.as === undefined) throw missing("/as", "must be succeeded, failed, retry or skip");
      return {
        type: "task.resolve",
        taskKey,
        as: body.as,
        ...(body.output === undefined ? {} : { output: body.output }),
      };
  }
}

function stateRoutes({ workflows }: System): Route[] {
  return [
    defineRoute({
      method: "GET",
      path: "/api/v1/workflows/:id/state",
      tag: "Workflows",
      summary:
        "What a run is at and waits for: chart, context, waiting and parked tasks, signals, budget",
      parameters: common.parameters,
      responses: [
        answers(200, "The state at `seq`", z.object({ id: z.string(), seq: z.int() }).loose()),
      ],
      problems: ["NOT_FOUND"],
      handle: async ({ context, param }) => {
        const state = await workflows.state(param("id"));
        if (state !== undefined) return context.json(state);
        throw new RequestError("NOT_FOUND", `Cannot find workflow run "${param("id")}"`);
      },
    }),
    defineRoute({
      ...common,
      path: "/api/v1/workflows/:id/updates",
      summary: "Sends a signal and waits for the turn that took or refused it",
      body: orderOf.signals,
      responses: [
        answers(
          200,
          "Taken or refused",
          z.object({ answer, entry: json, name: z.string() }).loose(),
        ),
      ],
      handle: async ({ context, param, body }) =>
        context.json(
          await workflows.update(param("id"), body.name, body.payload ?? null, by(context)),
        ),
    }),
  ];
}

const decision = z.strictObject({
  decision: z.enum(["approve", "reject"]),
  reason,
  payload: json.optional(),
});

function approvalRoutes({ workflows }: System): Route[] {
  const view = z.object({ token: z.string(), task: z.string(), title: z.string() }).loose();
  return [
    defineRoute({
      method: "GET",
      path: "/api/v1/workflows/:id/approvals",
      tag: "Workflows",
      summary: "Decisions of a run that wait for a person",
      parameters: common.parameters,
      responses: [answers(200, "All on one page", z.object({ items: z.array(view) }).loose())],
      problems: ["NOT_FOUND"],
      handle: async ({ context, param }) => {
        const items = await workflows.approvals(param("id"));
        if (items !== undefined) return context.json({ items, nextCursor: null });
        throw new RequestError("NOT_FOUND", `Cannot find workflow run "${param("id")}"`);
      },
    }),
    defineRoute({
      ...common,
      path: "/api/v1/approvals/:token",
      parameters: { token: "Of the approval" },
      summary: "Approves or rejects, once",
      bodyRequired: true,
      body: decision,
      handle: async ({ context, param, body }) => {
        const given = {
          approve: body.decision === "approve",
          ...(body.payload === undefined ? {} : { payload: body.payload }),
        };
        return context.json(
          await workflows.decide(param("token"), given, by(context, body.reason)),
        );
      },
    }),
  ];
}

const bulkBody = z.strictObject({
  operation: z.enum(["pause", "resume", "cancel", "retry", "priority", "signal"]),
  priority: priority.optional(),
  rollback: z.boolean().optional(),
  graceMs,
  signal: orderOf.signals.optional(),
  filter: z.strictObject({
    ids: z.array(name).max(10_000).optional(),
    status: z.array(workflowStatus).optional(),
    workflow: name.optional(),
    tenant: z.string().max(200).optional(),
    attributes: z.record(z.string(), json).optional(),
  }),
  reason,
});

function bulkOrder(body: z.output<typeof bulkBody>): Order {
  switch (body.operation) {
    case "retry":
      return { type: "run.retry", taskKey: null };
    case "cancel":
      return {
        type: "run.cancel",
        ...(body.rollback === undefined ? {} : { rollback: body.rollback }),
        ...(body.graceMs === undefined ? {} : { graceMs: body.graceMs }),
      };
    case "priority":
      if (body.priority === undefined)
        throw new RequestError("INVALID", "Cannot set a priority: it is missing", [
          { pointer: "/priority", detail: "must be 1 to 5" },
        ]);
      return { type: "run.priority", priority: body.priority };
    case "signal":
      if (body.signal === undefined)
        throw new RequestError("INVALID", "Cannot send a signal: it is missing", [
          { pointer: "/signal", detail: "must have a name" },
        ]);
      return { type: "run.signal", name: body.signal.name, payload: body.signal.payload ?? null };
    case "pause":
    case "resume":
      return { type: `run.${body.operation}` };
  }
}

function bulkRoutes({ workflows }: System): Route[] {
  return [
    defineRoute({
      ...common,
      path: "/api/v1/workflows/bulk",
      parameters: {},
      summary: "One operation on all runs that a filter matches, 10,000 at most",
      description:
        "Stored whole before it begins; `pending` runs will answer, see /api/v1/bulk/:id.",
      bodyRequired: true,
      body: bulkBody,
      responses: [answers(200, "How many took it", bulkView)],
      handle: async ({ context, body }) => {
        const { ids, status, workflow, tenant, attributes } = body.filter;
        const filter = {
          ...(ids === undefined ? {} : { ids }),
          ...(status === undefined ? {} : { status }),
          ...(workflow === undefined ? {} : { workflow }),
          ...(tenant === undefined ? {} : { tenant }),
          ...(attributes === undefined ? {} : { attributes }),
        };
        return context.json(
          await workflows.bulk(bulkOrder(body), filter, by(context, body.reason)),
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
        throw new RequestError("NOT_FOUND", `Cannot find the operation "${param("id")}"`);
      },
    }),
  ];
}
