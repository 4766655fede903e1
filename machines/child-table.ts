/**
 * The children of a supervisor as a table, and what is to be done next with each.
 *
 * Pure: every function takes a table and returns a new one; `nextSteps` says which children
 * to start and stop now. Source: Erlang/OTP `supervisor` (ordered start, reverse stop).
 *
 * @module
 */

import type { ErrorRecord, Json } from "./error-code.ts";
import type { AutoShutdown, Restart } from "./restart-policy.ts";
import { restartedWith, type Strategy } from "./restart-policy.ts";

/**
 * How a child ended. `normal`: its work is done, or it was asked to stop. `shutdown`: it ended in
 * order, but not because its work is done (OTP's `shutdown` and `{shutdown, Term}`); a supervisor
 * that gave up says in `error` why.
 */
export type ChildExit =
  | { readonly type: "normal" }
  | { readonly type: "shutdown"; readonly detail?: Json; readonly error?: ErrorRecord }
  | { readonly type: "abnormal"; readonly error: ErrorRecord };

/** How a child is stopped: asked, then killed after so many ms; killed at once; asked and waited for. */
export type Shutdown = number | "brutal_kill" | "infinity";

/** What the supervisor knows of a child by its spec, with all defaults filled in. */
export interface ChildFacts {
  /** Unique among siblings. */
  readonly id: string;
  readonly restart: Restart;
  readonly type: "worker" | "supervisor";
  readonly shutdown: Shutdown;
  readonly significant: boolean;
}

/**
 * `waiting` for its turn to start; `backoff`: waits before a restart;
 * `ended`: not running, and nobody will start it but an operator or a restarting sibling.
 */
export type ChildStatus = "waiting" | "starting" | "running" | "stopping" | "backoff" | "ended";

export interface ChildRow extends ChildFacts {
  readonly status: ChildStatus;
  /** `cycle`: to be stopped, then started again. */
  readonly goal: "up" | "down" | "cycle";
  /** Added at run time and never up yet: a start that fails takes it off the table. */
  readonly isNew: boolean;
  readonly restarts: number;
  /** Restarts in a row without a healthy time between them. */
  readonly streak: number;
  /** Monotonic time since when it runs. */
  readonly upSinceMs: number | null;
  /** Why it last exited abnormally. */
  readonly lastError: ErrorRecord | null;
}

export type ChildTable = readonly ChildRow[];

/** `parallel`: siblings do not build on each other, so all start at once and all stop at once. */
export type StartMode = "ordered" | "parallel";

/** @param isNew Added at run time. */
export function createRow(facts: ChildFacts, isNew: boolean): ChildRow {
  return {
    ...facts,
    status: "waiting",
    goal: "up",
    isNew,
    restarts: 0,
    streak: 0,
    upSinceMs: null,
    lastError: null,
  };
}

export function findRow(table: ChildTable, id: string): ChildRow | undefined {
  return table.find((row) => row.id === id);
}

/** Copies the table once: thousands of rows change one at a time. */
export function changeChild(table: ChildTable, id: string, change: Partial<ChildRow>): ChildTable {
  const index = table.findIndex((row) => row.id === id);
  const row = table[index];
  return row === undefined ? table : table.with(index, { ...row, ...change });
}

export function removeChild(table: ChildTable, id: string): ChildTable {
  return table.filter((row) => row.id !== id);
}

/** Has something to stop. */
export function isLive({ status }: ChildRow): boolean {
  return status === "starting" || status === "running" || status === "stopping";
}

/** Every child is to stop for good; what does not run yet never will. */
export function stopAll(table: ChildTable): ChildTable {
  return table.map(endOrStop);
}

function endOrStop(row: ChildRow): ChildRow {
  return { ...row, goal: "down", status: isLive(row) ? row.status : "ended" };
}

/**
 * The child is over: nobody starts it by itself again. A temporary child leaves the table, as in
 * OTP; in a dynamic supervisor every child does.
 */
export function endChild(table: ChildTable, id: string, isDynamic: boolean): ChildTable {
  const row = findRow(table, id);
  if (row === undefined) return table;
  const forget = isDynamic || row.isNew || row.restart === "temporary";
  return forget ? removeChild(table, id) : changeChild(table, id, { status: "ended" });
}

