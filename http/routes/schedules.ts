/**
 * Schedules: workflows that start at set times.
 *
 * @module
 */

import { z } from "zod";
import type { ScheduleSpec } from "../../machines/schedule-spec.ts";
import { type Actor, RequestError, type System } from "../../runtime/system.ts";
import { API_ACTOR, answers, defineRoute, type Route } from "../route.ts";
import {
  backfillBody,
  newSchedule,
  overlapPolicy,
  scheduleFireView,
  scheduleView,
} from "../schedule-schemas.ts";
import { pageOf } from "../schemas.ts";

const SCHEDULE_ID = { id: "Id of the schedule" };
const reason = z.string().max(1_000).optional().describe("Kept as the schedule's note");
const pageQuery = z.strictObject({
  cursor: z.string().max(200).optional().describe("nextCursor of the page before"),
  limit: z.coerce.number().int().min(1).max(200).default(50),
});
const createQuery = z.strictObject({
  replace: z
    .enum(["true", "false"])
    .default("false")
    .describe("Takes the place of a schedule of this id that has another spec"),
});

function byApi(why: string | undefined): Actor {
  return { actor: API_ACTOR, ...(why === undefined ? {} : { reason: why }) };
}

function unknownSchedule(id: string): RequestError {
  const message = `Cannot find schedule "${id}": GET /api/v1/schedules lists all`;
  return new RequestError("NOT_FOUND", message);
}

export function scheduleRoutes(system: System): readonly Route[] {
  return [...readRoutes(system), ...writeRoutes(system), ...controlRoutes(system)];
}

function readRoutes(system: System): Route[] {
  const common = { method: "GET", tag: "Schedules", parameters: SCHEDULE_ID } as const;
  return [
    defineRoute({
      method: "GET",
      path: "/api/v1/schedules",
      tag: "Schedules",
      summary: "Schedules by id, with their next times",
      query: pageQuery,
      responses: [answers(200, "A page of schedules", pageOf(scheduleView))],
      handle: async ({ context, query: { limit, cursor } }) =>
        context.json(
          await system.schedules.list({ limit, ...(cursor === undefined ? {} : { cursor }) }),
        ),
    }),
    defineRoute({
      ...common,
      path: "/api/v1/schedules/:id",
      summary: "One schedule",
      responses: [answers(200, "The schedule", scheduleView)],
      problems: ["NOT_FOUND"],
      handle: async ({ context, param }) => {
        const schedule = await system.schedules.get(param("id"));
        if (schedule === undefined) throw unknownSchedule(param("id"));
        return context.json(schedule);
      },
    }),
    defineRoute({
      ...common,
      path: "/api/v1/schedules/:id/fires",
      summary: "What became of each of its times; newest time first",
      description: "The newest 1,000 decisions are kept.",
      query: pageQuery,
      responses: [answers(200, "A page of times", pageOf(scheduleFireView))],
      problems: ["NOT_FOUND"],
      handle: async ({ context, param, query: { limit, cursor } }) => {
        const query = { limit, ...(cursor === undefined ? {} : { cursor }) };
        const page = await system.schedules.fires(param("id"), query);
        if (page === undefined) throw unknownSchedule(param("id"));
        return context.json(page);
      },
    }),
  ];
}

function writeRoutes(system: System): Route[] {
  return [
    defineRoute({
      method: "POST",
      path: "/api/v1/schedules",
      tag: "Schedules",
      summary: "Creates a schedule; answers after it is durable",
      description:
        "Exactly one of cron, everyMs and at says when. The same id with the same spec is the same " +
        "schedule. Each time starts at most one run, under the idempotency key schedule/ID/TIME.",
      query: createQuery,
      body: newSchedule,
      responses: [
        answers(201, "The new schedule", scheduleView),
        answers(200, "The schedule that was there, or that took its place", scheduleView),
      ],
      problems: ["CONFLICT"],
      handle: async ({ context, query, body: { id, ...spec } }) => {
        const replace = query.replace === "true";
        // Keys that the caller left out are not there, as the interface wants it.
        const made = await system.schedules.create(id, spec as ScheduleSpec, { replace });
        return context.json(made.schedule, made.created ? 201 : 200, {
          location: `/api/v1/schedules/${encodeURIComponent(id)}`,
        });
      },
    }),
    defineRoute({
      method: "DELETE",
      path: "/api/v1/schedules/:id",
      tag: "Schedules",
      summary: "Removes a schedule; runs that it has started go on",
      parameters: SCHEDULE_ID,
      responses: [{ status: 204, description: "It is gone", content: {} }],
      problems: ["NOT_FOUND"],
      handle: async ({ context, param }) => {
        await system.schedules.remove(param("id"), byApi(undefined));
        return context.body(null, 204);
      },
    }),
  ];
}

function controlRoutes(system: System): Route[] {
  const common = {
    method: "POST",
    tag: "Schedules",
    parameters: SCHEDULE_ID,
    bodyRequired: false,
    responses: [answers(200, "The schedule afterwards", scheduleView)],
    problems: ["NOT_FOUND", "CONFLICT"],
  } as const;
  const body = z.strictObject({ reason });
  return [
    defineRoute({
      ...common,
      path: "/api/v1/schedules/:id/pause",
      summary: "Starts nothing more by itself; open runs go on",
      body,
      handle: async ({ context, param, body: { reason: why } }) =>
        context.json(await system.schedules.pause(param("id"), byApi(why))),
    }),
    defineRoute({
      ...common,
      path: "/api/v1/schedules/:id/resume",
      summary: "Goes on; times that came during the pause are skipped",
      body,
      handle: async ({ context, param, body: { reason: why } }) =>
        context.json(await system.schedules.resume(param("id"), byApi(why))),
    }),
    defineRoute({
      ...common,
      path: "/api/v1/schedules/:id/trigger",
      summary: "Starts one now, also during a pause",
      body: z.strictObject({ overlap: overlapPolicy.optional(), reason }),
      responses: [answers(200, "What became of it", scheduleFireView)],
      handle: async ({ context, param, body: { overlap, reason: why } }) =>
        context.json(await system.schedules.trigger(param("id"), overlap, byApi(why))),
    }),
    defineRoute({
      ...common,
      path: "/api/v1/schedules/:id/backfill",
      summary: "Makes up for the past times of a range that have no run",
      description:
        "Also during a pause. With bufferAll, the default, its runs follow one another; allowAll starts " +
        "them at once.",
      body: backfillBody,
      bodyRequired: true,
      handle: async ({ context, param, body: { from, to, overlap, reason: why } }) =>
        context.json(
          await system.schedules.backfill(param("id"), { from, to, overlap }, byApi(why)),
        ),
    }),
  ];
}
