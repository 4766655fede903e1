/**
 * How an agent is written: data about it, and its capabilities (its actions).
 * Nothing here starts a thread; the runtime imports the definition inside the agent's own worker.
 *
 * @module
 */

import type { z } from "zod";
import type { Json } from "../machines/error-code.ts";
import { agentProblems } from "./agent-shape.ts";
import type { AgentContext } from "./ports.ts";

/** Deno's permission descriptor for a worker: true, false, "inherit", or a list of grants. */
export type Grant = boolean | "inherit" | readonly string[];

export interface Permissions {
  readonly read?: Grant;
  readonly write?: Grant;
  readonly net?: Grant;
  readonly env?: Grant;
  readonly sys?: Grant;
  readonly run?: Grant;
  readonly ffi?: Grant;
  readonly import?: Grant;
}

export interface CapabilityOptions<I extends z.ZodType, O extends z.ZodType> {
  /** One sentence for people: what the action really does. */
  readonly description?: string;
  readonly input: I;
  readonly output: O;
  /** Postgres connections that one run needs at most (0 to 4). Default 1. The scheduler counts them. */
  readonly connections?: number;
  /**
   * An attempt that has called neither `heartbeat` nor `checkpoint` for this long, in a thread that
   * does nothing, hangs: it is aborted. Default: only the task's own time limit ends it.
   */
  readonly progressTimeoutMs?: number;
  run(ctx: AgentContext, input: z.output<I>): Promise<z.input<O>>;
  /** Undoes a finished run. Must be idempotent; also called when the outcome of the run is unknown. */
  compensate?(ctx: AgentContext, input: z.output<I>): Promise<void>;
}

/** An action of an agent. `In` is what a task's `with` gives it, `Out` what later tasks read. */
export interface Capability<In = unknown, Out = unknown> {
  readonly description: string;
  readonly input: z.ZodType;
  readonly output: z.ZodType;
  readonly connections: number;
  readonly progressTimeoutMs?: number;
  run(ctx: AgentContext, input: unknown): Promise<unknown>;
  compensate?(ctx: AgentContext, input: unknown): Promise<void>;
  /** For the compiler only; never set. */
  readonly types?: { readonly input: In; readonly output: Out };
}

/** Declares one action. `run` gets the parsed input; its result is parsed by `output` before it is recorded. */
export function capability<I extends z.ZodType, O extends z.ZodType>(
  options: CapabilityOptions<I, O>,
): Capability<z.input<I>, z.output<O>> {
  const { compensate, progressTimeoutMs } = options;
  return {
    description: options.description ?? "",
    input: options.input,
    output: options.output,
    connections: options.connections ?? 1,
    ...(progressTimeoutMs === undefined ? {} : { progressTimeoutMs }),
    run: (ctx, input) => options.run(ctx, input as z.output<I>),
    ...(compensate === undefined
      ? {}
      : {
          compensate: (ctx: AgentContext, input: unknown) => compensate(ctx, input as z.output<I>),
        }),
  };
}

/** What others need to know of an action. */
export interface CapabilityCard {
  readonly description: string;
  readonly connections: number;
  readonly progressTimeoutMs?: number;
  /** Whether it can be undone; left out where the card is the capability itself. */
  readonly compensates?: boolean;
  /** JSON Schema, where the definition was read as data. */
  readonly inputSchema?: Json;
  readonly outputSchema?: Json;
}

/** Where an agent runs: a thread of the node, a process of its own, or one of the real Deno. */
export type AgentIsolation = "thread" | "process" | "deno";

export interface AgentLimits {
  /**
   * A thread whose loop has not turned, and that has not called `heartbeat`, for this long is ended.
   * Only time in which it had a processor counts. Default 30 s, for agents with long synchronous work.
   */
  readonly unresponsiveMs?: number;
  /** Buffers outside of the heap. Default: as much as `resources.memoryMb`, at least 512. */
  readonly bufferMb?: number;
  /** What an aborted action may take to end before its thread is ended. Default 3 s; a task may say otherwise. */
  readonly graceMs?: number;
}

/** All of an agent but its code: what the main thread keeps of one that it must not import. */
export interface AgentCard {
  /** Upper case, letters, digits and hyphens: `HARDWARE-INTEL`. */
  readonly name: string;
  readonly category: string;
  readonly description: string;
  /** What the agent is good at, in the seed's words: `strategic_planning`. Shown, never dispatched on. */
  readonly skills: readonly string[];
  /** Tasks that may run at once in one replica. */
  readonly concurrency: number;
  readonly resources: { readonly cpu: number; readonly memoryMb: number };
  readonly permissions: Permissions;
  /** Default `thread`. */
  readonly isolation?: AgentIsolation;
  readonly limits?: AgentLimits;
  /** Agents whose work this one builds on; shown in the dashboard. */
  readonly dependsOn: readonly string[];
  /** By action name, as in `AGENT.action`. */
  readonly capabilities: Readonly<Record<string, CapabilityCard>>;
}

type Capabilities = Readonly<Record<string, Capability>>;

export interface AgentDefinition<C extends Capabilities = Capabilities> extends AgentCard {
  readonly capabilities: C;
}

/** An agent as it is written: what may be left out has a default. */
export interface AgentOptions<C extends Capabilities = Capabilities> {
  /** Upper case, letters, digits and hyphens: `HARDWARE-INTEL`. */
  readonly name: string;
  /** Default `custom`. */
  readonly category?: string;
  readonly description?: string;
  readonly skills?: readonly string[];
  /** Tasks that may run at once, 1 to 100. Default 1. */
  readonly concurrency?: number;
  /** Default half a core and 256 MB. */
  readonly resources?: { readonly cpu: number; readonly memoryMb: number };
  /** Default: none. */
  readonly permissions?: Permissions;
  /** Default `thread`. */
  readonly isolation?: AgentIsolation;
  readonly limits?: AgentLimits;
  readonly dependsOn?: readonly string[];
  /** By action name: lower case letters, digits and underscores. */
  readonly capabilities: C;
}

/** Checks and completes the definition. @throws {TypeError} Naming each field that is malformed or unknown. */
export function defineAgent<C extends Capabilities>(options: AgentOptions<C>): AgentDefinition<C> {
  const problems = agentProblems(options);
  if (problems.length > 0) {
    throw new TypeError(`Cannot define agent "${String(options?.name)}": ${problems.join("; ")}`);
  }
  return {
    category: "custom",
    description: "",
    skills: [],
    concurrency: 1,
    resources: { cpu: 0.5, memoryMb: 256 },
    permissions: {},
    dependsOn: [],
    ...options,
  };
}
