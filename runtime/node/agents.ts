/**
 * The agents of a node: every one in a supervised thread of its own.
 *
 * @module
 */

import { agentDefinitions } from "../../actors/agents/registry.ts";
import type { AgentState, HostFacts } from "../../actors/ports.ts";
import type { ChildPlace, ChildSpec, RunningChild } from "../../actors/tree/child-spec.ts";
import type { RestartMemory } from "../../actors/tree/restart-memory.ts";
import { createOpenPool, type OpenPool } from "../agents-folder/open-pool.ts";
import type { Config } from "../config.ts";
import { viewOfAgent } from "../views.ts";
import { type AgentsOptions, openSpares, startAgents } from "../worker/agent/agent-pool.ts";
import type { NodeContext } from "./context.ts";

export function agentsChild(node: NodeContext): ChildSpec {
  return {
    id: "agents",
    type: "supervisor",
    start: ({ address, tree }) =>
      // Each agent has an intensity of its own and ends at it: there is no product to be bounded,
      // and agents that crash in a loop must not use up what restarts the database.
      // They record their own incidents, which know more of a thread's end.
      start(node, { address, tree: { ...tree, budget: undefined, incidents: undefined } }),
  };
}

/** Resolves when every agent that comes with SPECTRA has run. */
async function start(node: NodeContext, place: ChildPlace): Promise<RunningChild> {
  const { log, parts } = node;
  const options = poolOptions(node);
  const onChange = (state: AgentState): void => show(node, state);
  const builtIn = await startAgents({ ...options, place, definitions: agentDefinitions, onChange });
  try {
    await builtIn.allHealthy;
  } catch (error) {
    await builtIn.stop();
    throw error;
  }
  // One for all agents of folders: those of SPECTRA must not lose theirs to them.
  const spares = openSpares(1, options.ports);
  const pool = createOpenPool({
    builtIn,
    log,
    onChange,
    startPool: (card, moduleUrl, onMemberChange) =>
      startAgents({
        ...options,
        // Two versions of an agent may live at one address for a while: only the place is shared.
        place: { address: place.address, tree: { memory: memoryOf(node, card.name, moduleUrl) } },
        definitions: [card],
        spares,
        moduleUrl: () => moduleUrl,
        onChange: onMemberChange,
      }),
  });
  const agents: OpenPool = {
    ...pool,
    stop: async () => {
      await pool.stop();
      await spares.close();
    },
  };
  parts.agents.set(agents);
  return agents;
}

/** What the agent of a folder did is remembered of its code: corrected code starts with a clean record. */
function memoryOf({ tree: { memory } }: NodeContext, agent: string, url: string): RestartMemory {
  const keyOf = (address: string): string => `${address}@${agent}@${url.split("/").at(-1)}`;
  return {
    load: (address) => memory.load(keyOf(address)),
    save: (address, restarts) => memory.save(keyOf(address), restarts),
    forget: (address) => memory.forget(keyOf(address)),
  };
}

/** The same for each pool of this node. */
function poolOptions(node: NodeContext): Omit<AgentsOptions, "definitions" | "onChange"> {
  const { clock, config, log, parts } = node;
  const { bus, coordination } = parts.bus.current();
  return {
    database: parts.database.current().target,
    host: hostFacts(config),
    ports: { bus, coordination, log, incidents: node.incidents, inspection: node.inspection },
    clock,
    env: config.environment,
  };
}

/** What agents may know of where they run. */
export function hostFacts({ dataDir, databaseUrl, redisUrl }: Config): HostFacts {
  return { dataDir, embeddedDatabase: databaseUrl === undefined, redisUrl };
}

function show({ definitions, live }: NodeContext, state: AgentState): void {
  const definition = definitions.get(state.name);
  if (definition === undefined) return;
  const agent = viewOfAgent(definition, state);
  live.emit(["events", `agent:${state.name}`], { type: "agent", agent });
}
