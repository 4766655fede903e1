/**
 * Limits and who uses them, for people.
 *
 * @module
 */

import type { SlotRepo } from "../db/slot-repo.ts";
import { defaultAgeingMs } from "../machines/admission.ts";
import type { FlowLimits } from "../machines/flow-options.ts";
import type { LimitsPort } from "./system/limits.ts";

export function createLimitService(options: {
  readonly flow: FlowLimits;
  readonly budget: { readonly cpu?: number; readonly memoryMb?: number };
  readonly slots: () => Pick<SlotRepo, "holders">;
}): LimitsPort {
  const { budget, flow } = options;
  return {
    limits: () => ({
      global: flow.global ?? {},
      agents: flow.agents ?? {},
      keys: flow.keys ?? {},
      tenants: flow.tenants ?? {},
      ageingMs: flow.ageingMs ?? defaultAgeingMs,
      node: { cpu: budget.cpu ?? null, memoryMb: budget.memoryMb ?? null },
    }),
    slots: async (pool) => {
      const rows = await options.slots().holders(pool);
      return rows.map(({ pool: name, workflowId, taskKey, attempt, owner, takenAtMs }) => ({
        pool: name,
        workflowId,
        taskKey,
        attempt,
        state: attempt === 0 ? "waits" : "holds",
        node: owner,
        since: new Date(takenAtMs).toISOString(),
      }));
    },
  };
}
