/**
 * What a task asks for: comparing and collecting demands of candidates.
 *
 * @module
 */

import { type Demand, kindOf, workflowPool } from "./pools.ts";
import type { Candidate, Class, Entry, Lane, TaskRef } from "./ready-tree.ts";

export function refOf({ candidate }: Pick<Entry, "candidate">): TaskRef {
  const { workflowId, taskKey } = candidate;
  return { workflowId, taskKey };
}

export function allDemands({ workflowId, agentDemands, demands }: Candidate): Demand[] {
  return [...agentDemands, ...demands, { pool: workflowPool(workflowId), amount: 1 }];
}

/** Those of the demands that can hold the task up. */
export function holding({ urgent }: Candidate, demands: readonly Demand[]): readonly Demand[] {
  return urgent === true ? demands.filter(({ pool }) => kindOf(pool) === "capacity") : demands;
}

export function classKey(demands: readonly Demand[]): string {
  return demands.map(({ pool, amount }) => `${amount} ${pool}`).join("\n");
}

export function isSameHolder(a: Candidate, b: Candidate): boolean {
  return (
    a.agent === b.agent &&
    (a.agentDemands === b.agentDemands || classKey(a.agentDemands) === classKey(b.agentDemands)) &&
    classKey(a.demands) === classKey(b.demands)
  );
}

export function isAlike(a: Candidate, b: Candidate): boolean {
  return (
    a.tenant === b.tenant &&
    a.priority === b.priority &&
    a.readySinceMs === b.readySinceMs &&
    a.urgent === b.urgent &&
    isSameHolder(a, b)
  );
}

/** The smallest amount that anybody parked on the pool asks of it. */
export function leastOf(pool: string, group: ReadonlySet<Lane | Class>): number {
  let least = Number.POSITIVE_INFINITY;
  for (const what of group) {
    if ("entries" in what) return 1;
    for (const demand of what.demands) {
      if (demand.pool === pool) least = Math.min(least, demand.amount);
    }
  }
  return least;
}
