/**
 * An actor for the tests of what actors say to each other, and of one that means harm.
 */

import { assign, fromPromise, setup } from "xstate";
import { lookup, members, tell } from "../../../runtime/worker/remote/actor-scope.ts";
import { defineActor } from "../../../runtime/worker/remote/define-actor.ts";

type Found = readonly string[];

/** `TELL` sends `ADD` with 1, 2, … to the targets, all in one action; `FIND` asks where somebody is. */
const talker = setup({
  types: {} as {
    context: { readonly found: Found };
    events:
      | { type: "TELL"; targets: Found }
      | { type: "FIND"; name?: string; group?: string }
      | { type: "POST"; frame: object };
  },
  actors: {
    find: fromPromise<Found, { readonly name?: string; readonly group?: string }>(
      async ({ input: { name, group } }) => {
        if (group !== undefined) return await members(group);
        const one = await lookup(name ?? "");
        return one === undefined ? [] : [one];
      },
    ),
  },
}).createMachine({
  id: "talker",
  context: { found: [] },
  initial: "idle",
  states: {
    idle: {
      on: {
        TELL: {
          actions: ({ event }) => {
            for (const [at, target] of event.targets.entries()) {
              tell(target, { type: "ADD", n: at + 1 });
            }
          },
        },
        FIND: "finding",
        POST: {
          actions: ({ event }) => {
            (globalThis as unknown as { postMessage(data: unknown): void }).postMessage(
              event.frame,
            );
          },
        },
      },
    },
    finding: {
      invoke: {
        src: "find",
        input: ({ event }) => (event.type === "FIND" ? event : {}),
        onDone: { target: "idle", actions: assign({ found: ({ event }) => event.output }) },
      },
    },
  },
});

const common = {
  module: import.meta.url,
  machine: talker,
  version: "1",
  view: ({ context }: { readonly context: { readonly found: Found } }) => context.found,
};

export const talkerActor = defineActor({ ...common, name: "TALKER" });
export const talkerProcess = defineActor({ ...common, name: "TALKER-P", isolation: "process" });
