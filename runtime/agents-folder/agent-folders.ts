/**
 * The agents and workflows of the user's folders, kept as the files are.
 *
 * A pass reads all modules and compares what they provide with what runs: agents are added, replaced and
 * removed, each by its own order. A module that cannot be used costs its own agents only; one that
 * became unusable leaves its last good version running.
 *
 * @module
 */

import { join } from "node:path";
import type { AgentCard } from "../../actors/define-agent.ts";
import type { WorkflowDefinition } from "../../actors/define-workflow.ts";
import type { Log } from "../../actors/ports.ts";
import { type Claims, claimNames, type Holders, type ProvidedAgent } from "./claims.ts";
import { type LoadedModule, type LoadOptions, loadModule, RefusedModule } from "./load-module.ts";
import { listModules, shownPath } from "./module-files.ts";
import { pruneCache } from "./prune-cache.ts";
import { type FileWatch, watchFiles } from "./watch-files.ts";

/** Modules that are looked at at once. */
const parallelLoads = 2;

/** Who runs the agents. */
export interface FolderHost {
  /**
   * Adds the agent, or gives the one of this name new code: running attempts end on the old code, which
   * also stays when the new one cannot start. Resolves when the agent takes tasks.
   */
  provideAgent(card: AgentCard, moduleUrl: string): Promise<void>;
  /** Compiled modules that agents run or may run again. */
  modulesInUse(): ReadonlySet<string>;
  /** Waits for the running attempts. */
  removeAgent(name: string): Promise<void>;
  setWorkflow(id: string, definition: WorkflowDefinition | undefined): void;
}

export interface AgentFoldersOptions {
  /** Absolute paths. */
  readonly folders: readonly string[];
  readonly dataDir: string;
  readonly builtIn: Holders["builtIn"];
  readonly log: Log;
  readonly limits?: LoadOptions["limits"];
  readonly lookEveryMs?: number;
}

export interface AgentFolders {
  /** Loads everything and starts its agents; rejects only for a folder that cannot be read. */
  start(host: FolderHost): Promise<void>;
  /** From now on changes are taken over. */
  watch(): void;
  /** What is wrong now, one line each, most useful on a status page. */
  problems(): readonly string[];
  /** Why an agent that was there is not any more; undefined for others. */
  whyGone(name: string): string | undefined;
  stop(): Promise<void>;
}

