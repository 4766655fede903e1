import { expect, test } from "vitest";
import {
  type Decision,
  decideRestart,
  type Restart,
  restartedWith,
} from "../../machines/restart-policy.ts";

const intensity = { maxRestarts: 2, periodMs: 1_000 };

function check(
  [restart, exit, restartsMs, nowMs]: [Restart, "normal" | "abnormal", number[], number],
  expected: Decision,
): void {
  expect(decideRestart(restart, exit, intensity, restartsMs, nowMs)).toEqual(expected);
}

test("decideRestart() follows the restart type", () => {
  check(["permanent", "normal", [], 5], { type: "restart", restartsMs: [5] });
  check(["permanent", "abnormal", [], 5], { type: "restart", restartsMs: [5] });
  check(["transient", "normal", [], 5], { type: "forget" });
  check(["transient", "abnormal", [], 5], { type: "restart", restartsMs: [5] });
  check(["temporary", "abnormal", [], 5], { type: "forget" });
});

test("decideRestart() escalates at one restart more than the intensity inside the period", () => {
  check(["permanent", "abnormal", [0, 500], 1_000], { type: "escalate" });
  check(["permanent", "abnormal", [0, 500], 1_001], { type: "restart", restartsMs: [500, 1_001] });
});

test("restartedWith() names the siblings that each strategy takes along", () => {
  const ids = ["a", "b", "c"];
  expect(restartedWith("one_for_one", ids, "b")).toEqual([]);
  expect(restartedWith("one_for_all", ids, "b")).toEqual(["a", "c"]);
  expect(restartedWith("rest_for_one", ids, "b")).toEqual(["c"]);
});
