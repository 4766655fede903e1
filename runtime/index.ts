/**
 * What the package `spectra-orchestrator` exports: how agents and workflows are written.
 *
 * @module
 */

/** The zod that the schemas of capabilities are written with. */
export { z } from "zod";
export type {
  AgentDefinition,
  AgentOptions,
  Capability,
  Permissions,
} from "../actors/define-agent.ts";
export { capability, defineAgent } from "../actors/define-agent.ts";
export type { TaskDefinition, WorkflowDefinition } from "../actors/define-workflow.ts";
export { defineStatechart, defineWorkflow, output, param } from "../actors/define-workflow.ts";
export type { AgentContext } from "../actors/ports.ts";
export { AgentError, type Json } from "../machines/error-code.ts";
