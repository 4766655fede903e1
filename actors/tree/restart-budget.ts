/**
 * How many restarts a whole tree may take. Nested supervisors multiply: three levels of five
 * restarts each are 125 of a leaf that cannot live; with a budget at the root they stay bounded.
 *
 * @module
 */

import { type Intensity, withinPeriod } from "../../machines/restart-policy.ts";

export interface RestartBudget {
  /** Whether one more restart is allowed now. */
  isLeft(nowMs: number): boolean;
  /** @param nowMs Monotonic. */
  charge(nowMs: number): void;
  readonly limit: Intensity;
}

export function createRestartBudget(limit: Intensity): RestartBudget {
  let chargedMs: readonly number[] = [];
  return {
    limit,
    isLeft: (nowMs) => withinPeriod(chargedMs, limit.periodMs, nowMs).length < limit.maxRestarts,
    charge: (nowMs) => {
      chargedMs = [...withinPeriod(chargedMs, limit.periodMs, nowMs), nowMs];
    },
  };
}
