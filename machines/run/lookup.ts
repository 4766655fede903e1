/**
 * Where tasks stand: their stage instance, and the instances that they wait for.
 *
 * @module
 */

import type { Draft } from "./draft.ts";
import { stageInstance, type TaskState, taskInstance } from "./state.ts";

/** Tasks of a stage instance, in the plan's order; without the instances of groups. */
export function tasksOf(draft: Draft, stage: string): TaskState[] {
  const [name = "", iteration = "1"] = stage.split("#");
  return (draft.plan.stages.get(name) ?? []).map((key) =>
    draft.task(taskInstance(key, Number(iteration))),
  );
}

/** The stage instance of a task. */
export function stageOf(draft: Draft, task: TaskState): string {
  return stageInstance(draft.planned(task).stage, task.iteration);
}

/** True while the chart invokes the stage. */
export function isActive(draft: Draft, stage: string): boolean {
  return Object.values(draft.run().chart?.invoked ?? {}).includes(stage);
}

/** The instance that `task` waits for when its plan says `after: [key]`. */
export function dependencyOf(draft: Draft, task: TaskState, key: string): TaskState | undefined {
  const stage = draft.plan.tasks.get(key)?.stage;
  const own = stage === draft.planned(task).stage;
  const iteration = own ? task.iteration : (draft.run().chart?.entered[stage ?? ""] ?? 1);
  const instance = taskInstance(key, iteration);
  return draft.has(instance) ? draft.task(instance) : undefined;
}
