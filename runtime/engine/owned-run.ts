/**
 * A run in the memory of its owner: state, plan, and indexes that make a turn cost what changed,
 * not what exists.
 *
 * @module
 */

import type { WorkflowDefinition } from "../../actors/define-workflow.ts";
import type { LoadedRun } from "../../db/run-repo.ts";
import type { Json } from "../../machines/error-code.ts";
import type { RunPlan } from "../../machines/run/plan.ts";
import { derive, isAtWork, type RunState } from "../../machines/run/state.ts";
import type { MutableRunState } from "../../machines/run/turn.ts";
import type { CompiledDefinition } from "./compile-definition.ts";

export interface OwnedRun {
  readonly id: string;
  readonly definition: WorkflowDefinition;
  readonly definitionHash: string;
  readonly plan: RunPlan;
  readonly epoch: number;
  readonly createdAtMs: number;
  readonly tenant: string;
  /** Changed in place by each committed turn. */
  readonly state: MutableRunState;
  /** Keys of ready tasks. */
  readonly ready: Set<string>;
  /** Keys of tasks that an agent may be at work on. */
  readonly inFlight: Set<string>;
}

/** @param outputs Of the tasks that the plan observes. */
export function ownRun(
  loaded: LoadedRun,
  { definition, plan }: CompiledDefinition,
  outputs: ReadonlyMap<string, Json>,
): OwnedRun {
  const run: OwnedRun = {
    id: loaded.run.id,
    definition,
    definitionHash: loaded.definitionHash,
    plan,
    epoch: loaded.epoch,
    createdAtMs: loaded.createdAtMs,
    tenant: loaded.tenant,
    state: {
      ...loaded.run,
      outputs: new Map(outputs),
      ...derive(loaded.run.tasks.values(), plan),
    },
    ready: new Set(),
    inFlight: new Set(),
  };
  reindex(run, loaded.run.tasks.keys());
  return run;
}

/** Brings the indexes up to date after the tasks of `keys` changed. */
export function reindex(run: OwnedRun, keys: Iterable<string>): void {
  for (const key of keys) {
    const task = run.state.tasks.get(key);
    if (task?.status === "ready") run.ready.add(key);
    else run.ready.delete(key);
    if (task !== undefined && isAtWork(task, run.plan)) run.inFlight.add(key);
    else run.inFlight.delete(key);
  }
}

export function isTerminal(status: RunState["status"]): boolean {
  return status === "completed" || status === "failed" || status === "cancelled";
}

type Actions = ReadonlyMap<string, { readonly agent: string; readonly action: string }>;

/** Of plans in memory; every turn of every run asks. */
const actionsByPlan = new WeakMap<RunPlan, Actions>();

/** Agent and action of each task that is an agent's. */
export function actionsOf(plan: RunPlan): Actions {
  const known = actionsByPlan.get(plan);
  if (known !== undefined) return known;
  const made = new Map(
    [...plan.tasks].flatMap(([key, { kind, agent, action }]) =>
      kind === "action" ? [[key, { agent, action }] as const] : [],
    ),
  );
  actionsByPlan.set(plan, made);
  return made;
}
