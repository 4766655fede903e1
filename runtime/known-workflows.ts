/**
 * The workflows that a node can start by name, as people choose among them.
 *
 * @module
 */

import type { WorkflowDefinition } from "../actors/define-workflow.ts";
import type { FindAgent } from "./engine/definition.ts";
import { inputSchemaOf } from "./engine/workflow-input.ts";
import type { KnownWorkflow } from "./system.ts";

export interface KnownWorkflowsOptions {
  readonly registered: ReadonlyMap<string, WorkflowDefinition>;
  /** Ids of those that come with SPECTRA. */
  readonly builtIn: ReadonlySet<string>;
  /** By workflow: inputs that the node fills in when they are left out. */
  readonly filledIn: Readonly<Record<string, readonly string[]>>;
  readonly findAgent: FindAgent;
}

/** The user's own first; otherwise in the order of their registration. */
export function knownWorkflows(options: KnownWorkflowsOptions): KnownWorkflow[] {
  const all = [...options.registered.values()].map((definition): KnownWorkflow => {
    const { id, title, stages } = definition;
    return {
      id,
      title,
      origin: options.builtIn.has(id) ? "built-in" : "folder",
      stages: Object.keys(stages).length,
      tasks: Object.values(stages).reduce((sum, { tasks }) => sum + Object.keys(tasks).length, 0),
      inputSchema: inputSchemaOf(definition, options.findAgent, options.filledIn[id]),
    };
  });
  return [
    ...all.filter(({ origin }) => origin === "folder"),
    ...all.filter(({ origin }) => origin !== "folder"),
  ];
}
