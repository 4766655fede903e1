/**
 * Which ready tasks of runs in virtual time may go to their agents: the engine's own admission.
 *
 * @module
 */

import { admit, type Candidate } from "../admission.ts";
import { defaultPriority } from "../run/plan.ts";
import type { Member } from "./member.ts";

export interface VirtualLimits {
  /** Tasks of an agent at once. Default: no limit. */
  agent?(name: string): number;
  /** Database connections that an action needs. Default 0. */
  actionConnections?(agent: string, action: string): number;
  /** Database connections in all. Default: no limit. */
  readonly connections?: number;
}

export function dispatchable(
  members: ReadonlyMap<string, Member>,
  limits: VirtualLimits = {},
): readonly Candidate[] {
  const candidates: Candidate[] = [];
  const byAgent = new Map<string, number>();
  const byWorkflow = new Map<string, number>();
  let connections = 0;
  const needOf = (agent: string, action: string) => limits.actionConnections?.(agent, action) ?? 0;
  for (const member of members.values()) {
    byWorkflow.set(member.id, member.atWork.size);
    for (const key of member.atWork) {
      const { agent = "", action = "" } = member.task(key)?.planned ?? {};
      byAgent.set(agent, (byAgent.get(agent) ?? 0) + 1);
      connections += needOf(agent, action);
    }
    const { priority, status } = member.state();
    const hasRoom = member.atWork.size < member.plan.maxParallel;
    if (status !== "running" || !hasRoom) continue;
    for (const key of member.ready) {
      const found = member.task(key);
      if (found === undefined) continue;
      const { planned, task } = found;
      candidates.push({
        workflowId: member.id,
        taskKey: key,
        agent: planned.agent,
        priority: Math.min(
          5,
          Math.max(1, (task.priority ?? planned.priority) + priority - defaultPriority),
        ),
        readySinceMs: task.readyAtMs ?? 0,
        connections: needOf(planned.agent, planned.action),
      });
    }
  }
  if (candidates.length === 0) return [];
  return admit(
    candidates,
    { byAgent, byWorkflow, connections },
    {
      agent: (name) => limits.agent?.(name) ?? Number.POSITIVE_INFINITY,
      workflow: (id) => members.get(id)?.plan.maxParallel ?? 0,
      connections: limits.connections ?? Number.POSITIVE_INFINITY,
    },
  ).admitted;
}
