/**
 * How an agent is written: data about it, and its capabilities (its actions).
 * Nothing here starts a thread; the runtime imports the definition inside the agent's own worker.
 *
 * @module
 */

import type { z } from "zod";
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
  readonly description: string;
  readonly input: I;
  readonly output: O;
  /** Postgres connections that one run needs at most (0 to 4). Default 1. The scheduler counts them. */
  readonly connections?: number;
  run(ctx: AgentContext, input: z.output<I>): Promise<z.input<O>>;
  /** Undoes a finished run. Must be idempotent; also called when the outcome of the run is unknown. */
  compensate?(ctx: AgentContext, input: z.output<I>): Promise<void>;
}

/** An action of an agent, with its types erased for the registry. */
export interface Capability {
  readonly description: string;
  readonly input: z.ZodType;
  readonly output: z.ZodType;
  readonly connections: number;
  run(ctx: AgentContext, input: unknown): Promise<unknown>;
  compensate?(ctx: AgentContext, input: unknown): Promise<void>;
}

/** Declares one action. `run` gets the parsed input; its result is parsed by `output` before it is recorded. */
export function capability<I extends z.ZodType, O extends z.ZodType>(
  options: CapabilityOptions<I, O>,
): Capability {
  const { compensate } = options;
  return {
    description: options.description,
    input: options.input,
    output: options.output,
    connections: options.connections ?? 1,
    run: (ctx, input) => options.run(ctx, input as z.output<I>),
    ...(compensate === undefined
      ? {}
      : {
          compensate: (ctx: AgentContext, input: unknown) => compensate(ctx, input as z.output<I>),
        }),
  };
}

export interface AgentDefinition {
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
  /** Agents whose work this one builds on; shown in the dashboard. */
  readonly dependsOn: readonly string[];
  /** By action name, as in `AGENT.action`. */
  readonly capabilities: Readonly<Record<string, Capability>>;
}

/** Checks and returns the definition. @throws {TypeError} When a field is malformed. */
export function defineAgent(definition: AgentDefinition): AgentDefinition {
  if (!/^[A-Z][A-Z0-9-]*$/.test(definition.name)) {
    throw new TypeError(
      `Cannot define agent "${definition.name}": a name is upper case letters, digits and hyphens`,
    );
  }
  if (!Number.isInteger(definition.concurrency) || definition.concurrency < 1) {
    throw new TypeError(
      `Cannot define agent "${definition.name}": concurrency is ${definition.concurrency}, must be a whole number from 1`,
    );
  }
  for (const [action, { connections }] of Object.entries(definition.capabilities)) {
    if (!Number.isInteger(connections) || connections < 0 || connections > 4) {
      throw new TypeError(
        `Cannot define agent "${definition.name}": ${action} asks for ${connections} connections, 0 to 4 are possible`,
      );
    }
  }
  return definition;
}
