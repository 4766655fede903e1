/**
 * Finds an agent's definition in a module.
 *
 * @module
 */

import type { AgentDefinition } from "../../../actors/define-agent.ts";
import { AgentError } from "../../../machines/error-code.ts";

/**
 * Imports the module and returns the definition named `agentName` among its exports,
 * which may be definitions or lists of them.
 * @throws {AgentError} `AGENT_UNKNOWN` when it exports none of that name; else what the import throws.
 */
export async function loadAgent(moduleUrl: string, agentName: string): Promise<AgentDefinition> {
  const module = (await import(moduleUrl)) as Readonly<Record<string, unknown>>;
  for (const exported of Object.values(module)) {
    const candidates: readonly unknown[] = Array.isArray(exported) ? exported : [exported];
    const found = candidates.find((one) => isDefinition(one) && one.name === agentName);
    if (found !== undefined) return found as AgentDefinition;
  }
  throw new AgentError(
    "AGENT_UNKNOWN",
    `Cannot start agent "${agentName}": ${moduleUrl} exports no definition of that name`,
  );
}

function isDefinition(value: unknown): value is AgentDefinition {
  return (
    typeof value === "object" &&
    value !== null &&
    typeof (value as { name?: unknown }).name === "string" &&
    typeof (value as { capabilities?: unknown }).capabilities === "object"
  );
}
