/**
 * What an agent's own page tells of it: the schemas of its actions, and how strongly its permissions hold.
 *
 * @module
 */

import type { AgentCard } from "../actors/define-agent.ts";
import type { HostFacts } from "../actors/ports.ts";
import type { DatabaseTarget } from "../db/client.ts";
import { actionSchema } from "./action-schema.ts";
import type { AgentDetails } from "./system.ts";
import { permissionsOf } from "./worker/permissions/agent-permissions.ts";
import { enforcement } from "./worker/permissions/enforcement.ts";

export interface AgentPlaces {
  readonly host: HostFacts;
  readonly database: DatabaseTarget;
}

export function detailsOf(
  card: AgentCard,
  { host, database }: AgentPlaces,
): Pick<AgentDetails, "isolation" | "enforcement" | "actions"> {
  const { isolation = "thread" } = card;
  // Where its module lies adds folders of code to what it may read, which changes nothing here.
  const set = permissionsOf(card, { host, database, moduleUrl: import.meta.url });
  return {
    isolation,
    enforcement: enforcement(isolation, process.versions.node, set),
    actions: Object.entries(card.capabilities).map(([name, action]) => ({
      name,
      description: action.description,
      connections: action.connections,
      inputSchema: actionSchema(action, "input"),
      outputSchema: actionSchema(action, "output"),
    })),
  };
}
