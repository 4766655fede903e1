/**
 * Decides which module provides which agent and workflow: a name belongs to one of them.
 *
 * @module
 */

import type { AgentCard } from "../../actors/define-agent.ts";
import type { WorkflowDefinition } from "../../actors/define-workflow.ts";
import type { LoadedModule } from "./load-module.ts";
import { shownPath } from "./module-files.ts";

/** An agent of a folder, and where it comes from. */
export interface ProvidedAgent {
  readonly card: AgentCard;
  readonly file: string;
  readonly url: string;
}

export interface ProvidedWorkflow {
  readonly definition: WorkflowDefinition;
  readonly file: string;
}

export interface Claims {
  readonly agents: ReadonlyMap<string, ProvidedAgent>;
  readonly workflows: ReadonlyMap<string, ProvidedWorkflow>;
  /** One line for each name that two want, with both files. */
  readonly clashes: readonly string[];
}

export interface Holders {
  /** Names that come with SPECTRA; they always win. */
  readonly builtIn: {
    readonly agents: ReadonlySet<string>;
    readonly workflows: ReadonlySet<string>;
  };
  /** Who has a name now keeps it, so that a new file cannot take a running agent over. */
  readonly current: Pick<Claims, "agents" | "workflows">;
}

export function claimNames(
  modules: readonly LoadedModule[],
  { builtIn, current }: Holders,
): Claims {
  const agents = new Map<string, ProvidedAgent>();
  const workflows = new Map<string, ProvidedWorkflow>();
  const clashes: string[] = [];
  const order = (holder: (module: LoadedModule) => boolean) =>
    [...modules].sort((a, b) => Number(holder(b)) - Number(holder(a)));
  const clash = (kind: string, name: string, file: string, other: string): void => {
    clashes.push(
      `${shownPath(file)}: ${kind} "${name}" is already defined ${other}; give one of them another name`,
    );
  };
  const holdsAgent = ({ file, agents: own }: LoadedModule) =>
    own.some(({ name }) => current.agents.get(name)?.file === file);
  for (const { file, url, agents: own } of order(holdsAgent)) {
    for (const card of own) {
      const other = agents.get(card.name);
      if (builtIn.agents.has(card.name)) clash("agent", card.name, file, "by SPECTRA itself");
      else if (other !== undefined) clash("agent", card.name, file, `in ${shownPath(other.file)}`);
      else agents.set(card.name, { card, file, url });
    }
  }
  const holdsWorkflow = ({ file, workflows: own }: LoadedModule) =>
    own.some(({ id }) => current.workflows.get(id)?.file === file);
  for (const { file, workflows: own } of order(holdsWorkflow)) {
    for (const definition of own) {
      const { id } = definition;
      const other = workflows.get(id);
      if (builtIn.workflows.has(id)) clash("workflow", id, file, "by SPECTRA itself");
      else if (other !== undefined) clash("workflow", id, file, `in ${shownPath(other.file)}`);
      else workflows.set(id, { definition, file });
    }
  }
  return { agents, workflows, clashes };
}
