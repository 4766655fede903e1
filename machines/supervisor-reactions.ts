/**
 * What each event means to a supervisor: the change of its context, before the children's next steps.
 *
 * Pure. `machines/supervisor.ts` applies the change and turns the steps into effects.
 *
 * @module
 */

import { backoffDelayMs } from "./backoff-delay.ts";
import {
  afterWantedStop,
  type ChildExit,
  type ChildFacts,
  type ChildRow,
  type ChildStatus,
  type ChildTable,
  changeChild,
  changeFacts,
  createRow,
  endChild,
  endsSupervisor,
  findRow,
  isLive,
  removeChild,
  restartGroup,
  type StartMode,
  stopAll,
} from "./child-table.ts";
import type { ErrorRecord } from "./error-code.ts";
import {
  type AutoShutdown,
  type Decision,
  decideRestart,
  type Intensity,
  type Strategy,
  type Verdict,
  withinPeriod,
} from "./restart-policy.ts";

/** The first restart is at once, as in OTP: who crashed once is rather unlucky than ill. */
export interface Backoff {
  /** Before the second restart in a row; doubles from there. */
  readonly initialMs: number;
  readonly maxMs: number;
  /** A child that ran this long is restarted at once again. Default: the intensity's period. */
  readonly resetAfterMs?: number;
}

export interface SupervisorInput {
  readonly strategy: Strategy;
  readonly intensity: Intensity;
  readonly autoShutdown: AutoShutdown;
  /** Delay before a further restart in a row of one child. */
  readonly backoff: Backoff;
  readonly startMode: StartMode;
  /** What a child that cannot start at first means: the supervisor fails (OTP), or the child has exited. */
  readonly startFailure: "fails" | "exits";
  /** Children come and go at run time; who has ended is forgotten (OTP `simple_one_for_one`). */
  readonly isDynamic: boolean;
  readonly children: readonly ChildFacts[];
}

export interface SupervisorContext extends Omit<SupervisorInput, "children"> {
  readonly table: ChildTable;
  /** Monotonic times of the restarts inside the period, oldest first. */
  readonly restartsMs: readonly number[];
  readonly started: boolean;
  readonly stopping: boolean;
  /** A significant child has ended. */
  readonly isAutoShutdown: boolean;
  /** Why it gave up. */
  readonly error: ErrorRecord | undefined;
}

export interface ChildExited {
  readonly type: "child.exited";
  readonly id: string;
  readonly exit: ChildExit;
  /** Monotonic. */
  readonly nowMs: number;
  /** From 0 to 1. */
  readonly random: number;
  /** What the child's own rule says of the error. Default `restart`. */
  readonly verdict?: Verdict;
  /** False: the tree has no restarts left. Default true. */
  readonly budgetLeft?: boolean;
}

export type SupervisorEvent =
  | { readonly type: "child.started"; readonly id: string; readonly nowMs: number }
  /** Its start decided that there is nothing to run. */
  | { readonly type: "child.ignored"; readonly id: string }
  /** Also: could not start. */
  | ChildExited
  /** A further child; refused before when there is one of that id. */
  | { readonly type: "child.add"; readonly child: ChildFacts }
  /** By an operator: a running one is stopped first; the intensity starts anew. */
  | { readonly type: "child.restart"; readonly id: string }
  /** For good, until `child.restart`. */
  | { readonly type: "child.stop"; readonly id: string }
  /** Takes an ended child off the table. */
  | { readonly type: "child.delete"; readonly id: string }
  | ({ readonly type: "specs.changed" } & Partial<
      Pick<SupervisorInput, "strategy" | "intensity" | "autoShutdown" | "backoff" | "children">
    >)
  /** What an earlier process remembered. Times are monotonic ones of this process. */
  | {
      readonly type: "restarts.restored";
      readonly restartsMs: readonly number[];
      readonly children: Readonly<Record<string, number>>;
      readonly nowMs: number;
    }
  | { readonly type: "backoff.elapsed"; readonly id: string }
  | { readonly type: "shutdown.elapsed"; readonly id: string }
  | { readonly type: "supervisor.stop" };

export interface Reaction {
  readonly change: Partial<SupervisorContext>;
  readonly delay?: { readonly id: string; readonly ms: number };
  /** This restart counts against the whole tree. */
  readonly charges?: boolean;
}

/** @returns What changes, before the children's next steps are taken. */
export function react(context: SupervisorContext, event: SupervisorEvent): Reaction {
  const { isDynamic, stopping, table } = context;
  switch (event.type) {
    case "supervisor.stop":
      return { change: { table: stopAll(table), stopping: true } };
    case "child.started":
      return { change: { table: started(table, event.id, event.nowMs) } };
    case "child.ignored":
      return { change: { table: ignored(table, event.id, isDynamic) } };
    case "backoff.elapsed":
      return { change: { table: advance(table, event.id, "backoff", "waiting") } };
    case "child.add":
      return { change: stopping ? {} : { table: [...table, createRow(event.child, true)] } };
    case "child.restart":
      return { change: stopping ? {} : requestRestart(table, event.id) };
    case "child.stop":
      return { change: { table: requestStop(table, event.id, isDynamic) } };
    case "child.delete":
      return { change: { table: removeChild(table, event.id) } };
    case "specs.changed":
      return { change: changeSpecs(context, event) };
    case "restarts.restored":
      return { change: restore(context, event) };
    case "child.exited":
      return reactToExit(context, event);
    case "shutdown.elapsed":
      return { change: {} };
  }
}

