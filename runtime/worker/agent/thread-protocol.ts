/**
 * What crosses between the main thread and an agent's worker; all of it structured-cloneable.
 *
 *     first message   { control, events, … }   two ports
 *     control         calls both ways, by Comlink
 *     events          what the worker reports, in order: heartbeats, progress, logs
 *
 * @module
 */

import type { MessagePort } from "node:worker_threads";
import type {
  AgentCall,
  AgentOutcome,
  HostFacts,
  Progress,
  TaskTime,
  VoteResult,
} from "../../../actors/ports.ts";
import type { DatabaseTarget } from "../../../db/client.ts";
import type { Json } from "../../../machines/error-code.ts";
import type { InspectorSeed } from "../inspect/inspector.ts";

/** The first message to a worker. It serves no agent yet. */
export interface WorkerSeed {
  readonly control: MessagePort;
  readonly events: MessagePort;
  readonly incarnation: number;
  /** One Int32 that each heartbeat counts up, also where the loop is blocked. Threads only. */
  readonly pulse?: SharedArrayBuffer;
  /** Threads only. */
  readonly inspector?: InspectorSeed;
}

/** Makes a worker the agent's. */
export interface Adoption {
  /** Compiled module that exports the definition of `agentName`, alone or in a list. */
  readonly moduleUrl: string;
  readonly agentName: string;
  /** Absent for an agent that declares no connections: it must not hold the password. */
  readonly database?: DatabaseTarget;
  readonly host: HostFacts;
}

export interface AttemptRequest {
  /** Unique within the worker. */
  readonly id: string;
  readonly operation: "run" | "compensate";
  readonly call: AgentCall;
  /** From abort to the end of the worker. */
  readonly graceMs: number;
}

export interface AttemptReport {
  readonly outcome: AgentOutcome;
  /** The newest event frame of the worker: what the attempt reported came before. */
  readonly reported: number;
}

/** What the main thread calls in the agent's worker. */
export interface WorkerApi {
  /** Imports a module that the agent to come may be in. */
  preload(moduleUrl: string): Promise<void>;
  /** Imports the agent's module; resolves when the agent takes calls. */
  adopt(adoption: Adoption): Promise<void>;
  /** Never rejects for what the capability does. */
  run(request: AttemptRequest): Promise<AttemptReport>;
  abort(id: string, reason: string): void;
  /** Refuses new attempts, waits for those that run, then ends the worker. */
  drain(): void;
}

/** What the agent's worker calls in the main thread. */
export interface HostApi {
  checkpoint(attemptId: string, data: Json): Promise<void>;
  taskTimes(attemptId: string): Promise<readonly TaskTime[]>;
  publish(topic: string, body: Json): Promise<void>;
  request(agent: string, action: string, input: Json, timeoutMs: number): Promise<Json>;
  createGroup(id: string, members: readonly string[]): Promise<void>;
  createBarrier(id: string, participants: readonly string[], timeoutMs: number): Promise<void>;
  arriveAtBarrier(id: string, participant: string): Promise<{ missing: readonly string[] }>;
  reserve(id: string, holder: string, need: { cpu: number; memoryMb: number }): Promise<void>;
  release(id: string): Promise<void>;
  vote(
    id: string,
    proposal: Json,
    voters: readonly string[],
    required: number,
    timeoutMs: number,
  ): Promise<VoteResult>;
}

/** What a worker reports, by the kind of its frame. */
export interface Reports {
  readonly heartbeat: { readonly attemptId: string; readonly progress?: Progress };
  /** All that the attempt has spent so far. */
  readonly spent: { readonly attemptId: string; readonly totals: Readonly<Record<string, number>> };
  readonly log: {
    readonly level: LogLevel;
    readonly message: string;
    readonly fields?: Readonly<Record<string, Json>>;
  };
}

export type LogLevel = "debug" | "info" | "warn" | "error";

const levels: ReadonlySet<unknown> = new Set(["debug", "info", "warn", "error"]);

/** Agent code can reach the port, so reports are checked before use. */
export function isHeartbeat(kind: string, body: unknown): body is Reports["heartbeat"] {
  return kind === "heartbeat" && typeof (body as { attemptId?: unknown }).attemptId === "string";
}

export function isSpending(kind: string, body: unknown): body is Reports["spent"] {
  const { attemptId, totals } = (body ?? {}) as { attemptId?: unknown; totals?: unknown };
  if (kind !== "spent" || typeof attemptId !== "string") return false;
  if (typeof totals !== "object" || totals === null) return false;
  return Object.values(totals).every((one) => typeof one === "number" && one >= 0);
}

export function isLogEntry(kind: string, body: unknown): body is Reports["log"] {
  if (kind !== "log" || typeof body !== "object" || body === null) return false;
  const { level, message } = body as { level?: unknown; message?: unknown };
  return levels.has(level) && typeof message === "string";
}
