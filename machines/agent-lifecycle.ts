/**
 * One agent as its node sees it: what its thread does and whether it takes work.
 *
 *     starting ──thread.ready──▶ running ◀──agent.resume── paused      any live state:
 *        │                        │  └──────agent.pause──────▶┘          thread.died ─▶ restarting ──thread.ready──▶ running or paused
 *        └──thread.died─▶ restarting                                      agent.drain ─▶ draining ─agent.stopped─▶ stopped
 *                                                                         agent.gave-up ─▶ failed
 *
 * `agent.restart` leads from everywhere to restarting. Times are monotonic milliseconds.
 *
 * @module
 */

import { assign, setup } from "xstate";
import type { ErrorRecord } from "./error-code.ts";

interface AgentContext {
  readonly restarts: number;
  readonly inFlight: number;
  readonly succeeded: number;
  readonly failed: number;
  readonly busyMs: number;
  /** Kept while the thread restarts, so that a paused agent comes back paused. */
  readonly paused: boolean;
  readonly lastError: ErrorRecord | null;
}

export type AgentEvent =
  | { readonly type: "thread.ready" }
  | { readonly type: "thread.died"; readonly error: ErrorRecord }
  | { readonly type: "attempt.accepted" }
  | { readonly type: "attempt.ended"; readonly succeeded: boolean; readonly busyMs: number }
  | { readonly type: "agent.pause" }
  | { readonly type: "agent.resume" }
  | { readonly type: "agent.drain" }
  | { readonly type: "agent.stopped" }
  | { readonly type: "agent.restart" }
  /** Its supervisor reached the restart intensity. */
  | { readonly type: "agent.gave-up"; readonly error: ErrorRecord };

export type AgentStatus =
  | "starting"
  | "running"
  | "restarting"
  | "draining"
  | "paused"
  | "stopped"
  | "failed";

const agentSetup = setup({
  types: { context: {} as AgentContext, events: {} as AgentEvent },
  guards: { isPaused: ({ context }) => context.paused },
});

const accept = agentSetup.assign({ inFlight: ({ context }) => context.inFlight + 1 });
const record = agentSetup.assign(({ context, event }) => {
  if (event.type !== "attempt.ended") return {};
  return {
    inFlight: context.inFlight - 1,
    succeeded: context.succeeded + (event.succeeded ? 1 : 0),
    failed: context.failed + (event.succeeded ? 0 : 1),
    busyMs: context.busyMs + event.busyMs,
  };
});
const countRestart = agentSetup.assign(({ context, event }) => ({
  restarts: context.restarts + 1,
  lastError: event.type === "thread.died" ? event.error : context.lastError,
}));
const keepError = agentSetup.assign(({ context, event }) => ({
  lastError: event.type === "agent.gave-up" ? event.error : context.lastError,
}));

export const agentLifecycleMachine = agentSetup.createMachine({
  id: "agent",
  context: {
    restarts: 0,
    inFlight: 0,
    succeeded: 0,
    failed: 0,
    busyMs: 0,
    paused: false,
    lastError: null,
  },
  initial: "starting",
  on: {
    "attempt.accepted": { actions: accept },
    "attempt.ended": { actions: record },
    "agent.gave-up": { target: ".failed", actions: keepError },
    "agent.stopped": ".stopped",
    "agent.restart": { target: ".restarting", actions: countRestart },
    "agent.pause": { actions: assign({ paused: true }) },
    "agent.resume": { actions: assign({ paused: false }) },
  },
  states: {
    starting: {
      on: {
        "thread.ready": [{ guard: "isPaused", target: "paused" }, { target: "running" }],
        "thread.died": { target: "restarting", actions: countRestart },
        "agent.drain": "draining",
      },
    },
    running: {
      on: {
        "agent.pause": { target: "paused", actions: assign({ paused: true }) },
        "thread.died": { target: "restarting", actions: countRestart },
        "agent.drain": "draining",
      },
    },
    paused: {
      on: {
        "agent.resume": { target: "running", actions: assign({ paused: false }) },
        "thread.died": { target: "restarting", actions: countRestart },
        "agent.drain": "draining",
      },
    },
    restarting: {
      on: {
        "thread.ready": [{ guard: "isPaused", target: "paused" }, { target: "running" }],
        "thread.died": { target: "restarting", actions: countRestart },
        "agent.drain": "draining",
      },
    },
    draining: {},
    stopped: {},
    failed: {},
  },
});
