/**
 * The children of a supervisor as a table, and what is to be done next with each.
 *
 * Pure: every function takes a table and returns a new one; `nextSteps` says which children
 * to start and stop now. Source: Erlang/OTP `supervisor` (ordered start, reverse stop).
 *
 * @module
 */

import type { ErrorRecord } from "./error-code.ts";
import type { Restart } from "./restart-policy.ts";
import { restartedWith, type Strategy } from "./restart-policy.ts";

/** How a child ended. `normal`: it was asked to stop, or its work is done. */
export type ChildExit =
  | { readonly type: "normal" }
  | { readonly type: "abnormal"; readonly error: ErrorRecord };

/**
 * `waiting` for its turn to start; `backoff`: waits before a restart;
 * `ended`: not running, and nobody will start it but an operator or a restarting sibling.
 */
export type ChildStatus = "waiting" | "starting" | "running" | "stopping" | "backoff" | "ended";

export interface ChildRow {
  readonly id: string;
  readonly restart: Restart;
  readonly status: ChildStatus;
  /** `cycle`: to be stopped, then started again. */
  readonly goal: "up" | "down" | "cycle";
  readonly restarts: number;
  /** Why it last exited abnormally. */
  readonly lastError: ErrorRecord | null;
}

export type ChildTable = readonly ChildRow[];

/** `parallel`: siblings do not build on each other, so all start at once and all stop at once. */
export type StartMode = "ordered" | "parallel";

export function createChildTable(
  children: readonly { readonly id: string; readonly restart: Restart }[],
): ChildTable {
  return children.map(({ id, restart }) => ({
    id,
    restart,
    status: "waiting",
    goal: "up",
    restarts: 0,
    lastError: null,
  }));
}

export function changeChild(table: ChildTable, id: string, change: Partial<ChildRow>): ChildTable {
  return table.map((row) => (row.id === id ? { ...row, ...change } : row));
}

/** Every child is to stop for good; what does not run yet never will. */
export function stopAll(table: ChildTable): ChildTable {
  return table.map((row) => {
    const idle = row.status === "waiting" || row.status === "backoff";
    return { ...row, goal: "down", status: idle ? "ended" : row.status };
  });
}

/** The exited child waits for its restart; the siblings that go with it are stopped and started again. */
export function restartGroup(table: ChildTable, id: string, strategy: Strategy): ChildTable {
  const group = new Set(
    restartedWith(
      strategy,
      table.map((row) => row.id),
      id,
    ),
  );
  return table.map((row) => {
    if (row.id === id) {
      return { ...row, status: "backoff", goal: "up", restarts: row.restarts + 1 };
    }
    if (!group.has(row.id)) return row;
    // OTP deletes temporary children when their group restarts.
    if (row.restart === "temporary") return endOrStop(row);
    if (row.status === "ended") return { ...row, status: "waiting", goal: "up" };
    const live = row.status === "running" || row.status === "starting" || row.status === "stopping";
    return live ? { ...row, goal: "cycle" } : row;
  });
}

function endOrStop(row: ChildRow): ChildRow {
  const idle = row.status === "waiting" || row.status === "backoff";
  return { ...row, goal: "down", status: idle ? "ended" : row.status };
}

/** The row after a stop that was wanted. */
export function afterWantedStop(table: ChildTable, id: string): ChildTable {
  return table.map((row) => {
    if (row.id !== id) return row;
    return row.goal === "cycle"
      ? { ...row, status: "waiting", goal: "up" }
      : { ...row, status: "ended" };
  });
}

/** Which children to start and to stop now; in the returned table they are `starting` and `stopping`. */
export function nextSteps(
  table: ChildTable,
  mode: StartMode,
  strategy: Strategy,
): { readonly table: ChildTable; readonly start: string[]; readonly stop: string[] } {
  const toStop = table.filter((row) => row.status === "running" && row.goal !== "up");
  const busy = (status: ChildStatus): boolean => table.some((row) => row.status === status);
  const newest = toStop.at(-1);
  const one = busy("stopping") || newest === undefined ? [] : [newest];
  const stop = (mode === "parallel" ? toStop : one).map((row) => row.id);

  const waiting = table.filter((row) => row.status === "waiting");
  const groupHeld = strategy !== "one_for_one" && busy("backoff");
  const orderHeld =
    mode === "ordered" && (busy("stopping") || toStop.length > 0 || busy("starting"));
  const startable = groupHeld || orderHeld ? [] : waiting;
  const start = (mode === "parallel" ? startable : startable.slice(0, 1)).map((row) => row.id);

  const next = table.map((row): ChildRow => {
    if (start.includes(row.id)) return { ...row, status: "starting" };
    if (stop.includes(row.id)) return { ...row, status: "stopping" };
    return row;
  });
  return { table: next, start, stop };
}
