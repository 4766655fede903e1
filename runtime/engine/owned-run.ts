/**
 * A run in the memory of its owner: state, plan, and indexes that make a turn cost what changed,
 * not what exists.
 *
 * @module
 */

import type { WorkflowDefinition } from "../../actors/define-workflow.ts";
import type { LoadedRun } from "../../db/run-repo.ts";
import type { Json } from "../../machines/error-code.ts";
import type { RunPlan } from "../../machines/run-plan.ts";
import type { RunState } from "../../machines/run-turn.ts";
import { isInFlight } from "../../machines/task.ts";
import { compileDefinition } from "./definition.ts";

export interface OwnedRun {
  readonly id: string;
  readonly definition: WorkflowDefinition;
  readonly definitionHash: string;
  readonly plan: RunPlan;
  readonly input: Json;
  readonly epoch: number;
  readonly createdAtMs: number;
  state: RunState;
  /** Keys of ready tasks. */
  readonly ready: Set<string>;
  /** Keys of dispatched and running tasks. */
  readonly inFlight: Set<string>;
}

export function ownRun(loaded: LoadedRun): OwnedRun {
  const definition = loaded.definition as unknown as WorkflowDefinition;
  const run: OwnedRun = {
    id: loaded.run.id,
    definition,
    definitionHash: loaded.definitionHash,
    plan: compileDefinition(definition).plan,
    input: loaded.input,
    epoch: loaded.epoch,
    createdAtMs: loaded.createdAtMs,
    state: loaded.run,
    ready: new Set(),
    inFlight: new Set(),
  };
  reindex(run, loaded.run.tasks.keys());
  return run;
}

/** Brings the indexes up to date after the tasks of `keys` changed. */
export function reindex(run: OwnedRun, keys: Iterable<string>): void {
  for (const key of keys) {
    const status = run.state.tasks.get(key)?.status;
    if (status === "ready") run.ready.add(key);
    else run.ready.delete(key);
    if (status !== undefined && isInFlight(status)) run.inFlight.add(key);
    else run.inFlight.delete(key);
  }
}

export function isTerminal(status: RunState["status"]): boolean {
  return status === "completed" || status === "failed" || status === "cancelled";
}
