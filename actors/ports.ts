/**
 * What agents and the actor tree need from outside, as interfaces.
 * The shell in `runtime/` passes the implementations in; nothing here does I/O.
 *
 * @module
 */

import type { Sql, TransactionSql } from "postgres";
import type { ErrorRecord, Json } from "../machines/error-code.ts";

/** Wall time for records, monotonic time for durations. Injected so that tests own it. */
export interface Clock {
  now(): Date;
  /** Milliseconds from an arbitrary origin; never goes back. */
  monotonicMs(): number;
}

export interface Log {
  debug(message: string, fields?: Record<string, unknown>): void;
  info(message: string, fields?: Record<string, unknown>): void;
  warn(message: string, fields?: Record<string, unknown>): void;
  error(message: string, fields?: Record<string, unknown>): void;
}

/** Messages between agents. On one node they travel over the main thread. */
export interface BusPort {
  /** Tells everyone who listens to `topic`; at most once. */
  publish(topic: string, body: Json): Promise<void>;
  /**
   * Runs `action` of another agent and returns its output.
   * @throws {AgentError} `AGENT_UNKNOWN`, `ACTION_UNKNOWN`, `REQUEST_TIMEOUT`, or what the action threw.
   */
  request(
    agent: string,
    action: string,
    input: Json,
    options: { timeoutMs: number },
  ): Promise<Json>;
}

export interface VoteResult {
  readonly id: string;
  readonly outcome: "accepted" | "rejected";
  readonly required: number;
  readonly ballots: readonly { voter: string; approve: boolean; reason: string }[];
}

/** Durable coordination objects: rows with leases, so they survive any participant. All calls are idempotent by id. */
export interface CoordinationPort {
  createGroup(id: string, members: readonly string[]): Promise<void>;
  createBarrier(id: string, participants: readonly string[], timeoutMs: number): Promise<void>;
  /** Marks `participant` as arrived; resolves with how many are still missing. */
  arriveAtBarrier(id: string, participant: string): Promise<{ missing: readonly string[] }>;
  /**
   * Reserves a share of this node's budget until `release`.
   * @throws {AgentError} `RESOURCE_EXHAUSTED` when less than that is left.
   */
  reserve(id: string, holder: string, need: { cpu: number; memoryMb: number }): Promise<void>;
  release(id: string): Promise<void>;
  /**
   * Asks each voter's `cast_vote` action for a ballot and decides when `required` agree or no longer can.
   * A voter that does not answer within `timeoutMs` counts as against, with the reason in its ballot.
   */
  vote(
    id: string,
    proposal: Json,
    voters: readonly string[],
    required: number,
    timeoutMs: number,
  ): Promise<VoteResult>;
}

/** How far a running task is. `percent` is 0 to 100. */
export interface Progress {
  readonly percent?: number;
  readonly done?: number;
  readonly total?: number;
  readonly message?: string;
}

/** Facts about where the task runs that an agent may use. */
export interface HostFacts {
  /** The supervisor's data folder, absolute; agents write below `<dataDir>/reports` and `<dataDir>/work` only. */
  readonly dataDir: string;
  /** True when the Postgres server is our own child process, false when `DATABASE_URL` names it. */
  readonly embeddedDatabase: boolean;
  /** `REDIS_URL`, when set. */
  readonly redisUrl: string | undefined;
}

/** When a task of a run began and ended. */
export interface TaskTime {
  readonly key: string;
  readonly startedAt: Date | null;
  readonly finishedAt: Date | null;
  /** The newest one, from 1; 0 when none was dispatched yet. */
  readonly attempt: number;
}

/** Everything that a capability gets. One object per attempt; useless after the attempt has ended. */
export interface AgentContext {
  readonly agent: string;
  readonly action: string;
  readonly workflowId: string;
  readonly taskKey: string;
  /** 1 for the first. Grows with each retry; a result of an older attempt is refused. */
  readonly attempt: number;
  /** The same for every attempt of this task: `workflowId/taskKey`. */
  readonly idempotencyKey: string;
  /** Aborted on cancel, timeout, or when this attempt lost its right to report. */
  readonly signal: AbortSignal;
  readonly log: Log;
  readonly clock: Clock;
  readonly bus: BusPort;
  readonly coordination: CoordinationPort;
  readonly host: HostFacts;
  /**
   * A postgres.js client for this attempt, opened at first use with at most the capability's
   * `connections`, closed after the attempt. `search_path` is the default one: name schemas.
   */
  readonly sql: Sql;
  /**
   * Runs `work` in one transaction with the note that it was done: it commits exactly once for this task,
   * and later attempts get what it returned, as JSON, without running it. Only what `tx` does is part of it.
   *
   * @param name Tells several transactions of one action apart.
   * @throws {AgentError} `NOT_A_TASK` When this is a request over the bus.
   */
  transaction<T extends Json>(work: (tx: TransactionSql) => Promise<T>, name?: string): Promise<T>;
  /** Reports progress and liveness; cheap, call it as often as you like (sampled to 10 a second). */
  heartbeat(progress?: Progress): void;
  /** Stores what a later attempt needs to continue; durable when the promise resolves. At most 64 KiB of JSON. */
  checkpoint(data: Json): Promise<void>;
  /** What the last attempt that reached `checkpoint` stored, or undefined. */
  readonly lastCheckpoint: Json | undefined;
  /**
   * Counts towards the run's budget of `unit`: tokens, money, whatever the workflow calls it. What an
   * attempt spent counts also when it fails.
   * @throws {AgentError} `SPENDING_INVALID` when `amount` is negative or no number.
   */
  spend(unit: string, amount: number): void;
  /**
   * Times of all tasks of this workflow run, in the order in which they began.
   * @throws {AgentError} `NOT_A_TASK` When this is a request over the bus.
   */
  taskTimes(): Promise<readonly TaskTime[]>;
}

