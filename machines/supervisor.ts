/**
 * Supervisor: keeps its children running, or gives up and tells its parent.
 *
 *     starting ──all settled──▶ running ──supervisor.stop / intensity reached──▶ stopping ─┬▶ stopped
 *        └────a start failed, or supervisor.stop───────────────────────────────▲           └▶ failed
 *
 * Decides only: `startChild`, `stopChild` and `killChild` are provided by `actors/tree/supervisor.ts`.
 * Source: Erlang/OTP `supervisor`; the delay between restarts is ours (OTP has none).
 *
 * @module
 */

import { enqueueActions, setup } from "xstate";
import { backoffDelayMs } from "./backoff-delay.ts";
import {
  afterWantedStop,
  type ChildExit,
  type ChildRow,
  type ChildStatus,
  type ChildTable,
  changeChild,
  createChildTable,
  nextSteps,
  restartGroup,
  type StartMode,
  stopAll,
} from "./child-table.ts";
import type { ErrorRecord } from "./error-code.ts";
import { decideRestart, type Intensity, type Restart, type Strategy } from "./restart-policy.ts";

export interface SupervisorInput {
  readonly strategy: Strategy;
  readonly intensity: Intensity;
  /** Delay before restart number n inside one period. */
  readonly backoff: { readonly initialMs: number; readonly maxMs: number };
  readonly startMode: StartMode;
  /** What a child that cannot start at first means: the supervisor fails (OTP), or the child has exited. */
  readonly startFailure: "fails" | "exits";
  readonly children: readonly {
    readonly id: string;
    readonly restart: Restart;
    /** A child that has not stopped after this is killed. */
    readonly shutdownMs: number;
  }[];
}

interface SupervisorContext extends Omit<SupervisorInput, "children"> {
  readonly shutdownMs: Readonly<Record<string, number>>;
  readonly table: ChildTable;
  /** Monotonic times of the restarts inside the period, oldest first. */
  readonly restartsMs: readonly number[];
  readonly started: boolean;
  readonly stopping: boolean;
  /** Why it gave up. */
  readonly error: ErrorRecord | undefined;
}

export type SupervisorEvent =
  | { readonly type: "child.started"; readonly id: string }
  /** Also: could not start. `nowMs` is monotonic, `random` from 0 to 1. */
  | {
      readonly type: "child.exited";
      readonly id: string;
      readonly exit: ChildExit;
      readonly nowMs: number;
      readonly random: number;
    }
  | { readonly type: "child.restart"; readonly id: string }
  /** For good, until `child.restart`. */
  | { readonly type: "child.stop"; readonly id: string }
  | { readonly type: "backoff.elapsed"; readonly id: string }
  | { readonly type: "shutdown.elapsed"; readonly id: string }
  | { readonly type: "supervisor.stop" };

interface Reaction {
  readonly change: Partial<SupervisorContext>;
  readonly delay?: { readonly id: string; readonly ms: number };
}

/** @returns What changes, before the children's next steps are taken. */
function react(context: SupervisorContext, event: SupervisorEvent): Reaction {
  const { table } = context;
  switch (event.type) {
    case "supervisor.stop":
      return { change: { table: stopAll(table), stopping: true } };
    case "child.started":
      return { change: { table: advance(table, event.id, "starting", "running") } };
    case "backoff.elapsed":
      return { change: { table: advance(table, event.id, "backoff", "waiting") } };
    case "child.restart":
      return { change: context.stopping ? {} : { table: requestRestart(table, event.id) } };
    case "child.stop":
      return { change: { table: requestStop(table, event.id) } };
    case "child.exited":
      return reactToExit(context, event);
    case "shutdown.elapsed":
      return { change: {} };
  }
}

/** Late events of a child that has moved on change nothing. */
function advance(table: ChildTable, id: string, from: ChildStatus, to: ChildStatus): ChildTable {
  return table.map((row) => (row.id === id && row.status === from ? { ...row, status: to } : row));
}

function requestRestart(table: ChildTable, id: string): ChildTable {
  const row = table.find((child) => child.id === id);
  if (row === undefined) return table;
  return changeChild(
    table,
    id,
    isLive(row) ? { goal: "cycle" } : { status: "waiting", goal: "up" },
  );
}

