/**
 * Schemas of execution plans and dry runs.
 *
 * @module
 */

import { z } from "zod";
import type { PlanView, SimulationView } from "../runtime/system.ts";
import {
  errorRecord,
  type Fits,
  journalEntry,
  json,
  taskStatus,
  time,
  workflowStatus,
} from "./schemas.ts";

const ms = z.number().describe("Milliseconds");
const at = time;

const taskPlan = z.object({
  key: z.string(),
  stage: z.string(),
  agent: z.string().nullable(),
  action: z.string().nullable(),
  kind: z.enum(["action", "workflow", "signal", "approval", "sleep"]),
  after: z.array(z.string()),
  status: taskStatus,
  expectedMs: ms,
  source: z
    .enum(["task", "action", "definition", "guess", "actual"])
    .describe("What the duration is taken from"),
  observations: z.number(),
  startAt: at,
  finishAt: at,
  slackMs: ms.describe("How much later it may end without delaying the whole, limits left aside"),
  critical: z.boolean().describe("On the critical path"),
  criticality: z
    .number()
    .describe("In which part of the forecast's executions it decided when the run ended"),
  items: z.object({ count: z.number(), known: z.boolean() }).nullable(),
  skipped: z.boolean(),
  conditional: z.boolean(),
});

export const planView = z.object({
  workflowId: z.string().nullable().describe("Null before the start"),
  workflow: z.string(),
  status: z.union([workflowStatus, z.literal("planned")]),
  computedAt: at,
  finish: z
    .object({ expectedAt: at, lowAt: at, highAt: at, confidence: z.number() })
    .nullable()
    .describe("Null when nothing is left to run; while paused: if it were resumed now"),
  remainingMs: ms.nullable(),
  samples: z.number(),
  complete: z.boolean().describe("False: signals or outputs decide what comes after these tasks"),
  criticalPath: z.array(z.string()),
  criticalPathMs: ms,
  groups: z.array(z.object({ level: z.number(), tasks: z.array(z.string()) })),
  checkpoints: z.array(z.object({ after: z.string(), kind: z.enum(["task", "stage"]) })),
  rollbackPoints: z.array(
    z.object({
      at: z.string(),
      undoes: z.array(z.string()),
      permanent: z.array(z.string()),
    }),
  ),
  tasks: z.array(taskPlan),
  resources: z.object({
    maxParallel: z.number(),
    peakTasks: z.number(),
    connections: z.object({ limit: z.number(), peak: z.number() }),
    agents: z.array(
      z.object({
        agent: z.string(),
        limit: z.number(),
        tasks: z.number(),
        peak: z.number(),
        busyMs: ms,
      }),
    ),
  }),
});

export const simulationView = z.object({
  workflow: z.string(),
  status: workflowStatus,
  makespanMs: ms,
  output: json,
  error: errorRecord.nullable(),
  attempts: z.array(
    z.object({
      workflowId: z.string(),
      task: z.string(),
      agent: z.string(),
      action: z.string(),
      attempt: z.number(),
      undo: z.boolean(),
      waitedMs: ms,
      startMs: ms,
      finishMs: ms,
      outcome: z.enum(["succeeded", "failed", "stopped"]),
      code: z.string().nullable(),
    }),
  ),
  agents: z.array(
    z.object({
      agent: z.string(),
      limit: z.number(),
      attempts: z.number(),
      busyMs: ms,
      utilisation: z.number(),
    }),
  ),
  unfinished: z.array(
    z.object({ task: z.string(), status: taskStatus, code: z.string().nullable() }),
  ),
  placeholders: z.array(z.string()).describe("Tasks whose outputs were made up"),
  journal: z.array(journalEntry),
  journalLength: z.number(),
});

void ([true, true] satisfies [
  Fits<PlanView, typeof planView>,
  Fits<SimulationView, typeof simulationView>,
]);
