/**
 * Where tasks stand: their stage instance, and the instances that they wait for.
 *
 * @module
 */

import { isSatisfied } from "../task.ts";
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

/** The instance that `task` waits for when its plan says `after: [key]`; inside of a group, of its item. */
export function dependencyOf(draft: Draft, task: TaskState, key: string): TaskState | undefined {
  const planned = draft.planned(task);
  const other = draft.plan.tasks.get(key);
  const own = other?.stage === planned.stage;
  const iteration = own ? task.iteration : (draft.run().chart?.entered[other?.stage ?? ""] ?? 1);
  const isSameItem = planned.group !== null && other?.group === planned.group;
  const instance = taskInstance(key, iteration, isSameItem ? task.index : null);
  return draft.has(instance) ? draft.task(instance) : undefined;
}

/**
 * True when all that a task waits for is there.
 *
 * The look begins where the last one ended: tasks rarely go back from satisfied, so a task that waits
 * for 10,000 others costs one step for each of them that ends, not 10,000.
 *
 * @param isLeftOut Dependencies that do not count.
 */
export function isReleased(
  draft: Draft,
  task: TaskState,
  isLeftOut: (key: string) => boolean = () => false,
): boolean {
  const { after } = draft.planned(task);
  const first = draft.hints.get(task.key) ?? 0;
  for (let step = 0; step < after.length; step += 1) {
    const at = (first + step) % after.length;
    const key = after[at];
    if (key === undefined || isLeftOut(key)) continue;
    const dependency = dependencyOf(draft, task, key);
    if (dependency !== undefined && isSatisfied(dependency.status)) continue;
    if (step > 0) draft.hints.set(task.key, at);
    return false;
  }
  draft.hints.delete(task.key);
  return true;
}
