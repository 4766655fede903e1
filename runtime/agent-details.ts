/**
 * What an agent's own page tells of it: the schemas of its actions, and how strongly its permissions hold.
 *
 * @module
 */

import { z } from "zod";
import type { AgentCard, Capability, CapabilityCard } from "../actors/define-agent.ts";
import type { HostFacts } from "../actors/ports.ts";
import type { DatabaseTarget } from "../db/client.ts";
import type { Json } from "../machines/error-code.ts";
import type { AgentAction, AgentDetails } from "./system.ts";
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
    actions: Object.entries(card.capabilities).map(([name, action]) => actionOf(name, action)),
  };
}

function actionOf(name: string, action: CapabilityCard | Capability): AgentAction {
  const { description, connections } = action;
  const schemas =
    "input" in action
      ? {
          inputSchema: schemaOf(action.input, "input"),
          outputSchema: schemaOf(action.output, "output"),
        }
      : { inputSchema: action.inputSchema ?? null, outputSchema: action.outputSchema ?? null };
  return { name, description, connections, ...schemas };
}

function schemaOf(type: z.ZodType, io: "input" | "output"): Json {
  return z.toJSONSchema(type, { io, unrepresentable: "any" }) as unknown as Json;
}