function requestStop(table: ChildTable, id: string): ChildTable {
  const row = table.find((child) => child.id === id);
  if (row === undefined) return table;
  return changeChild(table, id, isLive(row) ? { goal: "down" } : { goal: "down", status: "ended" });
}

function reactToExit(
  context: SupervisorContext,
  event: Extract<SupervisorEvent, { type: "child.exited" }>,
): Reaction {
  const row = context.table.find((child) => child.id === event.id);
  if (row === undefined || !isLive(row)) return { change: {} };
  const error = event.exit.type === "abnormal" ? event.exit.error : null;
  const table =
    error === null ? context.table : changeChild(context.table, event.id, { lastError: error });
  if (row.goal !== "up") return { change: { table: afterWantedStop(table, event.id) } };
  if (row.status === "starting" && !context.started && context.startFailure === "fails") {
    return { change: giveUp(table, event.id, error) };
  }
  const decision = decideRestart(
    row.restart,
    event.exit.type,
    context.intensity,
    context.restartsMs,
    event.nowMs,
  );
  switch (decision.type) {
    case "forget":
      return { change: { table: changeChild(table, event.id, { status: "ended" }) } };
    case "escalate":
      return { change: giveUp(table, event.id, error) };
    case "restart": {
      const policy = { kind: "exponential", ...context.backoff } as const;
      const ms = backoffDelayMs(policy, decision.restartsMs.length, event.random);
      const restarted = restartGroup(table, event.id, context.strategy);
      return {
        change: { table: restarted, restartsMs: decision.restartsMs },
        delay: { id: event.id, ms },
      };
    }
  }
}

function isLive(row: ChildRow): boolean {
  return row.status === "starting" || row.status === "running" || row.status === "stopping";
}

function giveUp(
  table: ChildTable,
  id: string,
  cause: ErrorRecord | null,
): Partial<SupervisorContext> {
  const error: ErrorRecord = {
    name: "SupervisorError",
    message: `Cannot keep "${id}" running: ${cause?.message ?? "it keeps exiting"}`,
    code: "RESTART_INTENSITY",
    retryable: false,
    ...(cause === null ? {} : { cause }),
  };
  return {
    table: stopAll(changeChild(table, id, { status: "ended" })),
    stopping: true,
    error,
  };
}

function isSettled(table: ChildTable): boolean {
  return table.every((row) => row.status !== "waiting" && row.status !== "starting");
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
  },
}).createMachine({
  id: "supervisor",
  context: ({ input: { children, ...rest } }) => ({
    ...rest,
    shutdownMs: Object.fromEntries(children.map((child) => [child.id, child.shutdownMs])),
    table: createChildTable(children),
    restartsMs: [],
    started: false,
    stopping: false,
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
        const { change, delay } = react(context, event);
        const steps = nextSteps(change.table ?? context.table, context.startMode, context.strategy);
        enqueue.assign({ ...change, table: steps.table });
        if (event.type === "shutdown.elapsed" && isStopping(context.table, event.id)) {
          enqueue({ type: "killChild", params: { id: event.id } });
        }
        if (event.type === "child.exited") enqueue.cancel(`shutdown:${event.id}`);
        if (event.type === "child.restart" || event.type === "child.stop")
          enqueue.cancel(`backoff:${event.id}`);
        if (delay !== undefined) {
          enqueue.raise(
            { type: "backoff.elapsed", id: delay.id },
            { id: `backoff:${delay.id}`, delay: delay.ms },
          );
        }
        for (const id of steps.stop) {
          enqueue({ type: "stopChild", params: { id } });
          enqueue.raise(
            { type: "shutdown.elapsed", id },
            { id: `shutdown:${id}`, delay: context.shutdownMs[id] ?? 0 },
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
  return table.some((row) => row.id === id && row.status === "stopping");
}

function isDown(table: ChildTable): boolean {
  return table.every((row) => row.status === "ended");
}

function unprovided(): never {
  throw new Error("Cannot run a supervisor before its effects are provided");
}
