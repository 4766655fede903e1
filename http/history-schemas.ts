/**
 * Schemas of the past of runs.
 *
 * @module
 */

import { z } from "zod";
import type {
  AuditFinding,
  MoveCheckView,
  RetentionView,
  RunDiffView,
  SnapshotView,
} from "../runtime/system.ts";
import { errorRecord, type Fits, json, taskStatus, time, workflowStatus } from "./schemas.ts";

export const snapshotView = z.object({
  id: z.string(),
  workflow: z.string(),
  version: z.string().describe("Content hash of the definition that it was pinned to"),
  seq: z.number(),
  at: time.nullable().describe("When the entry was written"),
  status: workflowStatus,
  state: z.string(),
  priority: z.number(),
  input: json,
  output: json,
  error: errorRecord.nullable(),
  chart: json.describe("State value, context, what is invoked, history; null before the start"),
  spent: z.record(z.string(), z.number()),
  signals: json.describe("Signals that nothing had taken"),
  tasks: z.array(
    z.object({
      key: z.string(),
      status: taskStatus,
      attempt: z.number(),
      failures: z.number(),
      node: z.string().nullable(),
      startedAt: time.nullable(),
      finishedAt: time.nullable(),
      error: errorRecord.nullable(),
      output: json.optional().describe("Set when it had succeeded by then"),
    }),
  ),
  timers: z.array(
    z.object({
      key: z.string(),
      event: json,
      dueAt: time.nullable().describe("Null while its clock stands still"),
      remainingMs: z.number().nullable(),
    }),
  ),
});

const difference = z.object({
  path: z.string().describe("JSON pointer"),
  left: json,
  right: json,
});
const compared = z
  .object({
    status: taskStatus,
    attempt: z.number(),
    durationMs: z.number().nullable(),
    code: z.string().nullable(),
  })
  .nullable();
const pair = z.object({ left: z.string(), right: z.string() }).nullable();

export const runDiffView = z.object({
  left: z.string(),
  right: z.string(),
  definition: pair.describe("Null when both have the same version"),
  status: z.object({ left: workflowStatus, right: workflowStatus }).nullable(),
  input: z.array(difference),
  output: z.array(difference),
  tasks: z.array(
    z.object({ key: z.string(), left: compared, right: compared, output: z.array(difference) }),
  ),
  journal: z
    .object({ seq: z.number(), left: z.string().nullable(), right: z.string().nullable() })
    .nullable()
    .describe("Where the journals part"),
});

export const moveCheckView = z.object({
  workflow: z.string(),
  version: z.string().nullable().describe("Content hash of the definition that is registered now"),
  runs: z.array(
    z.object({
      id: z.string(),
      version: z.string(),
      verdict: z.enum(["current", "movable", "cannot", "unregistered"]),
      reasons: z.array(z.string()),
    }),
  ),
});

export const auditFinding = z.object({
  workflowId: z.string(),
  rule: z.enum(["gap-free", "readable", "fold"]),
  path: z.string(),
  detail: z.string(),
});

const count = z.int().min(0);
export const retentionView = z.object({
  runs: count,
  tasks: count,
  journal: count,
  timers: count,
  commands: count,
  approvals: count,
  archived: count.describe("Rows that came into the archive"),
  deleted: count.describe("Archived runs that were too old for the archive, too"),
  busy: z.boolean().describe("Another node was at it; what it moves is not counted here"),
});

export const attributesView = z.object({ attributes: z.record(z.string(), json) });

void ([true, true, true, true, true] satisfies [
  Fits<SnapshotView, typeof snapshotView>,
  Fits<RunDiffView, typeof runDiffView>,
  Fits<MoveCheckView, typeof moveCheckView>,
  Fits<AuditFinding, typeof auditFinding>,
  Fits<RetentionView, typeof retentionView>,
]);
