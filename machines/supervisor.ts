/**
 * Supervisor: keeps its children running, or gives up and tells its parent.
 *
 *     starting ──all settled──▶ running ──supervisor.stop / intensity reached──▶ stopping ─┬▶ stopped
 *        └────a start failed, or supervisor.stop───────────────────────────────▲           └▶ failed
 *
 * Decides only: its effects are provided by `actors/tree/supervisor.ts`.
 * Source: Erlang/OTP `supervisor`; the delay from the second restart on is ours (OTP has none).
 *
 * @module
 */

import { enqueueActions, setup } from "xstate";
import { type ChildTable, createRow, findRow, nextSteps } from "./child-table.ts";
import {
  react,
  type SupervisorContext,
  type SupervisorEvent,
  type SupervisorInput,
} from "./supervisor-reactions.ts";

function isSettled(table: ChildTable): boolean {
  return table.every((row) => row.status !== "waiting" && row.status !== "starting");
}

function isDown(table: ChildTable): boolean {
  return table.every((row) => row.status === "ended");
}

export const supervisorMachine = setup({
  types: {
    context: {} as SupervisorContext,
    events: {} as SupervisorEvent,
    input: {} as SupervisorInput,
  },
  actions: {
    startChild: (_args, _params: { readonly id: string }) => unprovided(),
    stopChild: (_args, _params: { readonly id: string }) => unprovided(),
    killChild: (_args, _params: { readonly id: string }) => unprovided(),
    /** One restart less for the whole tree. */
    chargeBudget: (_args, _params: { readonly nowMs: number }) => unprovided(),
  },
}).createMachine({
  id: "supervisor",
  context: ({ input: { children, ...rest } }) => ({
    ...rest,
    table: children.map((child) => createRow(child, false)),
    restartsMs: [],
    started: false,
    stopping: false,
    isAutoShutdown: false,
    error: undefined,
  }),
  // The first steps; later ones follow from events.
  entry: enqueueActions(({ context, enqueue }) => {
    const steps = nextSteps(context.table, context.startMode, context.strategy);
    enqueue.assign({ table: steps.table });
    for (const id of steps.start) enqueue({ type: "startChild", params: { id } });
  }),
  on: {
    "*": {
      actions: enqueueActions(({ context, event, enqueue }) => {
        const { change, charges, delay } = react(context, event);
        const next = { ...context, ...change };
        const steps = nextSteps(next.table, next.startMode, next.strategy);
        enqueue.assign({ ...change, table: steps.table });
        if (event.type === "shutdown.elapsed" && isStopping(context.table, event.id)) {
          enqueue({ type: "killChild", params: { id: event.id } });
        }
        if (event.type === "child.exited") {
          enqueue.cancel(`shutdown:${event.id}`);
          if (charges === true) enqueue({ type: "chargeBudget", params: { nowMs: event.nowMs } });
        }
        if (event.type === "child.restart" || event.type === "child.stop")
          enqueue.cancel(`backoff:${event.id}`);
        if (delay !== undefined) {
          enqueue.raise(
            { type: "backoff.elapsed", id: delay.id },
            { id: `backoff:${delay.id}`, delay: delay.ms },
          );
        }
        for (const id of steps.stop) {
          const shutdown = findRow(steps.table, id)?.shutdown ?? "brutal_kill";
          if (shutdown === "brutal_kill") {
            enqueue({ type: "killChild", params: { id } });
            continue;
          }
          enqueue({ type: "stopChild", params: { id } });
          if (shutdown === "infinity") continue;
          enqueue.raise(
            { type: "shutdown.elapsed", id },
            { id: `shutdown:${id}`, delay: shutdown },
          );
        }
        for (const id of steps.start) enqueue({ type: "startChild", params: { id } });
      }),
    },
  },
  initial: "starting",
  states: {
    starting: {
      always: [
        { guard: ({ context }) => context.stopping, target: "stopping" },
        { guard: ({ context }) => isSettled(context.table), target: "running" },
      ],
    },
    running: {
      entry: enqueueActions(({ enqueue }) => {
        enqueue.assign({ started: true });
      }),
      always: { guard: ({ context }) => context.stopping, target: "stopping" },
    },
    stopping: {
      always: [
        {
          guard: ({ context }) => isDown(context.table) && context.error !== undefined,
          target: "failed",
        },
        { guard: ({ context }) => isDown(context.table), target: "stopped" },
      ],
    },
    stopped: { type: "final" },
    failed: { type: "final" },
  },
});

function isStopping(table: ChildTable, id: string): boolean {
  return findRow(table, id)?.status === "stopping";
}

function unprovided(): never {
  throw new Error("Cannot run a supervisor before its effects are provided");
}
