/**
 * Fills the references of a task's input when an attempt starts: the handoff between tasks.
 *
 * @module
 */

import type { OutputRow } from "../../db/attempt-repo.ts";
import type { Json } from "../../machines/error-code.ts";
import type { PlanTask, RunPlan } from "../../machines/run/plan.ts";
import { type RunState, taskInstance } from "../../machines/run/state.ts";
import { refsOf, resolve } from "../../machines/run/values.ts";

/** Where a task stands in its run. */
export interface Place {
  readonly iteration: number;
  readonly index: number | null;
  readonly item: Json;
  /** Of the run's statechart. */
  readonly context?: Json;
}

/** Tasks whose outputs `template` reads, with those that may stand in for them. */
export function tasksRead(template: unknown, plan: RunPlan): string[] {
  const names = new Set(
    refsOf(template).flatMap(({ kind, name }) => (kind === "output" ? [name] : [])),
  );
  for (const name of names) {
    const stand = standInOf(plan, name);
    if (stand !== undefined) names.add(stand.key);
  }
  return [...names];
}

function standInOf(plan: RunPlan, name: string): PlanTask | undefined {
  return [...plan.tasks.values()].find(({ alternativeTo }) => alternativeTo === name);
}

/** The same from the memory of the run's owner, which has the outputs that its plan observes. */
export function outputsInMemory(state: RunState, names: readonly string[]): OutputRow[] {
  const wanted = new Set(names);
  const rows: OutputRow[] = [];
  for (const name of names) {
    for (let iteration = 1; ; iteration += 1) {
      const whole = taskInstance(name, iteration);
      if (!state.tasks.has(whole)) break;
      for (let index = -1; ; index += 1) {
        const key = index < 0 ? whole : taskInstance(name, iteration, index);
        const task = state.tasks.get(key);
        if (task === undefined) break;
        if (task.status !== "succeeded" || !wanted.has(task.plan)) continue;
        const output = state.outputs.get(key) ?? null;
        rows.push({ plan: name, iteration, index: task.index, output, size: task.admitted });
      }
    }
  }
  return rows;
}

/**
 * @param rows Outputs of finished tasks; a reference to a task that is not in here (it was skipped)
 *   gives null.
 * @throws {AgentError} `INPUT_UNRESOLVED` when a path does not exist in the output that it names.
 */
export function resolveInput(
  template: unknown,
  input: Json,
  rows: readonly OutputRow[],
  plan: RunPlan,
  task: PlanTask,
  place: Place,
): Json {
  return resolve(template, {
    input,
    output: (name) => outputOf(name, rows, plan, task, place),
    ...(place.index === null ? {} : { item: place.item, index: place.index }),
    ...(place.context === undefined ? {} : { context: place.context }),
  });
}

function outputOf(
  name: string,
  rows: readonly OutputRow[],
  plan: RunPlan,
  task: PlanTask,
  place: Place,
): Json | undefined {
  const all = rows.filter((row) => row.plan === name);
  const sameStage = plan.tasks.get(name)?.stage === task.stage;
  const iteration = sameStage ? place.iteration : Math.max(0, ...all.map((row) => row.iteration));
  const found = all.filter((row) => row.iteration === iteration);
  const sameGroup = task.group !== null && plan.tasks.get(name)?.group === task.group;
  if (sameGroup) return found.find(({ index }) => index === place.index)?.output;
  const whole = found.find(({ index }) => index === null);
  if (whole === undefined) {
    const stand = standInOf(plan, name);
    return stand === undefined ? undefined : outputOf(stand.key, rows, plan, task, place);
  }
  if (plan.tasks.get(name)?.group === null) return whole.output;
  const items = found.filter(({ index }) => index !== null);
  const length = Math.max(0, ...items.map(({ index }) => (index ?? 0) + 1), whole.size ?? 0);
  const list: Json[] = Array.from({ length }, () => null);
  for (const { index, output } of items) if (index !== null) list[index] = output;
  return list;
}
