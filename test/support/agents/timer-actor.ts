/**
 * Actors that wait: a chain of delays, and one timer for each policy.
 */

import { assign, raise, setup } from "xstate";
import { defineActor } from "../../../runtime/worker/remote/define-actor.ts";

interface Fired {
  readonly fired: readonly string[];
}

/** Ten delays of 60 ms, one after the other; each is noted when it fires. */
const chain = setup({
  types: {} as { context: Fired; events: { type: "PING" } },
}).createMachine({
  id: "chain",
  context: { fired: [] },
  initial: "waiting",
  states: {
    waiting: {
      always: { guard: ({ context }) => context.fired.length >= 10, target: "rest" },
      after: {
        60: {
          target: "waiting",
          reenter: true,
          actions: assign({
            fired: ({ context }) => [...context.fired, `${context.fired.length}`],
          }),
        },
      },
    },
    rest: {},
  },
});

export const chainActor = defineActor({
  name: "CHAIN",
  module: import.meta.url,
  machine: chain,
  version: "1",
  view: ({ context }) => context.fired,
});

/** `SET` arms three timers of `delayMs`; `LEAVE` leaves the state of a fourth, which never fires. */
const policies = setup({
  types: {} as {
    context: Fired & { readonly delayMs: number };
    input: { readonly delayMs: number };
    events: { type: "SET" } | { type: "LEAVE" } | { type: "FIRED"; id: string };
  },
  delays: { wait: ({ context }) => context.delayMs },
}).createMachine({
  id: "policies",
  context: ({ input }) => ({ fired: [], delayMs: input.delayMs }),
  initial: "idle",
  on: {
    FIRED: { actions: assign({ fired: ({ context, event }) => [...context.fired, event.id] }) },
  },
  states: {
    idle: { on: { SET: "armed" } },
    armed: {
      entry: (["deadline", "remaining", "restart"] as const).map((id) =>
        raise({ type: "FIRED", id }, { delay: "wait", id }),
      ),
      after: { wait: { actions: assign({ fired: ({ context }) => [...context.fired, "left"] }) } },
      on: { LEAVE: "rest" },
    },
    rest: {},
  },
});

export const policiesActor = defineActor({
  name: "POLICIES",
  module: import.meta.url,
  machine: policies,
  version: "1",
  timers: { remaining: "remaining", restart: "restart" },
  view: ({ value, context }) => ({ value, fired: context.fired }),
});
