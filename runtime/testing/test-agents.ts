/**
 * The agents of a workflow test: real definitions, or functions that stand in for their actions.
 *
 * @module
 */

import { z } from "zod";
import { type AgentDefinition, type Capability, defineAgent } from "../../actors/define-agent.ts";
import type { AgentContext } from "../../actors/ports.ts";
import type { RunPlan } from "../../machines/run/plan.ts";

/** What an action gets in a test: all that it gets in its thread. */
export type TestContext = AgentContext;

/**
 * Stands in for an action. It gets the task's filled-in input; what it returns is the task's output.
 * Declared as a method, so that a function may say which input it expects.
 */
export type StubAction = {
  run(input: unknown, ctx: TestContext): unknown;
}["run"];

/** A function, or one with what undoes it. */
export type Stub = StubAction | { readonly run: StubAction; readonly compensate?: StubAction };

/** By action name. */
export type AgentStub = Readonly<Record<string, Stub>>;

/** By agent name: what `defineAgent` returns, or stubs. */
export type TestAgents = Readonly<Record<string, AgentDefinition | AgentStub>>;

/** A real agent whose schemas stay and whose actions are replaced; those that are not named stay too. */
export function stubAgent<const A extends AgentDefinition>(
  agent: A,
  stubs: { readonly [K in keyof A["capabilities"]]?: Stub },
): A {
  const capabilities: Record<string, Capability> = { ...agent.capabilities };
  for (const [action, stub] of Object.entries(stubs as Readonly<Record<string, Stub>>)) {
    const real = Object.hasOwn(capabilities, action) ? capabilities[action] : undefined;
    if (real === undefined) {
      throw new TypeError(
        `Cannot stub ${agent.name}.${action}: ${agent.name} has no such action, it has ${Object.keys(agent.capabilities).join(", ")}`,
      );
    }
    capabilities[action] = { ...real, ...bodyOf(stub) };
  }
  return { ...agent, capabilities };
}

/**
 * All agents as definitions, by name.
 * @throws {TypeError} When a stub stands in for an action that no task calls.
 */
export function definitionsOf(
  agents: TestAgents,
  plans: readonly RunPlan[],
): ReadonlyMap<string, AgentDefinition> {
  const called = new Set(plans.flatMap(actionsOf));
  const definitions = new Map<string, AgentDefinition>();
  for (const [name, given] of Object.entries(agents)) {
    if (isDefinition(given)) {
      definitions.set(given.name, given);
      continue;
    }
    const unknown = Object.keys(given).filter((action) => !called.has(`${name}.${action}`));
    if (unknown.length > 0) {
      const what = unknown.map((action) => `${name}.${action}`).join(", ");
      throw new TypeError(
        `Cannot stub ${what}: no task calls it; the tasks call ${[...called].sort().join(", ") || "no action"}`,
      );
    }
    const capabilities = Object.entries(given).map(
      ([action, stub]) => [action, stubCapability(stub)] as const,
    );
    definitions.set(name, defineAgent({ name, capabilities: Object.fromEntries(capabilities) }));
  }
  return definitions;
}

/** `AGENT.action` of every task of a plan, and of what undoes it. */
export function actionsOf(plan: RunPlan): string[] {
  return [...plan.tasks.values()].flatMap(({ kind, agent, action, compensate }) => [
    ...(kind === "action" ? [`${agent}.${action}`] : []),
    // Without an agent: the child run undoes itself.
    ...(compensate === null || compensate.agent === ""
      ? []
      : [`${compensate.agent}.${compensate.action}`]),
  ]);
}

function isDefinition(given: AgentDefinition | AgentStub): given is AgentDefinition {
  return typeof given["name"] === "string" && typeof given["capabilities"] === "object";
}

function stubCapability(stub: Stub): Capability {
  const anything = z.unknown();
  // A stub without a result returns null, as every output is JSON.
  const output = z.preprocess((value) => value ?? null, anything);
  return { description: "", input: anything, output, connections: 0, ...bodyOf(stub) };
}

function bodyOf(stub: Stub): Pick<Capability, "run" | "compensate"> {
  const { run, compensate } = typeof stub === "function" ? { run: stub } : stub;
  return {
    run: async (ctx, input) => await run(input, ctx as TestContext),
    ...(compensate === undefined
      ? {}
      : {
          compensate: async (ctx: AgentContext, input: unknown) => {
            await compensate(input, ctx as TestContext);
          },
        }),
  };
}
