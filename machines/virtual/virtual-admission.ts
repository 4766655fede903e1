/**
 * Which ready tasks of runs in virtual time may go to their agents: the engine's own admission.
 *
 * @module
 */

import { createAdmission } from "../admission.ts";
import {
  capacityPool,
  connectionsPool,
  type Demand,
  type PoolView,
  workflowPool,
} from "../pools.ts";
import type { TaskRef } from "../ready-tree.ts";
import { defaultPriority } from "../run/plan.ts";
import type { Member } from "./member.ts";

/** Limits of one node. Rates, keys and what other nodes hold are not known ahead of time. */
export interface VirtualLimits {
  /** Tasks of an agent at once. Default: no limit. */
  agent?(name: string): number;
  /** Database connections that an action needs. Default 0. */
  actionConnections?(agent: string, action: string): number;
  /** Database connections in all. Default: no limit. */
  readonly connections?: number;
}

export interface VirtualAdmission {
  /** These tasks of the run changed; undefined: its status or its priority did, so all of them count anew. */
  follow(member: Member, keys?: Iterable<string>): void;
  /** What may be dispatched now; it is in flight from then on. */
  admit(): readonly TaskRef[];
}

export function createVirtualAdmission(
  members: ReadonlyMap<string, Member>,
  limits: VirtualLimits = {},
): VirtualAdmission {
  const admission = createAdmission();
  const ofAgents = new Map<string, readonly Demand[]>();

  /** The same object for all tasks of an agent. */
  function agentDemands(agent: string): readonly Demand[] {
    const known = ofAgents.get(agent) ?? [{ pool: capacityPool(agent), amount: 1 }];
    ofAgents.set(agent, known);
    return known;
  }

  const view: PoolView = {
    elsewhere: () => 0,
    limit: (pool) => {
      if (pool === connectionsPool) return limits.connections ?? Number.POSITIVE_INFINITY;
      const [kind = ""] = pool.split("/", 1);
      const name = pool.slice(kind.length + 1);
      if (pool === capacityPool(name)) return limits.agent?.(name) ?? Number.POSITIVE_INFINITY;
      return pool === workflowPool(name)
        ? (members.get(name)?.plan.maxParallel ?? 0)
        : Number.POSITIVE_INFINITY;
    },
  };

  function track(member: Member, key: string): void {
    const found = member.task(key);
    const { priority, status } = member.state();
    const isReady = member.ready.has(key) && status === "running";
    if (found === undefined || (!isReady && !member.atWork.has(key))) {
      return admission.gone({ workflowId: member.id, taskKey: key });
    }
    const { planned, task } = found;
    const { action, agent } = planned;
    const connections = limits.actionConnections?.(agent, action) ?? 0;
    const candidate = {
      workflowId: member.id,
      taskKey: key,
      tenant: "",
      agent,
      // A run of priority 5 lifts its tasks by 2, one of priority 1 lowers them by 2.
      priority: Math.min(
        5,
        Math.max(1, (task.priority ?? planned.priority) + priority - defaultPriority),
      ),
      readySinceMs: task.readyAtMs ?? 0,
      urgent: task.urgent,
      agentDemands: agentDemands(agent),
      demands: connections === 0 ? [] : [{ pool: connectionsPool, amount: connections }],
    };
    if (isReady) admission.ready(candidate);
    else admission.inFlight(candidate);
  }

  return {
    follow: (member, keys) => {
      for (const key of keys ?? [...member.ready]) track(member, key);
    },
    admit: () => admission.admit(view),
  };
}
