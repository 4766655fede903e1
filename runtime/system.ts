/**
 * The facade of a running node: all that `http/` and the command line may know of the system.
 *
 * @module
 */

import type { Grant } from "../actors/define-agent.ts";
import type { Progress } from "../actors/ports.ts";
import type { ErrorRecord, Json } from "../machines/error-code.ts";

export type WorkflowStatus =
  | "pending"
  | "running"
  | "paused"
  | "completed"
  | "failed"
  | "cancelled"
  | "parked";

export type TaskStatus =
  | "blocked"
  | "ready"
  | "dispatched"
  | "running"
  | "succeeded"
  | "failed"
  | "cancelled"
  | "skipped"
  | "retrying"
  | "compensating"
  | "compensated"
  | "parked";

/** Times are ISO 8601 UTC strings, durations are milliseconds, `progress` is 0 to 1. */
export interface WorkflowView {
  readonly id: string;
  readonly workflow: string;
  readonly title: string;
  /** Content hash of the definition that the run is pinned to. */
  readonly version: string;
  readonly status: WorkflowStatus;
  /** State of the statechart: `week1`. */
  readonly state: string;
  readonly progress: number;
  readonly tasks: { total: number; done: number; running: number; failed: number };
  readonly priority: number;
  readonly createdAt: string;
  readonly startedAt: string | null;
  readonly finishedAt: string | null;
  readonly input: Json;
  readonly error?: ErrorRecord;
  readonly output?: Json;
}

export interface TaskView {
  readonly key: string;
  readonly title: string;
  readonly stage: string;
  readonly agent: string;
  readonly action: string;
  readonly after: readonly string[];
  readonly status: TaskStatus;
  readonly attempt: number;
  readonly progress?: Progress;
  readonly output?: Json;
  readonly error?: ErrorRecord;
  readonly readyAt: string | null;
  readonly startedAt: string | null;
  readonly finishedAt: string | null;
  readonly node: string | null;
}

export interface AgentView {
  readonly name: string;
  readonly category: string;
  readonly description: string;
  /** Action names. */
  readonly capabilities: readonly string[];
  readonly skills: readonly string[];
  readonly dependsOn: readonly string[];
  readonly status:
    | "starting"
    | "running"
    | "restarting"
    | "draining"
    | "paused"
    | "stopped"
    | "failed";
  readonly health: "healthy" | "unhealthy" | "unknown";
  readonly restarts: number;
  readonly inFlight: number;
  readonly concurrency: number;
  /** Of finished attempts since start, 0 to 1; null before the first. */
  readonly successRate: number | null;
  readonly averageMs: number | null;
  readonly lastSeenAt: string | null;
  readonly threadId: number | null;
  readonly permissions: Readonly<Record<string, Grant>>;
  readonly resources: { cpu: number; memoryMb: number };
}

export interface JournalEntry {
  readonly seq: number;
  readonly type: string;
  readonly at: string;
  readonly actor: string;
  readonly payload: Json;
}

/** A node of the supervision tree. */
export interface TreeView {
  readonly id: string;
  readonly kind: "supervisor" | "worker";
  readonly strategy?: "one_for_one" | "one_for_all" | "rest_for_one";
  readonly status: string;
  readonly restarts: number;
  readonly children: readonly TreeView[];
}

export interface SystemStatus {
  readonly nodeId: string;
  readonly version: string;
  readonly startedAt: string;
  readonly uptimeMs: number;
  readonly ready: boolean;
  readonly reasons: readonly string[];
  readonly database: { kind: "embedded" | "external"; version: string };
  readonly queue: { kind: "postgres" | "redis" };
  readonly server: { kind: "uws" | "node" } | null;
  readonly workflows: Readonly<Record<WorkflowStatus, number>>;
  readonly agents: { total: number; healthy: number };
  readonly tree: TreeView;
}

/** The seed's figures. */
export interface SystemMetrics {
  readonly tasks_per_minute: number;
  readonly average_task_duration: number;
  readonly success_rate: number;
  readonly resource_utilization: { cpu: number; memory_mb: number; event_loop_lag_ms: number };
}

export interface StartWorkflow {
  /** A registered name such as `phase1`, or a definition as JSON. */
  readonly workflow: string | Json;
  readonly input?: Readonly<Record<string, Json>>;
  readonly priority?: number;
  readonly startPaused?: boolean;
  readonly idempotencyKey?: string;
}

/** Who asked for a control operation, and why; both go into the journal. */
export interface Actor {
  readonly actor: string;
  readonly reason?: string;
}

export interface Page<T> {
  readonly items: readonly T[];
  readonly nextCursor: string | null;
}

