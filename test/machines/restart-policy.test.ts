import { expect, test } from "vitest";
import {
  type Decision,
  decideRestart,
  type ExitCase,
  type Restart,
  restartedWith,
  withinPeriod,
} from "../../machines/restart-policy.ts";

const first: ExitCase = {
  restart: "permanent",
  exit: "abnormal",
  verdict: "restart",
  budgetLeft: true,
  intensity: { maxRestarts: 2, periodMs: 1_000 },
  restartsMs: [],
  nowMs: 5,
};

function check(change: Partial<ExitCase>, expected: Decision): void {
  expect(decideRestart({ ...first, ...change })).toEqual(expected);
}

const again: Decision = { type: "restart", restartsMs: [5] };
const forget: Decision = { type: "forget" };

test.each<[Restart, ExitCase["exit"], Decision]>([
  ["permanent", "normal", again],
  ["permanent", "shutdown", again],
  ["permanent", "abnormal", again],
  ["transient", "normal", forget],
  ["transient", "shutdown", forget],
  ["transient", "abnormal", again],
  ["temporary", "normal", forget],
  ["temporary", "shutdown", forget],
  ["temporary", "abnormal", forget],
])("decideRestart() of a %s child after %s", (restart, exit, expected) => {
  check({ restart, exit }, expected);
});

test("decideRestart() escalates at one restart more than the intensity inside the period", () => {
  check({ restartsMs: [0, 500], nowMs: 1_000 }, { type: "escalate", because: "intensity" });
  check({ restartsMs: [0, 500], nowMs: 1_001 }, { type: "restart", restartsMs: [500, 1_001] });
});

test("decideRestart() escalates when the tree has no restarts left, or the child's rule says so", () => {
  check({ budgetLeft: false }, { type: "escalate", because: "budget" });
  check({ verdict: "escalate" }, { type: "escalate", because: "verdict" });
  check({ verdict: "stop" }, forget);
  check({ verdict: "escalate", restart: "temporary" }, forget);
  check({ budgetLeft: false, restart: "transient", exit: "normal" }, forget);
});

test("withinPeriod() keeps a restart up to the end of its period", () => {
  expect(withinPeriod([0, 1, 500], 1_000, 1_000)).toEqual([0, 1, 500]);
  expect(withinPeriod([0, 1, 500], 1_000, 1_001)).toEqual([1, 500]);
});

test("restartedWith() names the siblings that each strategy takes along", () => {
  const ids = ["a", "b", "c"];
  expect(restartedWith("one_for_one", ids, "b")).toEqual([]);
  expect(restartedWith("one_for_all", ids, "b")).toEqual(["a", "c"]);
  expect(restartedWith("rest_for_one", ids, "b")).toEqual(["c"]);
});