export function createAgentFolders(options: AgentFoldersOptions): AgentFolders {
  const { log } = options;
  const cacheDir = join(options.dataDir, "agents");
  const modules = new Map<string, LoadedModule>();
  const refusedModules = new Map<string, RefusedModule>();
  const inputs = new Set<string>();
  const gone = new Map<string, string>();
  /** By name: what is being done about an agent, one after the other. */
  const pending = new Map<string, Promise<void>>();
  /** By agent: why its newest code does not run. */
  const refused = new Map<string, string>();
  let current: Claims = { agents: new Map(), workflows: new Map(), clashes: [] };
  let moduleProblems: readonly string[] = [];
  let host: FolderHost | undefined;
  let watch: FileWatch | undefined;
  const problems = (): readonly string[] => [
    ...moduleProblems,
    ...current.clashes,
    ...refused.values(),
  ];

  async function loadAll(files: readonly string[]): Promise<readonly string[]> {
    const found: string[] = [];
    const queue = [...files];
    const worker = async (): Promise<void> => {
      for (let file = queue.shift(); file !== undefined; file = queue.shift()) {
        const known = modules.get(file);
        try {
          const { limits } = options;
          const loaded = await loadModule(file, {
            cacheDir,
            known,
            refused: refusedModules.get(file),
            inputs,
            ...(limits === undefined ? {} : { limits }),
          });
          modules.set(file, loaded);
          refusedModules.delete(file);
        } catch (error) {
          if (error instanceof RefusedModule) refusedModules.set(file, error);
          const why = error instanceof Error ? error.message : String(error);
          const rest =
            known === undefined ? "its agents are left out" : "its last good version goes on";
          found.push(`${why}; ${rest} until the file is corrected`);
        }
      }
    };
    await Promise.all(Array.from({ length: parallelLoads }, worker));
    return found.sort();
  }

  /** One pass over all folders. Resolves when the orders are given; `settled` tells when they are done. */
  async function pass(): Promise<void> {
    const before = new Set(problems());
    const lists = await Promise.all(options.folders.map(listModules));
    const files = [...new Set(lists.flat())];
    for (const known of [modules, refusedModules]) {
      for (const file of known.keys()) if (!files.includes(file)) known.delete(file);
    }
    moduleProblems = await loadAll(files);
    const previous = current;
    const holders = { builtIn: options.builtIn, current: previous };
    current = claimNames(
      files.flatMap((file) => modules.get(file) ?? []),
      holders,
    );
    for (const line of problems()) if (!before.has(line)) log.error(line);
    applyWorkflows(previous);
    applyAgents(previous);
    await pruneCache(cacheDir, inUse()).catch((error: unknown) => {
      log.warn(`Cannot clean ${cacheDir}: ${String(error)}`);
    });
  }

  function inUse(): ReadonlySet<string> {
    const loaded = [...modules.values(), ...refusedModules.values()].map(({ url }) => url);
    return new Set([...loaded, ...(host?.modulesInUse() ?? [])]);
  }

  function applyWorkflows(previous: Claims): void {
    for (const id of previous.workflows.keys()) {
      if (!current.workflows.has(id)) host?.setWorkflow(id, undefined);
    }
    for (const [id, { definition }] of current.workflows) host?.setWorkflow(id, definition);
  }

  function applyAgents(previous: Claims): void {
    for (const [name, { file }] of previous.agents) {
      if (current.agents.has(name)) continue;
      gone.set(name, `agent ${name} is gone: ${shownPath(file)} does not define it any more`);
      log.info("agent of a folder is removed", { agent: name, file: shownPath(file) });
      inOrder(name, async () => {
        refused.delete(name);
        await host?.removeAgent(name);
      });
    }
    for (const [name, agent] of current.agents) {
      const old = previous.agents.get(name);
      if (old?.url === agent.url) continue;
      gone.delete(name);
      inOrder(name, () => provide(name, agent, old !== undefined));
    }
  }

  async function provide(name: string, agent: ProvidedAgent, isThere: boolean): Promise<void> {
    const { card, file, url } = agent;
    refused.delete(name);
    try {
      await host?.provideAgent(card, url);
      log.info(isThere ? "agent of a folder runs new code" : "agent of a folder runs", {
        agent: name,
        file: shownPath(file),
      });
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      const line = `${shownPath(file)}: ${why.replaceAll(/\s*\n\s*/g, " ")}`;
      refused.set(name, line);
      log.error(line);
    }
  }

  /** What is ordered for one agent happens one after the other, whatever the others do. */
  function inOrder(name: string, act: () => Promise<void>): void {
    const next = (pending.get(name) ?? Promise.resolve()).then(act).catch((error: unknown) => {
      log.error(`Cannot change agent ${name}: ${String(error)}`);
    });
    pending.set(name, next);
    void next.then(() => {
      if (pending.get(name) === next) pending.delete(name);
    });
  }

  return {
    start: async (newHost) => {
      host = newHost;
      await pass();
      await Promise.all(pending.values());
    },
    watch: () => {
      watch ??= watchFiles({
        folders: options.folders,
        others: () => inputs,
        ...(options.lookEveryMs === undefined ? {} : { lookEveryMs: options.lookEveryMs }),
        onChange: async () => {
          try {
            await pass();
          } catch (error) {
            log.error(error instanceof Error ? error.message : String(error));
          }
        },
      });
    },
    problems,
    whyGone: (name) => gone.get(name),
    stop: async () => {
      await watch?.stop();
      host = undefined;
      if (modules.size + moduleProblems.length > 0) await (await import("esbuild")).stop();
    },
  };
}
