import { expect, test } from "vitest";
import { decideVote, type VoteDecision } from "../../machines/vote.ts";

const voters = ["A", "B", "C"];

/** `A+` approves, `A-` is against. */
function check(required: number, ballots: readonly string[], expected: VoteDecision): void {
  const cast = ballots.map((ballot) => ({
    voter: ballot.slice(0, -1),
    approve: ballot.endsWith("+"),
    reason: "because",
  }));
  expect(decideVote(voters, required, cast)).toEqual(expected);
}

test("decideVote() waits, while neither side is sure", () => {
  check(2, [], { type: "open", missing: ["A", "B", "C"] });
  check(2, ["A+"], { type: "open", missing: ["B", "C"] });
  check(2, ["A+", "B-"], { type: "open", missing: ["C"] });
});

test("decideVote() accepts at the ballot that reaches the quorum, without the rest", () => {
  check(2, ["A+", "C+"], { type: "accepted" });
  check(1, ["B+"], { type: "accepted" });
  check(3, ["A+", "B+", "C+"], { type: "accepted" });
});

test("decideVote() rejects as soon as the quorum is out of reach", () => {
  check(2, ["A-", "B-"], { type: "rejected" });
  check(3, ["B-"], { type: "rejected" });
});

test("decideVote() counts the first ballot of a voter only", () => {
  check(2, ["A+", "A+"], { type: "open", missing: ["B", "C"] });
  check(2, ["A-", "A+", "B+"], { type: "open", missing: ["C"] });
});

test("decideVote() ignores ballots of strangers", () => {
  check(2, ["X+", "Y+"], { type: "open", missing: ["A", "B", "C"] });
});