/** One attempt of a task, as it is handed to an agent's thread. Structured-cloneable. */
export interface AgentCall {
  readonly workflowId: string;
  readonly taskKey: string;
  readonly agent: string;
  readonly action: string;
  readonly attempt: number;
  readonly input: Json;
  readonly lastCheckpoint: Json | undefined;
  /**
   * Threads that died of it before: from one on it gets a thread of its own. Absent for a request
   * over the bus, where the agent counts by input.
   */
  readonly deaths?: number;
  /** Calls the action's `compensate` instead of its `run`. */
  readonly undo?: boolean;
  /** It undoes the task, by its own action or another one. */
  readonly compensates?: boolean;
}

/** Why an attempt is aborted, as the reason of its signal, when it is to be given another grace. */
export interface StopOrder {
  readonly why: "stale";
  /** Absent: as the attempt's own. */
  readonly graceMs?: number;
}

export interface AgentCallHooks {
  /** Abort asks the action to stop; after `graceMs`, or that of a `StopOrder`, its thread is terminated. */
  readonly signal: AbortSignal;
  /** Absent: as the agent's `limits` say. */
  readonly graceMs?: number;
  onHeartbeat(progress: Progress | undefined): void;
  /** What the attempt has spent so far, by unit. */
  onSpend?(totals: Readonly<Record<string, number>>): void;
  /** Durable when it resolves; a rejection reaches the action. */
  onCheckpoint(data: Json): Promise<void>;
  /** Answers `AgentContext.taskTimes`; a rejection reaches the action. */
  onTaskTimes(): Promise<readonly TaskTime[]>;
}

/**
 * How an attempt ended. A promise of this never rejects and always settles, also when the thread dies:
 * then with the code `AGENT_DIED` (retryable). An aborted attempt ends with `ABORTED`.
 */
export type AgentOutcome = (
  | { readonly type: "succeeded"; readonly output: Json }
  | { readonly type: "failed"; readonly error: ErrorRecord }
) & {
  /** By unit, when the attempt spent anything (`AgentContext.spend`). */
  readonly spent?: Readonly<Record<string, number>>;
};

/** What a thread measures of itself, four times a second. */
export interface AgentFigures {
  /** Newest delay of its event loop. */
  readonly lagMs: number;
  /** Time that its loop was busy. */
  readonly cpuMs: number;
  readonly heapBytes: number;
  /** Outside of the heap, where V8 sets no limit. */
  readonly arrayBufferBytes: number;
}

/** What went wrong with an actor, and what was done about it. */
export interface Incident {
  /** `/root/agents/DATABASE`. */
  readonly address: string;
  readonly incarnation: number;
  readonly kind:
    | "crash"
    | "out-of-memory"
    | "spin"
    | "hang"
    | "exit"
    | "unhandled-rejection"
    | "start-failed"
    | "poison"
    | "gave-up"
    /** A process of a node ended without giving its lease back. */
    | "node-lost"
    | "database-lost";
  /** `taken-over`: others go on with what it had. */
  readonly action:
    | "restarted"
    | "quarantined"
    | "gave-up"
    | "terminated"
    | "taken-over"
    | "recovered";
  readonly error: ErrorRecord | null;
  readonly detail: Readonly<Record<string, Json>>;
}

export interface IncidentLog {
  /** Never throws and never waits. */
  record(incident: Incident): void;
}

/** Health and figures of one agent. Times are Dates, durations ms. */
export interface AgentState {
  readonly name: string;
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
  readonly succeeded: number;
  readonly failed: number;
  /** Sum over finished attempts. */
  readonly busyMs: number;
  readonly lastSeenAt: Date | null;
  /** Of the worker; where it is no thread, the id of its process. */
  readonly threadId: number | null;
  /** Starts of its thread, from 1; 0 before the first. */
  readonly incarnation: number;
  /** Of the running thread, as it last measured itself. */
  readonly figures: AgentFigures | null;
  /** The newest reason for a restart. */
  readonly lastError: ErrorRecord | null;
}
