/**
 * Workflow runs as people and programs see them, and what one may ask of them.
 *
 * @module
 */

import type { Progress } from "../../actors/ports.ts";
import type { ErrorRecord, Json } from "../../machines/error-code.ts";
import type { CommandedRun, ControlPort, Operator } from "./control.ts";
import type { Actor, Page } from "./requests.ts";

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
  /** Set when it is archived: everything can still be read of it, and it takes no command any more. */
  readonly archivedAt?: string;
}

export interface TaskView {
  /** `render`; in a later round of its stage `render#2`, and of one item `render[3]`. */
  readonly key: string;
  /** What it waits for: an agent, a child run, a signal, a person, or time. */
  readonly kind: "action" | "workflow" | "signal" | "approval" | "sleep";
  /** Of one item of a list: key of the task that stands for the whole list. */
  readonly of?: string;
  /** Of a task with a list that has begun: its items. */
  readonly items?: {
    readonly total: number;
    readonly done: number;
    readonly running: number;
    readonly failed: number;
  };
  readonly title: string;
  readonly stage: string;
  /** Empty unless the kind is `action`. */
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

export interface JournalEntry {
  readonly seq: number;
  readonly type: string;
  readonly at: string;
  readonly actor: string;
  readonly payload: Json;
}

export interface StartWorkflow {
  /** A registered name such as `phase1`, or a definition as JSON. */
  readonly workflow: string | Json;
  readonly input?: Readonly<Record<string, Json>>;
  readonly priority?: number;
  readonly startPaused?: boolean;
  /** Whom the run counts for in fairness. */
  readonly tenant?: string;
  /** The schedule that starts it. */
  readonly scheduleId?: string;
  readonly idempotencyKey?: string;
  /** User-set and searchable. */
  readonly attributes?: Readonly<Record<string, string | number | boolean>>;
}

/** A workflow that can be started by its name. */
export interface KnownWorkflow {
  readonly id: string;
  readonly title: string;
  /** `folder`: of a module of the user. */
  readonly origin: "built-in" | "folder";
  readonly stages: number;
  readonly tasks: number;
  /** JSON Schema of its input, an object; what the node fills in by itself is not required. */
  readonly inputSchema: Json;
}

export interface RunQuery {
  readonly status?: WorkflowStatus;
  readonly workflow?: string;
  /** Has a task of this agent. */
  readonly agent?: string;
  /** Error code of the run, or of one of its tasks. */
  readonly code?: string;
  /** Created at or after, and before; epoch milliseconds. */
  readonly sinceMs?: number;
  readonly untilMs?: number;
  readonly parent?: string;
  readonly root?: string;
  readonly schedule?: string;
  readonly forkedFrom?: string;
  /** As text: `5` finds the number and the text. */
  readonly attributes?: Readonly<Record<string, string>>;
  /** Only archived runs, or only those that are not; absent: both. */
  readonly archived?: boolean;
  readonly cursor?: string;
  readonly limit?: number;
}

export interface WorkflowsPort extends ControlPort {
  /** What can be started by name: the user's own first. */
  known(): readonly KnownWorkflow[];
  /** Resolves after the run is durable. The same idempotency key gives the same run. */
  start(request: StartWorkflow, by: Actor): Promise<WorkflowView>;
  /** Newest first; all that is asked for must hold. */
  list(query: RunQuery): Promise<Page<WorkflowView>>;
  get(id: string): Promise<WorkflowView | undefined>;
  tasks(id: string): Promise<readonly TaskView[] | undefined>;
  history(id: string, after: number, limit: number): Promise<readonly JournalEntry[] | undefined>;
  /** Edges by task key, stages in the order of the statechart. */
  graph(id: string): Promise<WorkflowGraph | undefined>;
  pause(id: string, by: Operator): Promise<CommandedRun>;
  resume(id: string, by: Operator): Promise<CommandedRun>;
  cancel(id: string, by: Operator): Promise<CommandedRun>;
  /** Runs failed and cancelled tasks again (or just one). */
  retry(id: string, by: Operator, taskKey?: string): Promise<CommandedRun>;
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
  /** The same as data, in the same order. */
  readonly causes: readonly CauseView[];
  /** ISO 8601 UTC, from the execution plan; null for a task that has begun, or that nobody plans. */
  readonly expectedStartAt: string | null;
}

/** One thing that holds a task. Times are ISO 8601 UTC. */
export interface CauseView {
  readonly kind:
    | "run-over"
    | "run-pending"
    | "run-queue"
    | "paused"
    | "rollback"
    | "stage"
    | "dependency"
    | "window"
    | "agent"
    | "limit"
    | "turn"
    | "queue"
    | "retry"
    | "sleep"
    | "signal"
    | "approval"
    | "child"
    | "operator"
    | "stopping";
  readonly sentence: string;
  /** The task, stage, signal, run, agent or pool that it waits for. */
  readonly of?: string;
  /** Status of that task. */
  readonly status?: TaskStatus;
  readonly since?: string;
  /** When it goes on by itself, or is given up. */
  readonly dueAt?: string;
  readonly code?: string;
  /** Of a limit: how much is in use of how much, and by whom. */
  readonly used?: number;
  readonly limit?: number;
  readonly holders?: readonly { workflowId: string; task: string; since?: string }[];
  /** Of its turn: how many come before it. */
  readonly ahead?: number;
}