export interface WorkflowsPort {
  /** Resolves after the run is durable. The same idempotency key gives the same run. */
  start(request: StartWorkflow, by: Actor): Promise<WorkflowView>;
  list(query: {
    status?: WorkflowStatus;
    workflow?: string;
    cursor?: string;
    limit?: number;
  }): Promise<Page<WorkflowView>>;
  get(id: string): Promise<WorkflowView | undefined>;
  tasks(id: string): Promise<readonly TaskView[] | undefined>;
  history(id: string, after: number, limit: number): Promise<readonly JournalEntry[] | undefined>;
  /** Edges by task key, stages in the order of the statechart. */
  graph(id: string): Promise<WorkflowGraph | undefined>;
  pause(id: string, by: Actor): Promise<WorkflowView>;
  resume(id: string, by: Actor): Promise<WorkflowView>;
  cancel(id: string, by: Actor): Promise<WorkflowView>;
  /** Runs failed and cancelled tasks again (or just one). */
  retry(id: string, by: Actor, taskKey?: string): Promise<WorkflowView>;
  explain(id: string, taskKey: string): Promise<TaskExplanation | undefined>;
}

export interface WorkflowGraph {
  readonly stages: readonly { name: string; title: string; tasks: readonly string[] }[];
  readonly nodes: readonly {
    key: string;
    title: string;
    agent: string;
    stage: string;
    status: TaskStatus;
  }[];
  readonly edges: readonly { from: string; to: string }[];
}

export interface TaskExplanation {
  readonly status: TaskStatus;
  /** One sentence each: `waits for "postgresql_cluster_setup" (running)`. Empty when nothing holds it. */
  readonly reasons: readonly string[];
}

export interface AgentsPort {
  list(): readonly AgentView[];
  get(name: string): AgentView | undefined;
  /** Replaces the thread in order: running attempts get a few seconds. */
  restart(name: string, by: Actor): Promise<AgentView>;
  /** Terminates the thread at once, as a crash would; the supervisor starts another. */
  kill(name: string, by: Actor): Promise<AgentView>;
  drain(name: string, by: Actor): Promise<AgentView>;
  pause(name: string, by: Actor): Promise<AgentView>;
  resume(name: string, by: Actor): Promise<AgentView>;
}

/** What the live stream carries. Topics: `system`, `events`, `workflow:ID`, `agent:NAME`. */
export type LiveBody =
  | { readonly type: "workflow"; readonly workflow: WorkflowView }
  | { readonly type: "task"; readonly workflowId: string; readonly task: TaskView }
  | { readonly type: "journal"; readonly workflowId: string; readonly entry: JournalEntry }
  | { readonly type: "agent"; readonly agent: AgentView }
  | { readonly type: "system"; readonly metrics: SystemMetrics }
  | { readonly type: "message"; readonly topic: string; readonly body: Json };

export interface LiveEvent {
  /** Grows by one per event of this process; with `epoch` it names a place in the stream. */
  readonly seq: number;
  readonly topics: readonly string[];
  readonly at: string;
  readonly body: LiveBody;
}

export interface LivePort {
  /** Changes at each start of the process: a client that resumes with another epoch needs a new snapshot. */
  readonly epoch: string;
  /** Sequence number of the newest event. */
  readonly lastSeq: () => number;
  /** Events after `seq`, oldest first, or undefined when the buffer (4,096 events) no longer holds them all. */
  since(seq: number): readonly LiveEvent[] | undefined;
  /** The listener must not throw and must not block; it is called on the main thread. */
  subscribe(listener: (event: LiveEvent) => void): () => void;
}

export interface System {
  readonly nodeId: string;
  status(): Promise<SystemStatus>;
  metrics(): SystemMetrics;
  readiness(): { ready: boolean; reasons: readonly string[] };
  readonly workflows: WorkflowsPort;
  readonly agents: AgentsPort;
  readonly live: LivePort;
  /** The newest report of a phase, as JSON and Markdown; undefined before the first. */
  phaseReport(workflowId: string): Promise<{ json: Json; markdown: string } | undefined>;
}

/** A request that the system refuses, with a stable code; `http/` turns it into problem details. */
export class RequestError extends Error {
  override readonly name = "RequestError";
  readonly code: "NOT_FOUND" | "INVALID" | "CONFLICT" | "UNAVAILABLE";
  /** JSON pointers of the invalid fields, with what is allowed there. */
  readonly fields: readonly { pointer: string; detail: string }[];

  constructor(
    code: RequestError["code"],
    message: string,
    fields: readonly { pointer: string; detail: string }[] = [],
  ) {
    super(message);
    this.code = code;
    this.fields = fields;
  }
}
