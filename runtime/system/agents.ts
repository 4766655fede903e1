/**
 * Agents as people and programs see them, and what one may ask of them.
 *
 * @module
 */

import type { Grant } from "../../actors/define-agent.ts";
import type { Json } from "../../machines/error-code.ts";
import type { Actor } from "./requests.ts";

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
  /** Of its running thread, as it last measured itself; null while there is none. */
  readonly figures: LoopFigures | null;
}

export interface LoopFigures {
  /** Newest delay of its event loop, in ms. */
  readonly lagMs: number;
  /** Time that its loop was busy so far, in ms. */
  readonly cpuMs: number;
  readonly heapBytes: number;
  /** Outside of the heap, where V8 sets no limit. */
  readonly bufferBytes: number;
}

/** How strongly a permission holds where an agent runs. */
export type EnforcementLevel = "none" | "soft" | "brokered" | "hard";

/** An agent with what is too much for a list. */
export interface AgentDetails extends AgentView {
  /** Where its worker runs. */
  readonly isolation: "thread" | "process" | "deno";
  /** By permission: `{ "read": "hard" }`, on the Node version of this node. */
  readonly enforcement: Readonly<Record<string, EnforcementLevel>>;
  readonly actions: readonly AgentAction[];
}

export interface AgentAction {
  readonly name: string;
  readonly description: string;
  /** Postgres connections that one run needs at most. */
  readonly connections: number;
  /** JSON Schemas; null where they cannot be written as such. */
  readonly inputSchema: Json;
  readonly outputSchema: Json;
}

export interface AgentsPort {
  list(): readonly AgentView[];
  get(name: string): AgentDetails | undefined;
  /** Replaces the thread in order: running attempts get a few seconds. */
  restart(name: string, by: Actor): Promise<AgentView>;
  /** Terminates the thread at once, as a crash would; the supervisor starts another. */
  kill(name: string, by: Actor): Promise<AgentView>;
  drain(name: string, by: Actor): Promise<AgentView>;
  pause(name: string, by: Actor): Promise<AgentView>;
  resume(name: string, by: Actor): Promise<AgentView>;
}
