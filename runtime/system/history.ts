/**
 * The past of workflow runs: states at any moment, forks, differences, the archive, and moves to
 * another version of their definition.
 *
 * @module
 */

import type { ErrorRecord, Json } from "../../machines/error-code.ts";
import type { Actor } from "./requests.ts";
import type { TaskStatus, WorkflowStatus } from "./workflows.ts";

/** A run after entry `seq` of its journal. Times are ISO 8601 UTC. */
export interface SnapshotView {
  readonly id: string;
  readonly workflow: string;
  readonly version: string;
  readonly seq: number;
  /** When the entry was written; null for 0, before the first. */
  readonly at: string | null;
  readonly status: WorkflowStatus;
  readonly state: string;
  readonly priority: number;
  readonly input: Json;
  readonly output: Json;
  readonly error: ErrorRecord | null;
  /** State value, context, what is invoked, history; null before the start. */
  readonly chart: Json;
  readonly spent: Readonly<Record<string, number>>;
  readonly signals: Json;
  readonly tasks: readonly SnapshotTask[];
  readonly timers: readonly {
    readonly key: string;
    readonly event: Json;
    readonly dueAt: string | null;
    readonly remainingMs: number | null;
  }[];
}

export interface SnapshotTask {
  readonly key: string;
  readonly status: TaskStatus;
  readonly attempt: number;
  readonly failures: number;
  readonly node: string | null;
  readonly startedAt: string | null;
  readonly finishedAt: string | null;
  readonly error: ErrorRecord | null;
  /** Set when it had succeeded by then. */
  readonly output?: Json;
}

export interface ForkRequest {
  /** Number of the journal entry after which the fork goes on; the rest of that entry's event belongs to it. */
  readonly at: number;
  /** Default: the input of the run. */
  readonly input?: Readonly<Record<string, Json>>;
  /** Default `same`: the version that the run was pinned to then. */
  readonly definition?: "same" | "latest";
  /** Tasks that take what the run has recorded instead of being run; true: all that it has recorded. */
  readonly stub?: boolean | readonly string[];
}

/** One difference: `left` and `right` are null where there is nothing. */
export interface ValueDifference {
  /** JSON pointer. */
  readonly path: string;
  readonly left: Json;
  readonly right: Json;
}

export interface TaskDifference {
  readonly key: string;
  readonly left: ComparedTask | null;
  readonly right: ComparedTask | null;
  readonly output: readonly ValueDifference[];
}

export interface ComparedTask {
  readonly status: TaskStatus;
  readonly attempt: number;
  readonly durationMs: number | null;
  readonly code: string | null;
}

export interface RunDiffView {
  readonly left: string;
  readonly right: string;
  /** Null when both have the same version. */
  readonly definition: { readonly left: string; readonly right: string } | null;
  readonly status: { readonly left: WorkflowStatus; readonly right: WorkflowStatus } | null;
  readonly input: readonly ValueDifference[];
  readonly output: readonly ValueDifference[];
  /** Tasks of which status, attempts, error or output differ; durations alone are no difference. */
  readonly tasks: readonly TaskDifference[];
  /** Where the journals part: the first number whose type or task differs; null when none does. */
  readonly journal: {
    readonly seq: number;
    readonly left: string | null;
    readonly right: string | null;
  } | null;
}

export interface MoveCheckView {
  readonly workflow: string;
  /** Content hash of the definition that is registered now; null when none is. */
  readonly version: string | null;
  readonly runs: readonly {
    readonly id: string;
    readonly version: string;
    readonly verdict: "current" | "movable" | "cannot" | "unregistered";
    readonly reasons: readonly string[];
  }[];
}

/** Something about a run's journal that is not as it must be. */
export interface AuditFinding {
  readonly workflowId: string;
  readonly rule: "gap-free" | "readable" | "fold";
  /** `status`, `tasks.scan.attempt`, `timers.retry/scan`; empty when it is about the whole. */
  readonly path: string;
  readonly detail: string;
}

/** What a pass of archiving did: rows that left the live tables, by table. */
export interface RetentionView {
  readonly runs: number;
  readonly tasks: number;
  readonly journal: number;
  readonly timers: number;
  readonly commands: number;
  readonly approvals: number;
  /** Rows that came into the archive. */
  readonly archived: number;
  /** Archived runs that were deleted because they were too old for the archive, too. */
  readonly deleted: number;
  /** Another node was at it: what it moves is not counted here. */
  readonly busy: boolean;
}

export interface RetentionRequest {
  /** Runs that ended before this long ago. Default: as configured. */
  readonly olderThanMs?: number;
  readonly then?: "archive" | "delete";
}

export interface HistoryPort {
  /** Moves ended runs out of the live tables now. */
  archive(request: RetentionRequest): Promise<RetentionView>;
  /** Undefined when there is no such run. */
  snapshot(id: string, at?: number): Promise<SnapshotView | undefined>;
  /** Resolves with the id of the fork once it is durable. */
  fork(id: string, request: ForkRequest, by: Actor): Promise<string>;
  /** Undefined when there is no such run; otherwise all that are set now. Null takes one away. */
  setAttributes(
    id: string,
    set: Readonly<Record<string, string | number | boolean | null>>,
    by: Actor,
  ): Promise<Readonly<Record<string, Json>> | undefined>;
  /** Lets a parked run go on, after what was wrong with it was corrected; it is parked again if it was not. */
  unpark(id: string, by: Actor): Promise<void>;
  /** Every finding is a bug of the engine, or a hand in the database. */
  audit(): Promise<readonly AuditFinding[]>;
  diff(left: string, right: string): Promise<RunDiffView>;
  /** What is open, of each registered workflow or of one. Changes nothing. */
  checkVersions(workflow?: string): Promise<readonly MoveCheckView[]>;
}
