/**
 * Entry of the thread that imports a module once and tells what it exports.
 *
 * @module
 */

import { parentPort, workerData } from "node:worker_threads";
import {
  type AgentCard,
  type AgentDefinition,
  type Capability,
  type CapabilityCard,
  defineAgent,
} from "../../../actors/define-agent.ts";
import { noPermissions } from "../../../machines/permissions.ts";
import { jsonSchemaOf } from "../../action-schema.ts";
import { definitionsIn } from "../agent/load-agent.ts";
import { ungrantedEnvLooksUnset } from "../permissions/guard-env.ts";
import { installGuards } from "../permissions/guards.ts";
import type { ModuleContents, ReaderData, ReaderFrame } from "./module-reader.ts";

function post(frame: ReaderFrame): void {
  parentPort?.postMessage(frame);
}

function fail(error: unknown): void {
  const { message, stack } = error instanceof Error ? error : new Error(`it threw ${show(error)}`);
  post({ type: "failed", failure: { message, stack: stack ?? "" } });
}

function show(value: unknown): string {
  try {
    return JSON.stringify(value) ?? String(value);
  } catch {
    return typeof value;
  }
}

async function contentsOf(moduleUrl: string): Promise<ModuleContents> {
  const module = (await import(moduleUrl)) as Readonly<Record<string, unknown>>;
  return {
    agents: definitionsIn(module).map(cardOf),
    workflows: workflowsIn(module),
  };
}

function cardOf(definition: AgentDefinition): AgentCard {
  const complete = defineAgent(definition);
  const capabilities = Object.entries(complete.capabilities).map(
    ([action, capability]) => [action, capabilityCard(capability)] as const,
  );
  return { ...complete, capabilities: Object.fromEntries(capabilities) };
}

function capabilityCard(capability: Capability): CapabilityCard {
  const { input, output, run: _run, compensate, types: _types, ...data } = capability;
  return {
    ...data,
    compensates: compensate !== undefined,
    inputSchema: jsonSchemaOf(input, "input"),
    outputSchema: jsonSchemaOf(output, "output"),
  };
}

/** Each once, also when it is exported under two names. */
function workflowsIn(module: Readonly<Record<string, unknown>>): readonly unknown[] {
  const all = Object.values(module).flatMap((exported): unknown[] =>
    Array.isArray(exported) ? exported : [exported],
  );
  return [...new Set(all)].filter(
    (value) =>
      typeof value === "object" && value !== null && "statechart" in value && "stages" in value,
  );
}

// Errors name the lines that the user wrote.
process.setSourceMapsEnabled(true);
const { exit } = process;
process.exit = (code) => {
  fail(new Error(`it called process.exit(${code ?? ""}) while it was loaded`));
  return exit(code);
};
// Packages look at variables when they are loaded, and take none for an answer.
ungrantedEnvLooksUnset();
installGuards({ permissions: () => noPermissions });
try {
  const contents = await contentsOf((workerData as ReaderData).moduleUrl);
  post({ type: "read", contents });
} catch (error) {
  fail(error);
}
