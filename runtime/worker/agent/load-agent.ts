/**
 * Finds an agent's definition in a module.
 *
 * @module
 */

import { type AgentDefinition, defineAgent } from "../../../actors/define-agent.ts";
import { AgentError } from "../../../machines/error-code.ts";

/** Of the compiled sources of this package. */
const ownRoot = new URL("../../../", import.meta.url).href;

type Module = Readonly<Record<string, unknown>>;

/** @throws What the import throws. */
export async function loadModule(moduleUrl: string): Promise<Module> {
  // Stacks of a user's module name the lines that were written, not those that were compiled.
  if (!moduleUrl.startsWith(ownRoot)) process.setSourceMapsEnabled(true);
  return (await import(moduleUrl)) as Module;
}

/**
 * Imports the module and returns the definition named `agentName` among its exports,
 * which may be definitions or lists of them.
 * @throws {AgentError} `AGENT_UNKNOWN` when it exports none of that name; else what the import throws.
 */
export async function loadAgent(moduleUrl: string, agentName: string): Promise<AgentDefinition> {
  const module = await loadModule(moduleUrl);
  const found = definitionsIn(module).find(({ name }) => name === agentName);
  // Whoever wrote a plain object gets the defaults too.
  if (found !== undefined) return defineAgent(found);
  throw new AgentError(
    "AGENT_UNKNOWN",
    `Cannot start agent "${agentName}": ${moduleUrl} exports no definition of that name`,
  );
}

/** What looks like a definition among the exports, each once also when it is exported under two names. */
export function definitionsIn(module: Module): readonly AgentDefinition[] {
  const exported = Object.values(module).flatMap((value): unknown[] =>
    Array.isArray(value) ? value : [value],
  );
  return [...new Set(exported)].filter(isDefinition);
}

function isDefinition(value: unknown): value is AgentDefinition {
  return (
    typeof value === "object" &&
    value !== null &&
    typeof (value as { name?: unknown }).name === "string" &&
    typeof (value as { capabilities?: unknown }).capabilities === "object"
  );
}
