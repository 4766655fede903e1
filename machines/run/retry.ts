/**
 * How long a failed attempt waits before the next.
 *
 * @module
 */

import { backoffDelayMs } from "../backoff-delay.ts";
import type { RetryPlan } from "./plan.ts";

/**
 * @param failures Failed attempts so far, from 1.
 * @param random From 0 to 1; shortens the delay by up to the policy's jitter.
 */
export function retryDelayMs(retry: RetryPlan, failures: number, random: number): number {
  return backoffDelayMs(retry, failures, 2 * retry.jitter * random);
}
