import { expect, test } from "vitest";
import { createMachine } from "xstate";
import {
  type ActorDefinition,
  defineActor,
  timerPolicy,
} from "../../../../runtime/worker/remote/define-actor.ts";

const valid: ActorDefinition = {
  name: "COUNTER",
  module: import.meta.url,
  machine: createMachine({}),
  version: "1",
};

test("a definition comes back as it is", () => {
  expect(defineActor(valid)).toBe(valid);
});

test.each<[Partial<ActorDefinition>, string]>([
  [{ name: "" }, "a name is letters"],
  [{ name: "a/b" }, "a name is letters"],
  [{ name: "-x" }, "a name is letters"],
  [{ name: "a#1" }, "a name is letters"],
  [{ version: "" }, "its version is empty"],
  [{ module: "./counter.js" }, "must be import.meta.url"],
])("%o is refused", (change, text) => {
  expect(() => defineActor({ ...valid, ...change })).toThrow(text);
});

test("a timer's policy goes by its id, its state, the name of its delay, else deadline", () => {
  const timers = { late: "restart", "m.waiting": "remaining", pause: "restart" } as const;
  expect(timerPolicy({ timers }, "late")).toBe("restart");
  expect(timerPolicy({ timers }, "xstate.after.500.m.waiting")).toBe("remaining");
  expect(timerPolicy({ timers }, "xstate.after.pause.m.other")).toBe("restart");
  expect(timerPolicy({ timers }, "xstate.after.500.m.other")).toBe("deadline");
  expect(timerPolicy({ timers: "remaining" }, "any")).toBe("remaining");
  expect(timerPolicy({}, "any")).toBe("deadline");
});
