import { describe, expect, test } from "vitest";
import { decideStart } from "../../machines/start-policy.ts";

const none = { started: [], queued: [] };
const full = { started: ["old", "new"], queued: [] };
const crowded = { started: ["old", "new"], queued: ["q1", "q2"] };

describe("decideStart()", () => {
  test.each(["queue", "skip", "reject", "replace"] as const)(
    "%s starts while there is room",
    (policy) => {
      expect(decideStart(none, 1, policy)).toEqual({ type: "start" });
      expect(decideStart({ started: ["a"], queued: [] }, 2, policy)).toEqual({ type: "start" });
    },
  );

  test.each([
    ["queue", full, { type: "queue", cancel: [] }],
    ["queue", { started: ["old"], queued: ["q1"] }, { type: "queue", cancel: [] }],
    ["skip", full, { type: "skip", instead: "new" }],
    ["skip", crowded, { type: "skip", instead: "q2" }],
    ["reject", crowded, { type: "reject", open: ["old", "new", "q1", "q2"] }],
    ["replace", full, { type: "queue", cancel: ["old"] }],
    ["replace", crowded, { type: "queue", cancel: ["old", "q1", "q2"] }],
  ] as const)("%s with %j", (policy, open, decision) => {
    expect(decideStart(open, 2, policy)).toEqual(decision);
  });

  test("replace of a limit that was lowered ends as many as are too many", () => {
    expect(decideStart(full, 1, "replace")).toEqual({ type: "queue", cancel: ["old", "new"] });
  });
});
