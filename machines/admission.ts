/**
 * Which ready tasks may be dispatched now: priority first, then age, within every limit.
 * Slots in use are counted from task states each time, so a slot cannot leak.
 *
 * @module
 */

export interface Candidate {
  readonly workflowId: string;
  readonly taskKey: string;
  readonly agent: string;
  /** 1 to 5, higher first. */
  readonly priority: number;
  /** Epoch ms since when the task is ready; older first. */
  readonly readySinceMs: number;
  /** Database connections that the action needs. */
  readonly connections: number;
}

/** What is in use, or may be: all counts are of tasks, but for `connections`. */
export interface Usage {
  readonly byAgent: ReadonlyMap<string, number>;
  readonly byWorkflow: ReadonlyMap<string, number>;
  readonly connections: number;
}

export interface Limits {
  readonly agent: (name: string) => number;
  readonly workflow: (id: string) => number;
  readonly connections: number;
}

export type Hold = "agent" | "workflow" | "connections";

export interface Admission {
  readonly admitted: readonly Candidate[];
  readonly held: readonly { readonly candidate: Candidate; readonly by: Hold }[];
}

export function admit(candidates: readonly Candidate[], usage: Usage, limits: Limits): Admission {
  const byAgent = new Map(usage.byAgent);
  const byWorkflow = new Map(usage.byWorkflow);
  let { connections } = usage;
  const admitted: Candidate[] = [];
  const held: { candidate: Candidate; by: Hold }[] = [];
  const queue = [...candidates].sort(
    (a, b) => b.priority - a.priority || a.readySinceMs - b.readySinceMs,
  );
  for (const candidate of queue) {
    const agentInUse = byAgent.get(candidate.agent) ?? 0;
    const workflowInUse = byWorkflow.get(candidate.workflowId) ?? 0;
    if (agentInUse >= limits.agent(candidate.agent)) {
      held.push({ candidate, by: "agent" });
    } else if (workflowInUse >= limits.workflow(candidate.workflowId)) {
      held.push({ candidate, by: "workflow" });
    } else if (connections > 0 && connections + candidate.connections > limits.connections) {
      // A task that alone asks for more than the limit still runs when nothing else does.
      held.push({ candidate, by: "connections" });
    } else {
      admitted.push(candidate);
      byAgent.set(candidate.agent, agentInUse + 1);
      byWorkflow.set(candidate.workflowId, workflowInUse + 1);
      connections += candidate.connections;
    }
  }
  return { admitted, held };
}
