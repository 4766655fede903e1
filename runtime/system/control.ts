/**
 * What operators may do to runs and tasks, and what they are answered.
 *
 * @module
 */

import type { ErrorRecord, Json } from "../../machines/error-code.ts";
import type { CommandAnswer } from "../../machines/run/command.ts";
import type { Actor } from "./requests.ts";
import type { WorkflowStatus, WorkflowView } from "./workflows.ts";

export type { CommandAnswer } from "../../machines/run/command.ts";

/** Who asks, why, and under which key: the same key is the same command, however often it comes. */
export interface Operator extends Actor {
  readonly idempotencyKey?: string;
}

/** An operation on one run. */
export type Order =
  /** `clocks: "run"`: timers go on during the pause. Children pause too. */
  | { readonly type: "run.pause"; readonly clocks?: "stop" | "run" }
  | { readonly type: "run.resume" }
  | {
      readonly type: "run.cancel";
      /** Undoes what was done before. */
      readonly rollback?: boolean;
      /** How long a running attempt may take to stop before its thread is ended, in ms. */
      readonly graceMs?: number;
    }
  /** Of failed and cancelled tasks, or just one; of a parked run: it goes on. */
  | { readonly type: "run.retry"; readonly taskKey: string | null }
  | { readonly type: "run.priority"; readonly priority: number }
  /** Hard limits by unit; they only grow or stay. */
  | { readonly type: "run.budget"; readonly limits: Readonly<Record<string, number>> }
  | { readonly type: "run.signal"; readonly name: string; readonly payload: Json }
  | { readonly type: "task.skip"; readonly taskKey: string }
  | { readonly type: "task.run-now"; readonly taskKey: string }
  | { readonly type: "task.priority"; readonly taskKey: string; readonly priority: number }
  | {
      readonly type: "task.resolve";
      readonly taskKey: string;
      readonly as: "succeeded" | "failed" | "retry" | "skip";
      readonly output?: Json;
    };

/** The run as it is now, and what the turn that took the command said, which never changes. */
export interface CommandedRun extends WorkflowView {
  readonly command: CommandAnswer;
}

/** An answer that was waited for: taken or refused, with the journal entry. */
export interface UpdateView {
  readonly workflowId: string;
  readonly name: string;
  readonly answer: CommandAnswer;
  readonly entry: { readonly seq: number; readonly type: string; readonly payload: Json } | null;
}

/** A decision that waits for a person. Whoever has the token may decide, once. */
export interface ApprovalView {
  readonly token: string;
  readonly workflowId: string;
  readonly workflow: string;
  readonly task: string;
  readonly title: string;
  readonly expiresAt: string | null;
  /** Of the page where a person decides. */
  readonly path: string;
  readonly decided: boolean;
}

/** An approval as the person sees it who is to decide. */
export interface ApprovalDetails extends ApprovalView {
  /** `closed`: its task waits no longer, for another reason than a decision or its deadline. */
  readonly state: "open" | "approved" | "rejected" | "expired" | "closed";
  readonly askedAt: string;
  /** Who started the run: `api`, `schedule nightly`, `parent RUN`. */
  readonly startedBy: string;
  readonly runStatus: WorkflowStatus;
  /** Set once somebody decided. */
  readonly decision: {
    readonly at: string;
    readonly by: string;
    readonly reason: string | null;
  } | null;
  /** What the run was started with, and what the tasks right before gave; large values are cut. */
  readonly data: readonly { readonly title: string; readonly value: Json }[];
}

export interface Decision {
  readonly approve: boolean;
  readonly payload?: Json;
}

/** What a run is at and waits for. */
export interface RunStateView {
  readonly id: string;
  readonly status: WorkflowStatus;
  readonly seq: number;
  readonly priority: number;
  /** Active states, for people. */
  readonly state: string;
  /** Of its statechart; null before the start. */
  readonly chart: { readonly value: Json; readonly context: Json } | null;
  /** Set while paused; `drained`: no agent is at work for it any more. */
  readonly pause: {
    readonly since: string;
    readonly clocks: "stop" | "run";
    readonly drained: boolean;
  } | null;
  readonly inFlight: number;
  /** Tasks that wait for something outside: a child run, a signal, an approval, time. */
  readonly waiting: readonly {
    readonly task: string;
    readonly for: "workflow" | "signal" | "approval" | "sleep";
    /** Name of the signal, or id of the child run. */
    readonly what: string | null;
    readonly since: string | null;
  }[];
  /** Tasks on which an operator must decide. */
  readonly parked: readonly { readonly task: string; readonly error: ErrorRecord | null }[];
  readonly approvals: readonly ApprovalView[];
  readonly signals: readonly {
    readonly name: string;
    readonly payload: Json;
    readonly at: string;
  }[];
  readonly budget: {
    readonly spent: Readonly<Record<string, number>>;
    readonly raised: Readonly<Record<string, number>>;
  };
  readonly rollback: { readonly left: number; readonly cause: ErrorRecord } | null;
}

/** All that is set must hold. */
export interface BulkFilter {
  readonly ids?: readonly string[];
  readonly status?: readonly WorkflowStatus[];
  readonly workflow?: string;
  readonly tenant?: string;
  /** Has a task of this agent. */
  readonly agent?: string;
  /** Error code of the run, or of one of its tasks. */
  readonly code?: string;
  /** Created at or after, and before; epoch milliseconds. */
  readonly sinceMs?: number;
  readonly untilMs?: number;
  readonly attributes?: Readonly<Record<string, Json>>;
}

/** Which runs a filter matches now. */
export interface BulkPreview {
  readonly dryRun: true;
  readonly matched: number;
  readonly statuses: Readonly<Partial<Record<WorkflowStatus, number>>>;
  /** The oldest hundred. */
  readonly runs: readonly {
    readonly id: string;
    readonly workflow: string;
    readonly status: WorkflowStatus;
  }[];
}

export interface BulkView {
  readonly id: string;
  readonly matched: number;
  readonly taken: number;
  readonly refused: number;
  /** Not answered yet; they are stored, and will be. */
  readonly pending: number;
  /** The first hundred that refused. */
  readonly refusals: readonly { readonly workflowId: string; readonly message: string }[];
}

export interface ControlPort {
  /**
   * Resolves once the turn that took the order has committed.
   * @throws {RequestError} `NOT_FOUND`, `CONFLICT` when the run's state refuses it, `INVALID` for a key that was
   *   used for another request, `UNAVAILABLE` when it is stored and no owner has answered in 10 s.
   */
  control(id: string, order: Order, by: Operator): Promise<CommandedRun>;
  /** A signal whose answer is waited for; a refusal is an answer. */
  update(id: string, name: string, payload: Json, by: Operator): Promise<UpdateView>;
  state(id: string): Promise<RunStateView | undefined>;
  approvals(id: string): Promise<readonly ApprovalView[] | undefined>;
  approval(token: string): Promise<ApprovalDetails | undefined>;
  decide(token: string, decision: Decision, by: Actor): Promise<CommandedRun>;
  /** One order to all runs that the filter matches, 10,000 at most; waits a few seconds for their answers. */
  bulk(order: Order, filter: BulkFilter, by: Operator): Promise<BulkView>;
  /** What `bulk` would go to. Changes nothing. */
  bulkPreview(filter: BulkFilter): Promise<BulkPreview>;
  bulkState(id: string): Promise<BulkView | undefined>;
}
