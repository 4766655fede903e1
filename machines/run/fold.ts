/**
 * The state of a run at any journal number: its first state with the patches up to there.
 *
 * @module
 */

import type { RunPlan } from "./plan.ts";
import { derive, type Patch, type RunState, type RunTimer, type TaskState } from "./state.ts";

/**
 * Folds patches into a copy of `start`. Outputs are not part of patches: they stand with their tasks.
 *
 * @param patches Of consecutive journal entries, in order.
 */
export function fold(start: RunState, plan: RunPlan, patches: Iterable<Patch>): RunState {
  const tasks = new Map(start.tasks);
  const timers = new Map(start.timers);
  let fields: Omit<RunState, "tasks" | "timers"> = start;
  for (const patch of patches) {
    fields = { ...fields, ...patch.run };
    for (const [key, change] of Object.entries(patch.tasks ?? {})) {
      // A task that is not there yet comes whole.
      tasks.set(key, { ...tasks.get(key), ...change } as TaskState);
    }
    for (const [key, timer] of Object.entries(patch.timers ?? {})) {
      if (timer === null) timers.delete(key);
      else timers.set(key, timer as RunTimer);
    }
  }
  return { ...fields, tasks, timers, ...derive(tasks.values(), plan) };
}
