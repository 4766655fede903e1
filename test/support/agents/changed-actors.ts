/**
 * What became of the actors of `counter-actor.ts` in a later version of their program.
 */

import { assign, setup } from "xstate";
import { defineActor } from "../../../runtime/worker/remote/define-actor.ts";

interface Totals {
  readonly total: number;
}

const totals = setup({
  types: {} as { context: Totals; events: { type: "ADD"; n: number } },
}).createMachine({
  id: "counter",
  context: { total: 0 },
  initial: "open",
  states: {
    open: { on: { ADD: { actions: assign({ total: ({ context }) => context.total + 1 }) } } },
    paused: {},
  },
});

/** Another version, without a way from the old one. */
export const refusing = defineActor({
  name: "COUNTER",
  module: import.meta.url,
  machine: totals,
  version: "2",
});

/** The same states and version as COUNTER's first, but it invokes nothing of what PARENT did. */
export const migrating = defineActor({
  name: "MIGRATING",
  module: import.meta.url,
  machine: totals,
  version: "2",
  view: ({ context }) => context,
  migrate: ({ version }, snapshot) => {
    const { context, ...rest } = snapshot as { context: { count: number } };
    if (version !== "1") throw new Error(`there is no way from version ${version}`);
    return { ...rest, context: { total: context.count } };
  },
});

/** Never comes to rest. */
const loop = setup({ types: {} as { events: { type: "GO" } } }).createMachine({
  id: "loop",
  initial: "idle",
  states: { idle: { on: { GO: "a" } }, a: { always: "b" }, b: { always: "a" } },
});

export const looping = defineActor({
  name: "LOOP",
  module: import.meta.url,
  machine: loop,
  version: "1",
});

/** Keeps what no snapshot can hold. */
const hoarder = setup({
  types: {} as { context: { kept: unknown }; events: { type: "KEEP" } | { type: "FINE" } },
}).createMachine({
  id: "hoarder",
  context: { kept: null },
  on: {
    KEEP: { actions: assign({ kept: ({ self }) => new Map([["me", self]]) }) },
    FINE: { actions: assign({ kept: () => new Map([["day", new Date(86_400_000)]]) }) },
  },
});

export const hoarding = defineActor({
  name: "HOARDER",
  module: import.meta.url,
  machine: hoarder,
  version: "1",
  view: ({ context }) =>
    context.kept instanceof Map
      ? [...context.kept].map(([key, day]) => `${key} ${day.getTime()}`)
      : null,
});
