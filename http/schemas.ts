/**
 * The views of `runtime/system.ts` as schemas, for the OpenAPI document and for typed clients.
 * The `satisfies` at the end makes the compiler compare them with the interfaces.
 *
 * @module
 */

import { z } from "zod";
import type {
  AgentDetails,
  AgentView,
  JournalEntry,
  KnownWorkflow,
  SystemMetrics,
  SystemStatus,
  TaskExplanation,
  TaskView,
  WorkflowGraph,
  WorkflowView,
} from "../runtime/system.ts";

export const workflowStatus = z.enum([
  "pending",
  "running",
  "paused",
  "completed",
  "failed",
  "cancelled",
  "parked",
]);

export const taskStatus = z.enum([
  "blocked",
  "ready",
  "dispatched",
  "running",
  "succeeded",
  "failed",
  "cancelled",
  "skipped",
  "retrying",
  "compensating",
  "compensated",
  "parked",
]);

export const json = z.unknown().describe("Any JSON value");
export const time = z.string().describe("ISO 8601 UTC");
export const errorRecord = z.object({
  name: z.string(),
  message: z.string(),
  code: z.string(),
  retryable: z.boolean(),
});

export const workflowView = z.object({
  id: z.string(),
  workflow: z.string(),
  title: z.string(),
  version: z.string().describe("Content hash of the definition"),
  status: workflowStatus,
  state: z.string().describe("State of the statechart"),
  progress: z.number().min(0).max(1),
  tasks: z.object({
    total: z.int(),
    done: z.int(),
    running: z.int(),
    failed: z.int(),
  }),
  priority: z.number(),
  createdAt: time,
  startedAt: time.nullable(),
  finishedAt: time.nullable(),
  input: json,
  error: errorRecord.optional(),
  output: json.optional(),
  archivedAt: time.optional().describe("Set when it is archived: it takes no command any more"),
});

export const taskView = z.object({
  key: z.string(),
  title: z.string(),
  stage: z.string(),
  agent: z.string(),
  action: z.string(),
  after: z.array(z.string()),
  status: taskStatus,
  attempt: z.int(),
  progress: z
    .object({
      percent: z.number().min(0).max(100).optional(),
      done: z.number().optional(),
      total: z.number().optional(),
      message: z.string().optional(),
    })
    .optional(),
  output: json.optional(),
  error: errorRecord.optional(),
  readyAt: time.nullable(),
  startedAt: time.nullable(),
  finishedAt: time.nullable(),
  node: z.string().nullable(),
});

const grant = z.union([z.boolean(), z.literal("inherit"), z.array(z.string())]);

export const agentView = z.object({
  name: z.string(),
  category: z.string(),
  description: z.string(),
  capabilities: z.array(z.string()),
  skills: z.array(z.string()),
  dependsOn: z.array(z.string()),
  status: z.enum(["starting", "running", "restarting", "draining", "paused", "stopped", "failed"]),
  health: z.enum(["healthy", "unhealthy", "unknown"]),
  restarts: z.int(),
  inFlight: z.int(),
  concurrency: z.int(),
  successRate: z.number().min(0).max(1).nullable(),
  averageMs: z.number().nullable(),
  lastSeenAt: time.nullable(),
  threadId: z.int().nullable(),
  permissions: z.record(z.string(), grant),
  resources: z.object({ cpu: z.number(), memoryMb: z.number() }),
  figures: z
    .object({
      lagMs: z.number().describe("Newest delay of its event loop"),
      cpuMs: z.number().describe("Time that its loop was busy so far"),
      heapBytes: z.number(),
      bufferBytes: z.number().describe("Outside of the heap"),
    })
    .nullable()
    .describe("Of its running thread, as it last measured itself"),
});

export const agentDetails = agentView.extend({
  isolation: z.enum(["thread", "process", "deno"]),
  enforcement: z
    .record(z.string(), z.enum(["none", "soft", "brokered", "hard"]))
    .describe("How strongly each permission holds on this node"),
  actions: z.array(
    z.object({
      name: z.string(),
      description: z.string(),
      connections: z.int().describe("Postgres connections that one run needs at most"),
      inputSchema: json.describe("JSON Schema"),
      outputSchema: json.describe("JSON Schema"),
    }),
  ),
});

export const intensity = z
  .object({ maxRestarts: z.int(), periodMs: z.number() })
  .describe("Restarts in a period beyond which the supervisor gives up");
export const autoShutdown = z.enum(["never", "any_significant", "all_significant"]);

export const journalEntry = z.object({
  seq: z.int(),
  type: z.string(),
  at: time,
  actor: z.string(),
  payload: json,
});

