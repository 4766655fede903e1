/**
 * The agents of a node: every one in a supervised thread of its own.
 *
 * @module
 */

import type { AgentState } from "../../actors/ports.ts";
import type { ChildSpec, RunningChild } from "../../actors/tree/child-spec.ts";
import { viewOfAgent } from "../views.ts";
import { startAgents } from "../worker/agent/agent-pool.ts";
import type { NodeContext } from "./context.ts";

export function agentsChild(node: NodeContext): ChildSpec {
  return { id: "agents", type: "supervisor", start: () => start(node) };
}

/** Resolves when every agent has run. */
async function start(node: NodeContext): Promise<RunningChild> {
  const { clock, config, definitions, log, parts } = node;
  const { bus, coordination } = parts.bus.current();
  const agents = await startAgents({
    definitions: [...definitions.values()],
    database: parts.database.current().target,
    host: {
      dataDir: config.dataDir,
      embeddedDatabase: config.databaseUrl === undefined,
      redisUrl: config.redisUrl,
    },
    ports: { bus, coordination, log },
    clock,
    onChange: (state) => show(node, state),
  });
  try {
    await agents.allHealthy;
  } catch (error) {
    await agents.stop();
    throw error;
  }
  parts.agents.set(agents);
  return agents;
}

function show({ definitions, live }: NodeContext, state: AgentState): void {
  const definition = definitions.get(state.name);
  if (definition === undefined) return;
  const agent = viewOfAgent(definition, state);
  live.emit(["events", `agent:${state.name}`], { type: "agent", agent });
}
