/**
 * What the package `spectra-orchestrator` exports: how agents, actors and workflows are written, and Deno's
 * `Worker` on its own.
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
export type {
  Mode,
  StageOptions,
  TaskDefinition,
  TaskGraph,
  WorkflowDefinition,
} from "../actors/define-workflow.ts";
export { defineStatechart, defineWorkflow } from "../actors/define-workflow.ts";
export type { AgentContext } from "../actors/ports.ts";
export {
  and,
  context,
  eq,
  event,
  gt,
  gte,
  index,
  isIn,
  item,
  lt,
  lte,
  ne,
  not,
  or,
  output,
  param,
  type Ref,
  set,
  type TaskInput,
  when,
} from "../actors/workflow-values.ts";
export { AgentError, type Json } from "../machines/error-code.ts";
export { enforcement } from "./worker/permissions/enforcement.ts";
export {
  lookup,
  members,
  ownAddress,
  tell,
} from "./worker/remote/actor-scope.ts";
export type { ActorHost, StartActorOptions } from "./worker/remote/actor-service.ts";
export {
  type ActorDefinition,
  defineActor,
  type MachineIdentity,
} from "./worker/remote/define-actor.ts";
export {
  type OpenActorHost,
  type OpenActorHostOptions,
  openActorHost,
} from "./worker/remote/open-actor-host.ts";
export { Worker, type WorkerExit, type WorkerOptions } from "./worker/web/worker.ts";
