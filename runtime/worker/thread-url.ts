/**
 * Finds the compiled JavaScript that a worker thread starts from.
 * Node 20 runs no TypeScript in threads, so sources map to their build in `dist/`.
 *
 * @module
 */

import { AgentError } from "../../machines/error-code.ts";

/** The checkout when this runs from source, `dist/` when it runs compiled. */
const root = new URL("../../", import.meta.url).href;

/**
 * `<root>/a/b.ts` becomes `<root>/dist/a/b.js`; the URL of a JavaScript module stays.
 * @throws {AgentError} `MODULE_NOT_COMPILED` for TypeScript outside the project.
 */
export function compiledUrl(url: string | URL): string {
  const { href } = new URL(url);
  if (!href.endsWith(".ts")) return href;
  if (!href.startsWith(root)) {
    throw new AgentError(
      "MODULE_NOT_COMPILED",
      `Cannot start a thread from "${href}": it is TypeScript outside of ${root}, compile it first`,
    );
  }
  return `${root}dist/${href.slice(root.length, -".ts".length)}.js`;
}

/** Entry of an agent's worker. */
export function threadEntryUrl(): URL {
  const extension = import.meta.url.endsWith(".ts") ? "ts" : "js";
  return new URL(compiledUrl(new URL(`./agent/agent-worker.${extension}`, import.meta.url)));
}

/** By convention `actors/agents/<lower-case name>/agent.ts` exports the agent's definition. */
export function agentModuleUrl(name: string): string {
  const extension = import.meta.url.endsWith(".ts") ? "ts" : "js";
  const folder = name.toLowerCase();
  return compiledUrl(new URL(`../../actors/agents/${folder}/agent.${extension}`, import.meta.url));
}
