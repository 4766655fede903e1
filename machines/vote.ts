/**
 * When a vote is decided: as soon as enough agree, or as soon as enough no longer can.
 *
 * ```
 * open ── required approvals ─────────────► accepted
 *   └──── too few voters left to reach it ► rejected
 * ```
 * A voter that does not answer casts a ballot against, so an open vote always ends.
 *
 * @module
 */

export interface Ballot {
  readonly voter: string;
  readonly approve: boolean;
  readonly reason: string;
}

export type VoteDecision =
  | { readonly type: "open"; readonly missing: readonly string[] }
  | { readonly type: "accepted" }
  | { readonly type: "rejected" };

/**
 * @param ballots At most one of each voter counts, the first; ballots of strangers are ignored.
 * @param required 1 to the number of voters.
 */
export function decideVote(
  voters: readonly string[],
  required: number,
  ballots: readonly Ballot[],
): VoteDecision {
  const first = new Map<string, boolean>();
  for (const ballot of ballots) {
    if (voters.includes(ballot.voter) && !first.has(ballot.voter)) {
      first.set(ballot.voter, ballot.approve);
    }
  }
  const approvals = [...first.values()].filter((approve) => approve).length;
  const missing = voters.filter((voter) => !first.has(voter));
  if (approvals >= required) return { type: "accepted" };
  if (approvals + missing.length < required) return { type: "rejected" };
  return { type: "open", missing };
}
