/**
 * Turns ready tasks of owned runs into dispatch events, within the limits of the node.
 *
 * @module
 */

import { admit, type Candidate, type Hold, type Usage } from "../../machines/admission.ts";
import { defaultPriority } from "../../machines/run/plan.ts";
import { isAtWork } from "../../machines/run/state.ts";
import { beginTurn, type Turn } from "../../machines/run/turn.ts";
import type { OwnedRun } from "./owned-run.ts";

export interface EngineLimits {
  /** Tasks of an agent at once, now: 0 while it is paused or draining. */
  readonly agent: (name: string) => number;
  /** Database connections that an action needs. */
  readonly actionConnections: (agent: string, action: string) => number;
  /** Database connections for all agents of this node together. */
  readonly connections: number;
}

/**
 * Applies a dispatch event for each task that fits, opening turns where there is none yet.
 *
 * @param open Turns of this batch by run; grows.
 * @returns What holds each ready task that does not fit, by `workflowId/taskKey`.
 */
export function dispatchReady(
  owned: ReadonlyMap<string, OwnedRun>,
  open: Map<string, Turn>,
  limits: EngineLimits,
  atMs: number,
  random: () => number,
): Map<string, Hold> {
  const { ready, usage } = survey(owned, open, limits);
  const { admitted, held } = admit(ready, usage, {
    agent: limits.agent,
    workflow: (id) => owned.get(id)?.plan.maxParallel ?? 0,
    connections: limits.connections,
  });
  for (const { workflowId, taskKey } of admitted) {
    const run = owned.get(workflowId);
    if (run === undefined) continue;
    const turn = open.get(workflowId) ?? beginTurn(run.state, run.plan, random);
    open.set(workflowId, turn);
    turn.apply({ type: "task.dispatch", taskKey, by: "scheduler", atMs });
  }
  return new Map(
    held.map(({ candidate, by }) => [`${candidate.workflowId}/${candidate.taskKey}`, by]),
  );
}

/** Counts what is in flight and lists what is ready, as of the open turns. */
function survey(
  owned: ReadonlyMap<string, OwnedRun>,
  open: ReadonlyMap<string, Turn>,
  limits: EngineLimits,
): { ready: Candidate[]; usage: Usage } {
  const ready: Candidate[] = [];
  const byAgent = new Map<string, number>();
  const byWorkflow = new Map<string, number>();
  let connections = 0;
  for (const run of owned.values()) {
    const turn = open.get(run.id);
    const { status, priority } = turn?.run() ?? run.state;
    const keys = new Set([...run.ready, ...run.inFlight, ...(turn?.changed().keys() ?? [])]);
    for (const key of keys) {
      const task = turn?.task(key) ?? run.state.tasks.get(key);
      const planned = run.plan.tasks.get(task?.plan ?? key);
      if (task === undefined || planned === undefined) continue;
      const { agent, action } = planned;
      const need = limits.actionConnections(agent, action);
      if (isAtWork(task, run.plan)) {
        byAgent.set(agent, (byAgent.get(agent) ?? 0) + 1);
        byWorkflow.set(run.id, (byWorkflow.get(run.id) ?? 0) + 1);
        connections += need;
      } else if (task.status === "ready" && status === "running" && planned.kind === "action") {
        ready.push({
          workflowId: run.id,
          taskKey: key,
          agent,
          // A run of priority 5 lifts its tasks by 2, one of priority 1 lowers them by 2.
          priority: Math.min(
            5,
            Math.max(1, (task.priority ?? planned.priority) + priority - defaultPriority),
          ),
          readySinceMs: task.readyAtMs ?? 0,
          connections: need,
        });
      }
    }
  }
  return { ready, usage: { byAgent, byWorkflow, connections } };
}
