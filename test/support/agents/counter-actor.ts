/**
 * Actors for the tests of remote actors: a counter that keeps a log of what it applied, and others that fail.
 */

import { assign, fromPromise, raise, setup } from "xstate";
import { tell } from "../../../runtime/worker/remote/actor-scope.ts";
import { defineActor } from "../../../runtime/worker/remote/define-actor.ts";

interface CounterContext {
  readonly count: number;
  readonly applied: readonly number[];
}

/** `ADD { n }` is noted with its number; `CRASH { how }` ends the worker in a way of its own. */
const counter = setup({
  types: {} as {
    context: CounterContext;
    events:
      | { type: "ADD"; n: number }
      | { type: "CRASH"; how: string }
      | { type: "TELL"; target: string; n: number }
      | { type: "END" };
    output: number;
  },
}).createMachine({
  id: "counter",
  context: { count: 0, applied: [] },
  initial: "open",
  states: {
    open: {
      on: {
        ADD: {
          actions: assign(({ context, event }) => ({
            count: context.count + 1,
            applied: [...context.applied, event.n],
          })),
        },
        CRASH: { actions: ({ event }) => crash(event.how) },
        TELL: { actions: ({ event }) => tell(event.target, { type: "ADD", n: event.n }) },
        END: "closed",
      },
    },
    closed: { type: "final" },
  },
  output: ({ context }) => context.count,
});

function crash(how: string): void {
  if (how === "throw") throw new RangeError("the action of CRASH throws");
  if (how === "exit") process.exit(7);
  if (how === "uncaught") {
    setTimeout(() => {
      throw new Error("thrown out of any call");
    }, 0);
    return;
  }
  while (how === "spin") Math.random();
}

export const counterActor = defineActor({
  name: "COUNTER",
  module: import.meta.url,
  machine: counter,
  version: "1",
  view: ({ context }) =>
    context.applied.length <= 2_000 ? context : { count: context.count, applied: [] },
});

/** Its own machine in a child, which waits on an `after`; the parent counts what the child did. */
const ticker = setup({
  types: {} as { context: { ticks: number }; events: { type: "TICK" } },
  delays: { pause: 400 },
}).createMachine({
  id: "ticker",
  context: { ticks: 0 },
  initial: "waiting",
  states: {
    waiting: {
      after: {
        pause: { target: "ticked", actions: assign({ ticks: ({ context }) => context.ticks + 1 }) },
      },
    },
    ticked: { type: "final" },
  },
  output: ({ context }) => context.ticks,
});

const parent = setup({
  types: {} as {
    context: { notes: string[]; error: unknown };
    events:
      | { type: "NOTE"; text: string }
      | { type: "START" }
      | { type: "LEAVE" }
      | { type: "LATE" };
  },
  actors: {
    ticker,
    failing: fromPromise(async () => {
      throw new RangeError("no such thing");
    }),
  },
  delays: { long: 700 },
}).createMachine({
  id: "parent",
  context: { notes: [], error: undefined },
  initial: "idle",
  on: {
    NOTE: { actions: assign({ notes: ({ context, event }) => [...context.notes, event.text] }) },
    LATE: { actions: assign({ notes: ({ context }) => [...context.notes, "late"] }) },
  },
  states: {
    idle: { on: { START: "running" } },
    running: {
      entry: raise({ type: "LATE" }, { delay: 500, id: "late" }),
      invoke: {
        id: "kid",
        src: "ticker",
        onDone: {
          target: "failed",
          actions: assign({
            notes: ({ context, event }) => [
              ...context.notes,
              `kid ${JSON.stringify(event.output)}`,
            ],
          }),
        },
      },
      after: { long: { actions: assign({ notes: ({ context }) => [...context.notes, "long"] }) } },
      on: { LEAVE: "idle" },
    },
    failed: {
      invoke: {
        src: "failing",
        onError: { target: "rest", actions: assign({ error: ({ event }) => event.error }) },
      },
    },
    rest: {},
  },
});

export const parentActor = defineActor({
  name: "PARENT",
  module: import.meta.url,
  machine: parent,
  version: "1",
  view: ({ value, context, children }) => ({
    value,
    notes: context.notes,
    error:
      context.error instanceof Error ? `${context.error.name}: ${context.error.message}` : null,
    children: Object.keys(children),
  }),
});
