/**
 * Schedules as schemas; the `satisfies` at the end compares them with the interfaces.
 *
 * @module
 */

import { z } from "zod";
import type { Json } from "../machines/error-code.ts";
import { overlapPolicies, scheduleDefaults } from "../machines/schedule-spec.ts";
import type { ScheduleFireView, ScheduleView } from "../runtime/system.ts";
import { json as anyJson, type Fits, time } from "./schemas.ts";

/** What `JSON.parse` gave is JSON; checking it again would only make the document recursive. */
const json = z.unknown() as z.ZodType as z.ZodType<Json>;
const duration = z.int().min(0).describe("Milliseconds");
const timeIn = z.string().max(40).describe("ISO 8601 with offset: 2026-03-29T03:00:00Z");
const { bufferLimit, catchupWindowMs, overlap } = scheduleDefaults;

export const overlapPolicy = z
  .enum(overlapPolicies)
  .describe("What happens at a time whose predecessor still runs");

const specFields = {
  workflow: z
    .union([z.string().min(1).max(200), z.record(z.string(), json)])
    .describe('A registered name such as "phase1", or a definition as JSON'),
  input: z.record(z.string(), json).optional().describe("By parameter name"),
  timeInput: z
    .string()
    .min(1)
    .max(200)
    .optional()
    .describe("Parameter that gets the scheduled time, ISO 8601 UTC"),
  priority: z.int().min(1).max(5).optional().describe("1 (background) to 5 (critical)"),
  tenant: z.string().min(1).max(100).optional().describe("Whom its runs count for in fairness"),
  attributes: z
    .record(z.string().min(1).max(100), z.union([z.string().max(1_000), z.number(), z.boolean()]))
    .optional()
    .describe("Its runs get them: attribute.KEY=VALUE finds them"),
  cron: z
    .array(z.string().min(1).max(200))
    .optional()
    .describe("Five fields, or six with seconds first; several are joined"),
  timeZone: z.string().max(100).optional().describe("IANA name that cron is read in; default UTC"),
  everyMs: duration.optional().describe("Milliseconds, counted from 1970-01-01T00:00:00Z"),
  offsetMs: duration.optional().describe("Moves the times of everyMs"),
  at: z.array(timeIn).optional().describe("Single times"),
  startAt: timeIn.optional().describe("No earlier time counts"),
  endAt: timeIn.optional().describe("No later time counts"),
  jitterMs: duration
    .optional()
    .describe("Each time is put off by 0 to this long, always the same for the same time"),
  overlap: overlapPolicy
    .optional()
    .describe(`What happens while a run is open; default ${overlap}`),
  bufferLimit: z
    .int()
    .optional()
    .describe(`How many times bufferAll keeps; default ${bufferLimit}`),
  catchupWindowMs: duration
    .optional()
    .describe(`Older times are not made up for after a downtime; default ${catchupWindowMs}`),
  pauseOnFailure: z.boolean().optional(),
  maxRuns: z.int().optional().describe("Runs that it starts before it ends"),
};

export const newSchedule = z.strictObject({
  id: z.string().min(1).max(100).describe("Letters, digits, dots, dashes and underscores"),
  ...specFields,
});

const backfillRange = { from: timeIn, to: timeIn };

export const backfillBody = z.strictObject({
  ...backfillRange,
  overlap: overlapPolicy.default("bufferAll"),
  reason: z.string().max(1_000).optional(),
});

export const scheduleView = z.object({
  id: z.string(),
  spec: z.object({ ...specFields, workflow: anyJson, input: anyJson.optional() }),
  status: z.enum(["active", "paused", "ended"]),
  note: z.string().nullable().describe("Why it is paused, or what the last operator said"),
  next: z.array(z.object({ time, dueAt: time })).describe("The next five times"),
  open: z.array(z.object({ time, workflowId: z.string().nullable() })),
  waiting: z.array(time).describe("Times that wait for an open run to end"),
  backfills: z.array(z.object({ from: time, to: time, overlap: overlapPolicy })),
  remaining: z.int().nullable(),
  counts: z.object({
    started: z.int(),
    skipped: z.int(),
    missed: z.int(),
    completed: z.int(),
    failed: z.int(),
    cancelled: z.int(),
  }),
  createdAt: time,
  updatedAt: time,
});

export const scheduleFireView = z.object({
  time,
  outcome: z.enum(["starting", "started", "buffered", "skipped", "missed", "failed"]),
  workflowId: z.string().nullable(),
  reason: z.string().nullable(),
  backfill: z.boolean(),
  at: time.describe("When it was decided"),
});

void ([true, true] satisfies [
  Fits<ScheduleView, typeof scheduleView>,
  Fits<ScheduleFireView, typeof scheduleFireView>,
]);
