import { expect, test } from "vitest";
import { AgentError, type Json } from "../../../machines/error-code.ts";
import { createBus } from "../../../runtime/bus/bus.ts";

const never = () => new Promise<Json>(() => undefined);
const ask = { timeoutMs: 60_000 };

test("request() returns what the action returned and counts it as delivered", async () => {
  const calls: unknown[] = [];
  const bus = createBus({
    callAgent: async (...call) => {
      calls.push(call);
      return { doubled: 4 };
    },
    onPublish: () => undefined,
  });
  expect(await bus.request("MATH", "double", { value: 2 }, ask)).toEqual({ doubled: 4 });
  expect(calls).toEqual([["MATH", "double", { value: 2 }, 60_000]]);
  expect(bus.stats()).toEqual({ sent: 1, delivered: 1, failed: 0, pending: 0 });
});

test("request() rejects with the error of the action, unchanged", async () => {
  const refusal = new AgentError("ACTION_UNKNOWN", "Cannot run MATH.halve: no such action");
  const bus = createBus({ callAgent: () => Promise.reject(refusal), onPublish: () => undefined });
  await expect(bus.request("MATH", "halve", {}, ask)).rejects.toBe(refusal);
  expect(bus.stats()).toEqual({ sent: 1, delivered: 0, failed: 1, pending: 0 });
});

test("request() rejects with REQUEST_TIMEOUT when the agent never answers", async () => {
  const bus = createBus({ callAgent: never, onPublish: () => undefined });
  await expect(bus.request("MATH", "hang", {}, { timeoutMs: 5 })).rejects.toMatchObject({
    code: "REQUEST_TIMEOUT",
    retryable: true,
  });
  expect(bus.stats()).toEqual({ sent: 1, delivered: 0, failed: 1, pending: 0 });
});

test("request() refuses one more than `maxPending` unanswered requests with BUS_FULL", async () => {
  const answers: ((value: Json) => void)[] = [];
  const bus = createBus({
    callAgent: () => new Promise((resolve) => answers.push(resolve)),
    onPublish: () => undefined,
    maxPending: 2,
  });
  const first = [bus.request("A", "x", {}, ask), bus.request("A", "x", {}, ask)];
  await expect(bus.request("A", "x", {}, ask)).rejects.toMatchObject({ code: "BUS_FULL" });
  for (const answer of answers) answer("done");
  expect(await Promise.all(first)).toEqual(["done", "done"]);
  expect(bus.stats()).toEqual({ sent: 3, delivered: 2, failed: 1, pending: 0 });
});

test.each([0, -1, Number.NaN, Number.POSITIVE_INFINITY])(
  "request() refuses a deadline of %d ms",
  async (timeoutMs) => {
    const bus = createBus({ callAgent: never, onPublish: () => undefined });
    await expect(bus.request("A", "x", {}, { timeoutMs })).rejects.toMatchObject({
      code: "REQUEST_INVALID",
    });
  },
);

test("publish() hands over topic and body; a listener that throws counts as failed", async () => {
  const heard: unknown[] = [];
  const bus = createBus({
    callAgent: never,
    onPublish: (topic, body) => {
      if (topic === "broken") throw new Error("no listener");
      heard.push([topic, body]);
    },
  });
  await bus.publish("phase1", { percent: 5 });
  await expect(bus.publish("broken", null)).rejects.toThrow("no listener");
  expect(heard).toEqual([["phase1", { percent: 5 }]]);
  expect(bus.stats()).toEqual({ sent: 2, delivered: 1, failed: 1, pending: 0 });
});
