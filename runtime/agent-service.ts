/**
 * What people and programs do with agents: look, restart, drain, pause, resume.
 *
 * @module
 */

import type { AgentCard } from "../actors/define-agent.ts";
import type { Log } from "../actors/ports.ts";
import { type AgentPlaces, detailsOf } from "./agent-details.ts";
import { type Actor, type AgentsPort, type AgentView, RequestError } from "./system.ts";
import { viewOfAgent } from "./views.ts";
import type { AgentsHandle } from "./worker/agent/agent-pool.ts";

export interface AgentServiceOptions {
  readonly definitions: ReadonlyMap<string, AgentCard>;
  readonly agents: AgentsHandle;
  readonly log: Log;
  readonly places: AgentPlaces;
  /** An agent may take tasks again. */
  onAvailable(): void;
}

export function createAgentService(options: AgentServiceOptions): AgentsPort {
  const { agents, definitions, log } = options;

  function get(name: string): AgentView | undefined {
    const definition = definitions.get(name);
    return definition === undefined ? undefined : viewOfAgent(definition, agents.state(name));
  }

  function required(name: string): AgentView {
    const view = get(name);
    if (view !== undefined) return view;
    throw new RequestError(
      "NOT_FOUND",
      `Cannot find agent "${name}": there are ${[...definitions.keys()].join(", ")}`,
    );
  }

  function note(what: string, name: string, by: Actor): void {
    log.info(`agent ${what}`, { agent: name, by: by.actor, reason: by.reason ?? null });
  }

  return {
    list: () => [...definitions.keys()].flatMap((name) => get(name) ?? []),
    get: (name) => {
      const [definition, view] = [definitions.get(name), get(name)];
      if (definition === undefined || view === undefined) return undefined;
      return { ...view, ...detailsOf(definition, options.places) };
    },
    restart: async (name, by) => {
      required(name);
      note("restart", name, by);
      await agents.restart(name);
      options.onAvailable();
      return required(name);
    },
    kill: async (name, by) => {
      required(name);
      note("kill", name, by);
      await agents.killThread(name);
      return required(name);
    },
    drain: async (name, by) => {
      required(name);
      note("drain", name, by);
      // Draining lasts as long as the tasks in hand: the caller watches the status instead.
      agents.drain(name).catch((error: unknown) => {
        log.warn("agent could not be drained", { agent: name, error: String(error) });
      });
      return required(name);
    },
    pause: async (name, by) => {
      required(name);
      note("pause", name, by);
      agents.pause(name);
      return required(name);
    },
    resume: async (name, by) => {
      required(name);
      note("resume", name, by);
      await agents.resume(name);
      options.onAvailable();
      return required(name);
    },
  };
}
