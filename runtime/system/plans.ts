/**
 * Execution plans and dry runs as people and programs see them.
 *
 * @module
 */

import type { ErrorRecord, Json } from "../../machines/error-code.ts";
import type { JournalEntry, StartWorkflow, TaskStatus, WorkflowStatus } from "./workflows.ts";

/** An interval that holds the truth with the given confidence. Times are ISO 8601 UTC. */
export interface FinishView {
  readonly expectedAt: string;
  readonly lowAt: string;
  readonly highAt: string;
  /** 0.95: of a hundred such intervals about 95 hold the truth. */
  readonly confidence: number;
}

/** Durations are milliseconds. */
export interface TaskPlanView {
  readonly key: string;
  readonly stage: string;
  readonly agent: string | null;
  readonly action: string | null;
  readonly kind: "action" | "workflow" | "signal" | "approval" | "sleep";
  readonly after: readonly string[];
  readonly status: TaskStatus;
  readonly expectedMs: number;
  /** What the duration is taken from: the task's own past, its action's elsewhere, the definition, a guess, or what it was. */
  readonly source: "task" | "action" | "definition" | "guess" | "actual";
  readonly observations: number;
  readonly startAt: string;
  readonly finishAt: string;
  readonly slackMs: number;
  readonly critical: boolean;
  /** 0 to 1: in how many of the forecast's executions it decided when the run ended. */
  readonly criticality: number;
  /** Of a group; `known` is false when the list is not there yet. */
  readonly items: { readonly count: number; readonly known: boolean } | null;
  /** It is not expected to run: an alternative, or its condition does not hold. */
  readonly skipped: boolean;
  /** Whether it runs is not known yet. */
  readonly conditional: boolean;
}

export interface PlanView {
  /** Null before the start. */
  readonly workflowId: string | null;
  readonly workflow: string;
  readonly status: WorkflowStatus | "planned";
  readonly computedAt: string;
  /** Null when nothing is left to run. While the run is paused: if it were resumed now. */
  readonly finish: FinishView | null;
  /** From now to the expected end; null when nothing is left to run. */
  readonly remainingMs: number | null;
  /** Executions that were drawn. */
  readonly samples: number;
  /** False: signals or outputs decide what comes after the planned tasks. */
  readonly complete: boolean;
  readonly criticalPath: readonly string[];
  readonly criticalPathMs: number;
  /** Tasks of a group wait for none of each other. */
  readonly groups: readonly { readonly level: number; readonly tasks: readonly string[] }[];
  /** Everything before has ended, nothing behind has begun. */
  readonly checkpoints: readonly { readonly after: string; readonly kind: "task" | "stage" }[];
  /** Up to each checkpoint since the one before: what a rollback undoes, and what it cannot. */
  readonly rollbackPoints: readonly {
    readonly at: string;
    readonly undoes: readonly string[];
    readonly permanent: readonly string[];
  }[];
  readonly tasks: readonly TaskPlanView[];
  readonly resources: {
    readonly maxParallel: number;
    readonly peakTasks: number;
    readonly connections: { readonly limit: number; readonly peak: number };
    readonly agents: readonly {
      readonly agent: string;
      readonly limit: number;
      readonly tasks: number;
      readonly peak: number;
      readonly busyMs: number;
    }[];
  };
}

/** What a dry run is told about a task; for the rest past durations and success are taken. */
export interface GivenTask {
  readonly durationMs?: number;
  /** Attempts that fail; without `attempt`: all of them. */
  readonly fail?: readonly {
    readonly attempt?: number;
    readonly code: string;
    /** Default true. */
    readonly retryable?: boolean;
  }[];
  readonly output?: Json;
  /** Nobody answers: the signal, the person or the child never comes. */
  readonly never?: boolean;
}

export interface SimulateWorkflow extends Pick<StartWorkflow, "workflow" | "input" | "priority"> {
  /** By key of the task in the definition; tasks of child workflows too. */
  readonly tasks?: Readonly<Record<string, GivenTask>>;
}

export interface SimulationView {
  readonly workflow: string;
  readonly status: WorkflowStatus;
  /** From the start to the end, or to when nothing more happened. */
  readonly makespanMs: number;
  readonly output: Json;
  readonly error: ErrorRecord | null;
  /** In the order in which they ended; times from the start. */
  readonly attempts: readonly {
    readonly workflowId: string;
    readonly task: string;
    readonly agent: string;
    readonly action: string;
    readonly attempt: number;
    readonly undo: boolean;
    readonly waitedMs: number;
    readonly startMs: number;
    readonly finishMs: number;
    readonly outcome: "succeeded" | "failed" | "stopped";
    readonly code: string | null;
  }[];
  readonly agents: readonly {
    readonly agent: string;
    readonly limit: number;
    readonly attempts: number;
    readonly busyMs: number;
    /** Busy time of all that the agent could have done in the same time; 0 to 1. */
    readonly utilisation: number;
  }[];
  /** Tasks that did not end well. */
  readonly unfinished: readonly {
    readonly task: string;
    readonly status: TaskStatus;
    readonly code: string | null;
  }[];
  /** Tasks whose outputs were made up, since none were given: null wherever something reads. */
  readonly placeholders: readonly string[];
  /** The first entries of the journal; `journalLength` counts all. */
  readonly journal: readonly JournalEntry[];
  readonly journalLength: number;
}

export interface PlansPort {
  /** The plan of a run, as of now; undefined when there is no such run. */
  ofRun(id: string): Promise<PlanView | undefined>;
  /** @throws {RequestError} `INVALID` when the definition or its input is not valid. */
  before(request: SimulateWorkflow): Promise<{ plan: PlanView; dryRun: SimulationView }>;
  /** @throws {RequestError} `INVALID`, also for a task that does not exist. */
  simulate(request: SimulateWorkflow): Promise<SimulationView>;
}