/** Late events of a child that has moved on change nothing. */
function advance(table: ChildTable, id: string, from: ChildStatus, to: ChildStatus): ChildTable {
  return findRow(table, id)?.status === from ? changeChild(table, id, { status: to }) : table;
}

function started(table: ChildTable, id: string, nowMs: number): ChildTable {
  if (findRow(table, id)?.status !== "starting") return table;
  return changeChild(table, id, { status: "running", isNew: false, upSinceMs: nowMs });
}

/** Its spec stays, as in OTP, where it is not a temporary one. */
function ignored(table: ChildTable, id: string, isDynamic: boolean): ChildTable {
  return endChild(changeChild(table, id, { isNew: false }), id, isDynamic);
}

function requestRestart(table: ChildTable, id: string): Partial<SupervisorContext> {
  const row = findRow(table, id);
  if (row === undefined) return {};
  const change: Partial<ChildRow> = isLive(row)
    ? { goal: "cycle", streak: 0 }
    : { status: "waiting", goal: "up", streak: 0 };
  // Who restarts by hand vouches for it: nobody is locked out by restarts of the past.
  return { table: changeChild(table, id, change), restartsMs: [] };
}

function requestStop(table: ChildTable, id: string, isDynamic: boolean): ChildTable {
  const row = findRow(table, id);
  if (row === undefined) return table;
  const down = changeChild(table, id, { goal: "down" });
  return isLive(row) ? down : endChild(down, id, isDynamic);
}

function changeSpecs(
  context: SupervisorContext,
  { type: _type, children, ...rest }: Extract<SupervisorEvent, { type: "specs.changed" }>,
): Partial<SupervisorContext> {
  if (children === undefined) return rest;
  return { ...rest, table: changeFacts(context.table, children) };
}

function restore(
  { intensity, restartsMs, table }: SupervisorContext,
  event: Extract<SupervisorEvent, { type: "restarts.restored" }>,
): Partial<SupervisorContext> {
  const earlier = event.restartsMs.filter((at) => at <= event.nowMs);
  const all = [...earlier, ...restartsMs].sort((a, b) => a - b);
  return {
    restartsMs: withinPeriod(all, intensity.periodMs, event.nowMs),
    table: table.map((row) => ({
      ...row,
      restarts: row.restarts + (event.children[row.id] ?? 0),
    })),
  };
}

function reactToExit(context: SupervisorContext, event: ChildExited): Reaction {
  const { autoShutdown, isDynamic } = context;
  const row = findRow(context.table, event.id);
  if (row === undefined || !isLive(row)) return { change: {} };
  const error = event.exit.type === "normal" ? null : (event.exit.error ?? null);
  const table = changeChild(context.table, event.id, {
    upSinceMs: null,
    ...(error === null ? {} : { lastError: error }),
  });
  if (row.goal !== "up") return { change: { table: afterWantedStop(table, event.id, isDynamic) } };
  // Whoever asked for this child is told; the others are not concerned.
  if (row.isNew) return { change: { table: removeChild(table, event.id) } };
  if (row.status === "starting" && !context.started && context.startFailure === "fails") {
    return { change: giveUp(table, event.id, "intensity", error) };
  }
  const decision = decide(context, row, event);
  if (decision.type === "escalate")
    return { change: giveUp(table, event.id, decision.because, error) };
  if (decision.type === "restart") return restart(context, table, row, event, decision.restartsMs);
  const ended = endChild(table, event.id, isDynamic);
  if (!endsSupervisor(table, event.id, autoShutdown)) return { change: { table: ended } };
  return { change: { table: stopAll(ended), stopping: true, isAutoShutdown: true } };
}

function decide(context: SupervisorContext, row: ChildRow, event: ChildExited): Decision {
  return decideRestart({
    restart: row.restart,
    exit: event.exit.type,
    verdict: event.verdict ?? "restart",
    budgetLeft: event.budgetLeft ?? true,
    intensity: context.intensity,
    restartsMs: context.restartsMs,
    nowMs: event.nowMs,
  });
}

function restart(
  { backoff, intensity, strategy }: SupervisorContext,
  table: ChildTable,
  row: ChildRow,
  event: ChildExited,
  restartsMs: readonly number[],
): Reaction {
  const upMs = row.upSinceMs === null ? 0 : event.nowMs - row.upSinceMs;
  const isHealthy = upMs >= (backoff.resetAfterMs ?? intensity.periodMs);
  const streak = isHealthy ? 1 : row.streak + 1;
  return {
    change: { table: restartGroup(table, row.id, strategy, streak), restartsMs },
    delay: { id: row.id, ms: restartDelayMs(backoff, streak, event.random) },
    charges: true,
  };
}

/** @param streak Restarts in a row, with this one. */
function restartDelayMs({ initialMs, maxMs }: Backoff, streak: number, random: number): number {
  if (streak === 1) return 0;
  return backoffDelayMs({ kind: "exponential", initialMs, maxMs }, streak - 1, random);
}

const giveUpCodes = {
  intensity: "RESTART_INTENSITY",
  budget: "RESTART_BUDGET",
  verdict: "CHILD_ESCALATED",
} as const;

function giveUp(
  table: ChildTable,
  id: string,
  because: keyof typeof giveUpCodes,
  cause: ErrorRecord | null,
): Partial<SupervisorContext> {
  const error: ErrorRecord = {
    name: "SupervisorError",
    message: `Cannot keep "${id}" running: ${cause?.message ?? "it keeps exiting"}`,
    code: giveUpCodes[because],
    retryable: false,
    ...(cause === null ? {} : { cause }),
  };
  return { table: stopAll(changeChild(table, id, { status: "ended" })), stopping: true, error };
}
