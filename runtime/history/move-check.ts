/**
 * Whether a run can go on with another definition.
 *
 * @module
 */

import type { Json } from "../../machines/error-code.ts";
import type { RunPlan } from "../../machines/run/plan.ts";
import type { RunState, TaskState } from "../../machines/run/state.ts";

/** Reasons against it, one sentence each; empty when it can. */
export function unfit(
  state: Pick<RunState, "chart" | "tasks">,
  from: RunPlan,
  to: RunPlan,
): string[] {
  return [
    ...chartReasons(state, to),
    ...[...state.tasks.values()].filter(hasBegun).flatMap((task) => taskReasons(task, from, to)),
  ];
}

function hasBegun({ status }: TaskState): boolean {
  return status !== "blocked";
}

function taskReasons(task: TaskState, from: RunPlan, to: RunPlan): string[] {
  const [before, after] = [from.tasks.get(task.plan), to.tasks.get(task.plan)];
  if (after === undefined) return [`task "${task.key}" (${task.status}) is gone`];
  if (before === undefined) return [`task "${task.key}" is in neither definition`];
  const reasons: string[] = [];
  if (before.stage !== after.stage)
    reasons.push(`task "${task.key}" moved from stage "${before.stage}" to "${after.stage}"`);
  if (before.kind !== after.kind)
    reasons.push(`task "${task.key}" was of kind ${before.kind} and is of kind ${after.kind}`);
  const [group, next] = [
    from.groups.get(before.group ?? "")?.tasks.join(),
    to.groups.get(after.group ?? "")?.tasks.join(),
  ];
  if (group !== next) reasons.push(`the group of task "${task.key}" has another shape`);
  return reasons;
}

function chartReasons({ chart }: Pick<RunState, "chart">, to: RunPlan): string[] {
  if (chart === null) return [];
  const reasons: string[] = [];
  try {
    // XState throws for a state that it does not know.
    to.chart.resolveState({ value: chart.value as string, context: chart.context });
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    reasons.push(`the chart has no state ${textOf(chart.value)} (${why})`);
  }
  for (const stage of Object.values(chart.invoked)) {
    const name = stage.replace(/#\d+$/, "");
    if (!to.stages.has(name)) reasons.push(`stage "${name}" is gone`);
  }
  for (const id of Object.values(chart.history).flat()) {
    if (!knows(to, id)) reasons.push(`the chart has no state "${id}", which its history names`);
  }
  return reasons;
}

function knows(plan: RunPlan, id: string): boolean {
  try {
    plan.chart.getStateNodeById(id);
    return true;
  } catch {
    return false;
  }
}

function textOf(value: Json): string {
  return typeof value === "string" ? `"${value}"` : JSON.stringify(value);
}