/** Recursive by nature; the document shows one level, the interface `TreeView` has the rest. */
export const treeView = z.object({
  id: z.string(),
  kind: z.enum(["supervisor", "worker"]),
  strategy: z.enum(["one_for_one", "one_for_all", "rest_for_one"]).optional(),
  intensity: intensity.optional(),
  autoShutdown: autoShutdown.optional(),
  significant: z.boolean().optional(),
  address: z.string().optional(),
  restart: z.enum(["permanent", "transient", "temporary"]).optional(),
  incarnation: z.int().optional(),
  status: z.string(),
  restarts: z.int(),
  lastError: errorRecord.nullish(),
  children: z.array(json),
});

export const systemStatus = z.object({
  nodeId: z.string(),
  version: z.string(),
  startedAt: time,
  uptimeMs: z.number(),
  ready: z.boolean(),
  reasons: z.array(z.string()),
  warnings: z.array(z.string()),
  database: z.object({ kind: z.enum(["embedded", "external"]), version: z.string() }),
  queue: z.object({ kind: z.enum(["postgres", "redis"]) }),
  server: z.object({ kind: z.enum(["uws", "node"]) }).nullable(),
  workflows: z.record(workflowStatus, z.int()),
  agents: z.object({ total: z.int(), healthy: z.int() }),
  tree: treeView,
});

export const systemMetrics = z.object({
  tasks_per_minute: z.number(),
  average_task_duration: z.number(),
  success_rate: z.number(),
  resource_utilization: z.object({
    cpu: z.number(),
    memory_mb: z.number(),
    event_loop_lag_ms: z.number(),
  }),
});

export const knownWorkflow = z.object({
  id: z.string().describe("Its name for a start"),
  title: z.string(),
  origin: z.enum(["built-in", "folder"]),
  stages: z.int(),
  tasks: z.int(),
  inputSchema: json.describe("JSON Schema of its input; what the node fills in is not required"),
});

export const workflowGraph = z.object({
  stages: z.array(z.object({ name: z.string(), title: z.string(), tasks: z.array(z.string()) })),
  nodes: z.array(
    z.object({
      key: z.string(),
      title: z.string(),
      agent: z.string(),
      stage: z.string(),
      status: taskStatus,
    }),
  ),
  edges: z.array(z.object({ from: z.string(), to: z.string() })),
});

const cause = z.object({
  kind: z.enum([
    "run-over",
    "run-pending",
    "run-queue",
    "paused",
    "rollback",
    "stage",
    "dependency",
    "window",
    "agent",
    "limit",
    "turn",
    "queue",
    "retry",
    "sleep",
    "signal",
    "approval",
    "child",
    "operator",
    "stopping",
  ]),
  sentence: z.string(),
  of: z.string().optional().describe("The task, stage, signal, run, agent or pool it waits for"),
  status: taskStatus.optional(),
  since: time.optional(),
  dueAt: time.optional().describe("When it goes on by itself, or is given up"),
  code: z.string().optional(),
  used: z.number().optional(),
  limit: z.number().optional(),
  holders: z
    .array(z.object({ workflowId: z.string(), task: z.string(), since: time.optional() }))
    .optional(),
  ahead: z.number().optional(),
});

export const taskExplanation = z.object({
  status: taskStatus,
  reasons: z.array(z.string()).describe("One sentence each"),
  causes: z.array(cause).describe("The same as data"),
  expectedStartAt: time.nullable().describe("From the execution plan"),
});

/** A list with the cursor of its next page. */
export function pageOf(item: z.ZodType): z.ZodType {
  return z.object({ items: z.array(item), nextCursor: z.string().nullable() });
}

/** Fails to compile when a schema asks for a field that its view does not have in that type. */
export type Fits<View, Schema extends z.ZodType> =
  View extends DeepReadonly<z.input<Schema>> ? true : never;
type DeepReadonly<T> = T extends object ? { readonly [K in keyof T]: DeepReadonly<T[K]> } : T;

void ([true, true, true, true, true, true, true, true, true, true] satisfies [
  Fits<WorkflowView, typeof workflowView>,
  Fits<TaskView, typeof taskView>,
  Fits<AgentView, typeof agentView>,
  Fits<AgentDetails, typeof agentDetails>,
  Fits<JournalEntry, typeof journalEntry>,
  Fits<SystemStatus, typeof systemStatus>,
  Fits<SystemMetrics, typeof systemMetrics>,
  Fits<KnownWorkflow, typeof knownWorkflow>,
  Fits<WorkflowGraph, typeof workflowGraph>,
  Fits<TaskExplanation, typeof taskExplanation>,
]);
