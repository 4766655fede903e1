/**
 * The agent inside its thread: accepts attempts up to its concurrency, and drains before it stops.
 *
 *     idle ◀──last attempt ends──┐
 *      └──attempt.requested──▶ working
 *      └─────agent.drain──────▶ draining ──no attempt left──▶ stopped
 *
 * Decides only: the actor `attempt` (one run of a capability) is provided by `runtime/worker/agent/agent-worker.ts`.
 *
 * @module
 */

import { fromPromise, setup } from "xstate";

interface ThreadContext {
  /** Ids of the attempts that run. */
  readonly attempts: readonly string[];
  readonly concurrency: number;
}

export type AgentThreadEvent =
  | { readonly type: "attempt.requested"; readonly id: string }
  | { readonly type: "attempt.ended"; readonly id: string }
  | { readonly type: "agent.drain" };

/** Stands for the run of a capability until the thread provides it. */
const unprovided = fromPromise<void, { readonly id: string }>(() => {
  throw new Error("Cannot run an attempt before its logic is provided");
});

const threadSetup = setup({
  types: {
    context: {} as ThreadContext,
    events: {} as AgentThreadEvent,
    input: {} as { readonly concurrency: number },
  },
  actors: { attempt: unprovided },
  guards: {
    hasRoom: ({ context }) => context.attempts.length < context.concurrency,
    isEmpty: ({ context }) => context.attempts.length === 0,
  },
});

const accept = threadSetup.enqueueActions(({ context, event, enqueue }) => {
  if (event.type !== "attempt.requested") return;
  enqueue.assign({ attempts: [...context.attempts, event.id] });
  enqueue.spawnChild("attempt", { id: event.id, input: { id: event.id } });
});

const forget = threadSetup.enqueueActions(({ context, event, enqueue }) => {
  if (event.type !== "attempt.ended") return;
  enqueue.assign({ attempts: context.attempts.filter((id) => id !== event.id) });
  enqueue.stopChild(event.id);
});

export const agentThreadMachine = threadSetup.createMachine({
  id: "agent-thread",
  context: ({ input }) => ({ attempts: [], concurrency: input.concurrency }),
  initial: "idle",
  on: { "attempt.ended": { actions: forget }, "agent.drain": ".draining" },
  states: {
    idle: { on: { "attempt.requested": { target: "working", actions: accept } } },
    working: {
      always: { guard: "isEmpty", target: "idle" },
      on: { "attempt.requested": { guard: "hasRoom", actions: accept } },
    },
    draining: { always: { guard: "isEmpty", target: "stopped" } },
    stopped: { type: "final" },
  },
});
