/**
 * The commands of operators, for random walks of a run.
 *
 * @module
 */

import type { RunEvent, RunState } from "../../machines/run/state.ts";
import { choose } from "./run-world.ts";

/** A command of an operator, by number. */
export function commandOf(pick: number, state: RunState, atMs: number): RunEvent {
  const reason = null;
  const common = { by: "test", atMs, reason };
  const which = pick % 20;
  const taskKey = choose([...state.tasks.keys()], Math.floor(pick / 20)) ?? "";
  const parked = [...state.tasks.values()].filter(({ status }) => status === "parked");
  const decided = choose(parked, pick)?.key ?? taskKey;
  const as = choose(["succeeded", "failed", "retry", "skip"] as const, Math.floor(pick / 20));
  switch (which) {
    case 0:
    case 1:
      return { ...common, type: "run.pause", clocks: "stop" };
    case 2:
      return { ...common, type: "run.pause", clocks: "run" };
    case 3:
    case 4:
    case 5:
      return { ...common, type: "run.resume" };
    case 6:
      return { ...common, type: "run.cancel", rollback: false };
    case 7:
      return { ...common, type: "run.cancel", rollback: true };
    case 8:
    case 9:
      return { ...common, type: "run.retry", taskKey: null };
    case 10:
      return { ...common, type: "run.retry", taskKey };
    case 11:
      return { ...common, type: "task.skip", taskKey };
    case 12:
      return { ...common, type: "task.run-now", taskKey };
    case 13:
      return { ...common, type: "task.priority", taskKey, priority: 5 };
    case 14:
      return { ...common, type: "run.priority", priority: 1 };
    case 15:
    case 16:
      return { ...common, type: "task.resolve", taskKey: decided, as: as ?? "skip" };
    case 17:
      return { ...common, type: "run.budget", limits: { coins: 50, tasks: 50, wallMs: 5_000 } };
    case 18: {
      const name = choose(["go", "again", "leave"], Math.floor(pick / 20)) ?? "go";
      return { by: "test", atMs, type: "run.signal", name, payload: { from: "test" } };
    }
    default:
      return { ...common, type: "run.undo" };
  }
}
