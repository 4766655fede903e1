/**
 * The agents and workflows of the user's folders, as a part of the node.
 * Its agents' threads belong to the part `agents`; this part reads the files and says what should run.
 *
 * @module
 */

import type { ChildSpec, RunningChild } from "../../actors/tree/child-spec.ts";
import { createAgentFolders } from "../agents-folder/agent-folders.ts";
import { untilStopped } from "../node-children.ts";
import type { NodeContext } from "./context.ts";

/** A module that is being looked at is let go within its own deadline. */
const foldersShutdownMs = 20_000;

/** None where no folder is named. */
export function foldersChildren(node: NodeContext): readonly ChildSpec[] {
  const { agents, workflows } = node.config;
  if (agents.length + workflows.length === 0) return [];
  return [{ id: "folders", shutdownMs: foldersShutdownMs, start: () => start(node) }];
}

/** Resolves when each agent of the folders runs, or is known to be unable to. */
async function start(node: NodeContext): Promise<RunningChild> {
  const { builtIn, config, definitions, log, parts, registered } = node;
  // After a restart: what the folders gave before is given anew.
  for (const name of definitions.keys()) if (!builtIn.agents.has(name)) definitions.delete(name);
  for (const id of registered.keys()) if (!builtIn.workflows.has(id)) registered.delete(id);
  const wake = (): void => {
    if (parts.workflows.isUp()) parts.workflows.current().host.engine.wake();
  };
  const folders = createAgentFolders({
    folders: [...new Set([...config.agents, ...config.workflows])],
    dataDir: config.dataDir,
    builtIn,
    log,
  });
  parts.folders.set(folders);
  await folders.start({
    provideAgent: async (card, moduleUrl) => {
      const before = definitions.get(card.name);
      definitions.set(card.name, card);
      try {
        await parts.agents.current().provideAgent(card, moduleUrl);
      } catch (error) {
        if (before === undefined) definitions.delete(card.name);
        else definitions.set(card.name, before);
        throw error;
      }
      wake();
    },
    modulesInUse: () => parts.agents.current().modulesInUse(),
    removeAgent: async (name) => {
      await parts.agents.current().removeAgent(name);
      definitions.delete(name);
    },
    setWorkflow: (id, definition) => {
      if (definition === undefined) registered.delete(id);
      else registered.set(id, definition);
    },
  });
  if (config.watch) folders.watch();
  return untilStopped(() => folders.stop());
}
