import { expect, test } from "vitest";
import { initialTransition, transition } from "xstate";
import { type AgentEvent, agentLifecycleMachine } from "../../machines/agent-lifecycle.ts";
import { agentThreadMachine } from "../../machines/agent-thread.ts";
import type { ErrorRecord } from "../../machines/error-code.ts";

const error: ErrorRecord = { name: "Error", message: "boom", code: "BOOM", retryable: true };

function check(events: AgentEvent[], state: string, context: object = {}): void {
  let [snapshot] = initialTransition(agentLifecycleMachine);
  for (const event of events) [snapshot] = transition(agentLifecycleMachine, snapshot, event);
  expect(snapshot.value).toBe(state);
  expect(snapshot.context).toMatchObject(context);
}

test("agentLifecycleMachine counts restarts and keeps the newest reason", () => {
  const died = { type: "thread.died", error } as const;
  check([{ type: "thread.ready" }], "running", { restarts: 0, lastError: null });
  check([{ type: "thread.ready" }, died, died], "restarting", { restarts: 2, lastError: error });
  check([died, { type: "thread.ready" }], "running", { restarts: 1, lastError: error });
});

test("agentLifecycleMachine comes back paused when its thread died while paused", () => {
  const paused: AgentEvent[] = [
    { type: "thread.ready" },
    { type: "agent.pause" },
    { type: "thread.died", error },
    { type: "thread.ready" },
  ];
  check(paused, "paused");
  check([...paused, { type: "agent.resume" }], "running");
});

test("agentLifecycleMachine leads from drained, stopped and failed back by restart only", () => {
  const back: AgentEvent[] = [{ type: "agent.restart" }, { type: "thread.ready" }];
  const drained: AgentEvent[] = [{ type: "thread.ready" }, { type: "agent.drain" }];
  check([...drained, { type: "thread.ready" }], "draining");
  check([...drained, { type: "agent.stopped" }], "stopped");
  check([...drained, { type: "agent.stopped" }, ...back], "running");
  check([{ type: "agent.gave-up", error }], "failed", { lastError: error });
  check([{ type: "agent.gave-up", error }, ...back], "running");
});

test("agentLifecycleMachine counts attempts and their time", () => {
  check(
    [
      { type: "thread.ready" },
      { type: "attempt.accepted" },
      { type: "attempt.accepted" },
      { type: "attempt.ended", succeeded: true, busyMs: 5 },
      { type: "attempt.accepted" },
      { type: "attempt.ended", succeeded: false, busyMs: 7 },
    ],
    "running",
    { inFlight: 1, succeeded: 1, failed: 1, busyMs: 12 },
  );
});

test("agentThreadMachine takes attempts up to its concurrency, and stops after the last when draining", () => {
  let [snapshot] = initialTransition(agentThreadMachine, { concurrency: 2 });
  const send = (event: Parameters<typeof transition<typeof agentThreadMachine>>[2]): void => {
    [snapshot] = transition(agentThreadMachine, snapshot, event);
  };
  const asks = (id: string) => ({ type: "attempt.requested", id }) as const;
  send(asks("1"));
  send(asks("2"));
  expect(snapshot.value).toBe("working");
  expect(snapshot.can(asks("3"))).toBe(false);
  send({ type: "attempt.ended", id: "1" });
  expect(snapshot.can(asks("3"))).toBe(true);
  send({ type: "agent.drain" });
  expect(snapshot.value).toBe("draining");
  expect(snapshot.can(asks("3"))).toBe(false);
  send({ type: "attempt.ended", id: "2" });
  expect(snapshot.value).toBe("stopped");
});
