/**
 * What a failed walk tells.
 *
 * @module
 */

import type { PlanDraft } from "./random-plan.ts";

/** The plan without what it leaves out, and what happened up to the failure. */
export function reportOf(
  draft: PlanDraft,
  paused: boolean,
  { seed, errorInstance, numShrinks }: { seed: number; errorInstance: unknown; numShrinks: number },
  told: readonly string[],
): string {
  const plain = JSON.stringify(draft, (_, value: unknown) =>
    value === null || value === false ? undefined : value,
  );
  const error = errorInstance instanceof Error ? errorInstance.stack : String(errorInstance);
  return [`seed ${seed}, ${numShrinks} shrinks, paused ${paused}`, plain, ...told, error].join(
    "\n",
  );
}
