/**
 * Turns a file of a user into the agents and workflows that it exports, or into one line that says why not.
 *
 * @module
 */

import { fileURLToPath } from "node:url";
import type { AgentCard } from "../../actors/define-agent.ts";
import type { WorkflowDefinition } from "../../actors/define-workflow.ts";
import type { Json } from "../../machines/error-code.ts";
import { parseDefinition } from "../engine/parse-definition.ts";
import { RequestError } from "../system.ts";
import { type ReadFailure, readModule } from "../worker/folder/module-reader.ts";
import { compileModule, ModuleError } from "./compile-module.ts";
import { shownPath } from "./module-files.ts";

export interface LoadedModule {
  readonly file: string;
  /** Compiled; what an agent's thread imports. */
  readonly url: string;
  readonly agents: readonly AgentCard[];
  readonly workflows: readonly WorkflowDefinition[];
}

/** A module that compiles and cannot be used. */
export class RefusedModule extends ModuleError {
  /** Of the compiled file. */
  readonly url: string;

  constructor(message: string, url: string) {
    super(message);
    this.url = url;
  }
}

export interface LoadOptions {
  readonly cacheDir: string;
  /** The newest version that could be used; returned as it is when nothing changed. */
  readonly known?: LoadedModule | undefined;
  /** What the newest look found wrong; thrown again when nothing changed. */
  readonly refused?: RefusedModule | undefined;
  /** Gets the local files that were read, also when loading fails. */
  readonly inputs: Set<string>;
  readonly limits?: Parameters<typeof readModule>[1];
}

/** @throws {ModuleError} One line that begins with the file, and the place in it where that is known. */
export async function loadModule(file: string, options: LoadOptions): Promise<LoadedModule> {
  const read = new Set<string>([file]);
  let url: string;
  try {
    ({ url } = await compileModule(file, options.cacheDir, read));
  } finally {
    for (const input of read) options.inputs.add(input);
  }
  if (options.known?.url === url) return options.known;
  // A module that loops costs its deadline once, not at each change of another file.
  if (options.refused?.url === url) throw options.refused;
  const outcome = await readModule(url, options.limits);
  if (outcome.type === "failed") throw readError(file, read, outcome.failure, url);
  const { agents } = outcome.contents;
  const workflows = outcome.contents.workflows.map((value) => parseWorkflow(file, value));
  if (agents.length + workflows.length === 0) {
    throw new ModuleError(
      `${shownPath(file)}: it exports no agent and no workflow; write "export default defineAgent({ … })", or begin its name with _ when it only helps other modules`,
    );
  }
  return { file, url, agents, workflows };
}

function parseWorkflow(file: string, value: unknown): WorkflowDefinition {
  try {
    return parseDefinition(value as Json);
  } catch (error) {
    if (!(error instanceof RequestError)) throw error;
    const [first] = error.fields;
    const { id } = value as { id?: unknown };
    const why = first === undefined ? error.message : `${first.pointer} ${first.detail}`;
    throw new ModuleError(`${shownPath(file)}: workflow "${String(id)}": ${why}`, { cause: error });
  }
}

function readError(
  file: string,
  inputs: ReadonlySet<string>,
  failure: ReadFailure,
  url: string,
): RefusedModule {
  const place = placeIn(failure.stack, inputs);
  const message = failure.message.replaceAll(/\s*\n\s*/g, " ");
  return new RefusedModule(`${place ?? shownPath(file)}: ${message}`, url);
}

/** The topmost line of the stack that lies in a file of the user: `agents/a.ts:3:9`. */
function placeIn(stack: string, inputs: ReadonlySet<string>): string | undefined {
  for (const [, at = "", line, column] of stack.matchAll(/([^\s()]+):(\d+):(\d+)/g)) {
    const path = at.startsWith("file:") ? fileURLToPath(at) : at;
    if (inputs.has(path)) return `${shownPath(path)}:${line}:${column}`;
  }
  return undefined;
}