/** The exited child waits for its restart; the siblings that go with it are stopped and started again. */
export function restartGroup(
  table: ChildTable,
  id: string,
  strategy: Strategy,
  streak: number,
): ChildTable {
  const own = findRow(table, id);
  const restarting = changeChild(table, id, {
    status: "backoff",
    goal: "up",
    restarts: (own?.restarts ?? 0) + 1,
    streak,
  });
  if (strategy === "one_for_one") return restarting;
  const ids = table.map((row) => row.id);
  const group = new Set(restartedWith(strategy, ids, id));
  return restarting.flatMap((row) => (group.has(row.id) ? restartSibling(row) : [row]));
}

function restartSibling(row: ChildRow): ChildRow[] {
  // OTP deletes temporary children when their group restarts.
  if (row.restart === "temporary") return isLive(row) ? [{ ...row, goal: "down" }] : [];
  // Whoever waits for its own restart keeps its delay.
  if (row.status === "backoff" || row.status === "waiting") return [row];
  if (row.status === "ended") return [{ ...row, status: "waiting", goal: "up" }];
  return [{ ...row, goal: "cycle" }];
}

/** The table after a stop that was wanted. */
export function afterWantedStop(table: ChildTable, id: string, isDynamic: boolean): ChildTable {
  if (findRow(table, id)?.goal !== "cycle") return endChild(table, id, isDynamic);
  return changeChild(table, id, { status: "waiting", goal: "up" });
}

/** Whether the end of `id`, by itself, ends the supervisor too. Takes the table without that end. */
export function endsSupervisor(table: ChildTable, id: string, rule: AutoShutdown): boolean {
  if (rule === "never" || findRow(table, id)?.significant !== true) return false;
  if (rule === "any_significant") return true;
  return !table.some((row) => row.id !== id && row.significant && row.status !== "ended");
}

/** New specs by id. Children that they do not name stay; new ones wait for an operator. Source: OTP `code_change`. */
export function changeFacts(table: ChildTable, children: readonly ChildFacts[]): ChildTable {
  const named = new Set(children.map(({ id }) => id));
  const kept = table.filter((row) => !named.has(row.id));
  const changed = children.map((facts): ChildRow => {
    const row = findRow(table, facts.id);
    if (row !== undefined) return { ...row, ...facts };
    return { ...createRow(facts, false), status: "ended" };
  });
  return [...kept, ...changed];
}

/** Which children to start and to stop now; in the returned table they are `starting` and `stopping`. */
export function nextSteps(
  table: ChildTable,
  mode: StartMode,
  strategy: Strategy,
): { readonly table: ChildTable; readonly start: string[]; readonly stop: string[] } {
  const waiting: string[] = [];
  const toStop: string[] = [];
  const seen = new Set<ChildStatus>();
  for (const row of table) {
    seen.add(row.status);
    if (row.status === "waiting") waiting.push(row.id);
    if (row.status === "running" && row.goal !== "up") toStop.push(row.id);
  }
  if (waiting.length === 0 && toStop.length === 0) return { table, start: [], stop: [] };
  const stop = mode === "parallel" ? toStop : seen.has("stopping") ? [] : toStop.slice(-1);
  const groupHeld = strategy !== "one_for_one" && seen.has("backoff");
  const orderHeld =
    mode === "ordered" && (seen.has("stopping") || toStop.length > 0 || seen.has("starting"));
  const startable = groupHeld || orderHeld ? [] : waiting;
  const start = mode === "parallel" ? startable : startable.slice(0, 1);
  return { table: mark(mark(table, start, "starting"), stop, "stopping"), start, stop };
}

function mark(table: ChildTable, ids: readonly string[], status: ChildStatus): ChildTable {
  if (ids.length === 0) return table;
  const [only] = ids;
  if (only !== undefined && ids.length === 1) return changeChild(table, only, { status });
  const chosen = new Set(ids);
  return table.map((row) => (chosen.has(row.id) ? { ...row, status } : row));
}
