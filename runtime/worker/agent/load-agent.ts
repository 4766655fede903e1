/**
 * Finds an agent's definition in a module.
 *
 * @module
 */

import { type AgentDefinition, defineAgent } from "../../../actors/define-agent.ts";
import { AgentError } from "../../../machines/error-code.ts";

/** Of the compiled sources of this package. */
const ownRoot = new URL("../../../", import.meta.url).href;

/**
 * Imports the module and returns the definition named `agentName` among its exports,
 * which may be definitions or lists of them.
 * @throws {AgentError} `AGENT_UNKNOWN` when it exports none of that name; else what the import throws.
 */
export async function loadAgent(moduleUrl: string, agentName: string): Promise<AgentDefinition> {
  // Stacks of a user's module name the lines that were written, not those that were compiled.
  if (!moduleUrl.startsWith(ownRoot)) process.setSourceMapsEnabled(true);
  const module = (await import(moduleUrl)) as Readonly<Record<string, unknown>>;
  const found = definitionsIn(module).find(({ name }) => name === agentName);
  // Whoever wrote a plain object gets the defaults too.
  if (found !== undefined) return defineAgent(found);
  throw new AgentError(
    "AGENT_UNKNOWN",
    `Cannot start agent "${agentName}": ${moduleUrl} exports no definition of that name`,
  );
}

/** What looks like a definition among the exports, each once also when it is exported under two names. */
export function definitionsIn(
  module: Readonly<Record<string, unknown>>,
): readonly AgentDefinition[] {
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
