/**
 * When a barrier opens, and when it breaks because someone did not come in time.
 *
 * ```
 * waiting ── the last participant arrives ► open
 *    └────── deadline ────────────────────► broken
 * ```
 * An open barrier stays open: the deadline does not close it.
 *
 * @module
 */

export interface BarrierParticipant {
  readonly participant: string;
  /** Whether it arrived before the deadline. */
  readonly arrived: boolean;
}

export type BarrierDecision =
  | { readonly type: "open" }
  | { readonly type: "waiting"; readonly missing: readonly string[] }
  | { readonly type: "broken"; readonly missing: readonly string[] };

/** @param deadlinePassed By the clock of the database that holds the barrier. */
export function decideBarrier(
  participants: readonly BarrierParticipant[],
  deadlinePassed: boolean,
): BarrierDecision {
  const missing = participants.filter((one) => !one.arrived).map((one) => one.participant);
  if (missing.length === 0) return { type: "open" };
  return { type: deadlinePassed ? "broken" : "waiting", missing };
}
