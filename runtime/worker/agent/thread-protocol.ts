/**
 * What crosses between the main thread and an agent's thread; all of it structured-cloneable.
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

/** `workerData` of an agent's thread. */
export interface ThreadData {
  /** Compiled module that exports the definition of `agentName`, alone or in a list. */
  readonly moduleUrl: string;
  readonly agentName: string;
  readonly database: DatabaseTarget;
  readonly host: HostFacts;
  /** Carries calls both ways, by Comlink, and `ThreadFrame`s. */
  readonly control: MessagePort;
  /** One Int32: the thread's own loop counts it up every `turnIntervalMs`. */
  readonly turns: SharedArrayBuffer;
}

export const turnIntervalMs = 250;

export interface AttemptRequest {
  /** Unique within the thread. */
  readonly id: string;
  readonly operation: "run" | "compensate";
  readonly call: AgentCall;
  /** From abort to the end of the thread. */
  readonly graceMs: number;
}

/** What the main thread calls in the agent's thread. */
export interface ThreadApi {
  /** Never rejects for what the capability does. */
  run(request: AttemptRequest): Promise<AgentOutcome>;
  abort(id: string, reason: string): void;
  /** Refuses new attempts, waits for those that run, then ends the thread. */
  drain(): void;
}

/** What the agent's thread calls in the main thread. */
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

/**
 * One-way messages of the thread. They share the control port with the calls, so that what an
 * attempt reported arrives before its outcome; without an `id` they are none of Comlink's business.
 */
export type ThreadFrame =
  | { readonly type: "ready" }
  | { readonly type: "heartbeat"; readonly attemptId: string; readonly progress?: Progress }
  | {
      readonly type: "log";
      readonly level: LogLevel;
      readonly message: string;
      readonly fields?: Readonly<Record<string, Json>>;
    };

export type LogLevel = "debug" | "info" | "warn" | "error";

const levels: ReadonlySet<unknown> = new Set(["debug", "info", "warn", "error"]);

/** Agent code can reach the port, so frames are checked before use. */
export function isThreadFrame(value: unknown): value is ThreadFrame {
  if (typeof value !== "object" || value === null) return false;
  const frame = value as {
    type?: unknown;
    attemptId?: unknown;
    level?: unknown;
    message?: unknown;
  };
  if (frame.type === "ready") return true;
  if (frame.type === "heartbeat") return typeof frame.attemptId === "string";
  return frame.type === "log" && levels.has(frame.level) && typeof frame.message === "string";
}
