/**
 * What one may do to a workflow run and its tasks. Each is acknowledged after the turn that took it
 * has committed; the header Idempotency-Key makes it safe to send again.
 *
 * @module
 */

import { z } from "zod";
import type { Json } from "../../machines/error-code.ts";
import { type Order, RequestError, type System } from "../../runtime/system.ts";
import { operatorOf } from "../operator.ts";
import { answers, defineRoute, type Route } from "../route.ts";
import { workflowStatus, workflowView } from "../schemas.ts";

const json = z.unknown() as z.ZodType as z.ZodType<Json>;
const reason = z.string().max(1_000).optional().describe("Goes into the journal");
const priority = z.int().min(1).max(5);
const name = z.string().min(1).max(200);
const graceMs = z.int().min(0).max(600_000).optional();
const unknownRun = (id: string): RequestError =>
  new RequestError(
    "NOT_FOUND",
    `Cannot find workflow run "${id}": GET /api/v1/workflows lists all`,
  );

const orderOf = {
  pause: z.strictObject({ reason, clocks: z.enum(["stop", "run"]).optional() }),
  resume: z.strictObject({ reason }),
  cancel: z.strictObject({ reason, rollback: z.boolean().optional(), graceMs }),
  retry: z.strictObject({ reason, task: name.optional() }),
  priority: z.strictObject({ reason, priority }),
  budget: z.strictObject({ reason, limits: z.record(z.string(), z.number().min(0)) }),
  signals: z.strictObject({ name, payload: json.optional(), reason }),
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
          operatorOf(context, why),
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

const ofTask = {
  skip: z.strictObject({ reason }),
  "run-now": z.strictObject({ reason }),
  priority: z.strictObject({ reason, priority }),
  resolve: z
    .strictObject({
      reason,
      as: z.enum(["succeeded", "failed", "retry", "skip"]),
      output: json.optional().describe("Of the task, with `as: succeeded`"),
    })
    .refine((body) => body.output === undefined || body.as === "succeeded", {
      path: ["output"],
      error: 'is for "as": "succeeded" only',
    }),
};

function taskRoutes({ workflows }: System): Route[] {
  function route<B extends z.ZodType<{ reason?: string | undefined }>>(
    path: string,
    summary: string,
    body: B,
    order: (taskKey: string, body: z.output<B>) => Order,
  ): Route {
    return defineRoute({
      ...common,
      path: `/api/v1/workflows/:id/tasks/:key/${path}`,
      parameters: { ...common.parameters, key: "Key of the task" },
      summary,
      body: body as z.ZodType as z.ZodType<z.output<B>>,
      handle: async ({ context, param, body: given }) => {
        const by = operatorOf(context, (given as z.output<B>).reason);
        const asked = order(param("key"), given as z.output<B>);
        return context.json(await workflows.control(param("id"), asked, by));
      },
    });
  }
  return [
    route("skip", "Skips a task that has not ended well", ofTask.skip, (taskKey) => ({
      type: "task.skip",
      taskKey,
    })),
    route(
      "run-now",
      "Lifts every limit but its agent's own from a task",
      ofTask["run-now"],
      (taskKey) => ({ type: "task.run-now", taskKey }),
    ),
    route("priority", "Sets the priority of a task", ofTask.priority, (taskKey, body) => ({
      type: "task.priority",
      taskKey,
      priority: body.priority,
    })),
    route("resolve", "Decides about a parked task", ofTask.resolve, (taskKey, body) => ({
      type: "task.resolve",
      taskKey,
      as: body.as,
      ...(body.output === undefined ? {} : { output: body.output }),
    })),
  ];
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
        throw unknownRun(param("id"));
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
          await workflows.update(
            param("id"),
            body.name,
            body.payload ?? null,
            operatorOf(context, body.reason),
          ),
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
        throw unknownRun(param("id"));
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
          await workflows.decide(param("token"), given, operatorOf(context, body.reason)),
        );
      },
    }),
  ];
}
