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
  /** How often each stage was entered. */
  readonly entered: Readonly<Record<string, number>>;
}

/** Tasks whose outputs `template` reads, with those that may stand in for them. */
export function tasksRead(template: unknown, plan: RunPlan): string[] {
  const names = new Set(
    refsOf(template).flatMap(({ kind, name }) => (kind === "output" ? [name] : [])),
  );
  for (const name of names) {
    const stand = plan.alternatives.get(name);
    if (stand !== undefined) names.add(stand);
  }
  return [...names];
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
        rows.push({ plan: name, iteration, index: task.index, output, size: task.items });
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
  const { stage = "", group = null } = plan.tasks.get(name) ?? {};
  const iteration = stage === task.stage ? place.iteration : (place.entered[stage] ?? 1);
  const found = rows.filter((row) => row.plan === name && row.iteration === iteration);
  const stand = plan.alternatives.get(name);
  const instead = () =>
    stand === undefined ? undefined : outputOf(stand, rows, plan, task, place);
  if (group !== null && group === task.group) {
    const own = found.find(({ index }) => index === place.index);
    return own === undefined ? instead() : own.output;
  }
  const whole = found.find(({ index }) => index === null);
  if (whole === undefined) return instead();
  if (group === null) return whole.output;
  const list: Json[] = Array.from({ length: whole.size ?? 0 }, () => null);
  // Where an item's task was skipped, what took its place may have worked on it.
  const others = rows.filter((row) => row.plan === stand && row.iteration === iteration);
  for (const { index, output } of [...others, ...found]) if (index !== null) list[index] = output;
  return list;
}
