import { expect, test } from "vitest";
import { type BarrierDecision, decideBarrier } from "../../machines/barrier.ts";

/** `a` is missing, `A` has arrived. */
function check(state: string, deadlinePassed: boolean, expected: BarrierDecision): void {
  const participants = [...state].map((letter) => ({
    participant: letter.toUpperCase(),
    arrived: letter === letter.toUpperCase(),
  }));
  expect(decideBarrier(participants, deadlinePassed)).toEqual(expected);
}

test("decideBarrier() waits for those who are missing", () => {
  check("aB", false, { type: "waiting", missing: ["A"] });
});

test("decideBarrier() opens when the last one arrived", () => {
  check("AB", false, { type: "open" });
});

test("decideBarrier() breaks when the deadline passes before all arrived", () => {
  check("abC", true, { type: "broken", missing: ["A", "B"] });
});

test("decideBarrier() keeps an open barrier open after the deadline", () => {
  check("AB", true, { type: "open" });
});
