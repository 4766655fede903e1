/**
 * Groups: tasks that are instantiated for each item of a list, and stream the items from one to the
 * next. The task itself stands for the whole: it runs while instances are left.
 *
 * @module
 */

import { AgentError, type ErrorRecord, type Json, toErrorRecord } from "../error-code.ts";
import { isOpen, isSatisfied } from "../task.ts";
import type { Draft } from "./draft.ts";
import { dependencyOf } from "./lookup.ts";
import type { PlanGroup } from "./plan.ts";
import { blockedTask, type RunEvent, type TaskState, taskInstance } from "./state.ts";
import { begin, cancelTask, failAtOnce, failed, succeed } from "./tasks.ts";
import { resolve } from "./values.ts";

/** Items of one group at most. */
export const groupItemLimit = 10_000;

function groupOf(draft: Draft, task: TaskState): PlanGroup {
  const group = draft.plan.groups.get(draft.planned(task).group ?? "");
  if (group === undefined) throw new Error(`Cannot expand "${task.key}": its group is unknown`);
  return group;
}

/** The whole of each task of the group, in its order. */
function wholes(draft: Draft, group: PlanGroup, iteration: number): TaskState[] {
  return group.tasks.map((key) => draft.task(taskInstance(key, iteration)));
}

/** Begins the group once none of its tasks waits for anything outside of it. */
export function expand(draft: Draft, task: TaskState, event: RunEvent): void {
  const group = groupOf(draft, task);
  const members = wholes(draft, group, task.iteration);
  if (members.some(({ status }) => status !== "blocked")) return;
  if (!members.every((member) => isReleased(draft, group, member))) return;
  const items = itemsOf(draft, group, task);
  if (!Array.isArray(items)) {
    const [first] = members;
    if (first !== undefined) failAtOnce(draft, first.key, items as ErrorRecord, event);
    return;
  }
  for (const member of members) {
    draft.move(
      member.key,
      { type: "unblock" },
      { readyAtMs: event.atMs, scheduledAtMs: event.atMs },
    );
    draft.move(
      member.key,
      { type: "open" },
      { startedAtMs: event.atMs, left: items.length, admitted: 0 },
    );
    for (const [index, value] of items.entries()) {
      const key = taskInstance(member.plan, member.iteration, index);
      draft.add(blockedTask(key, member.plan, member.iteration, { index, value: value as Json }));
    }
  }
  draft.record(event, "group.expanded", { group: group.key, items: items.length });
  if (items.length === 0) for (const { key } of members) closeWhole(draft, key, event);
  else admit(draft, group, task.iteration, event);
}

function isReleased(draft: Draft, group: PlanGroup, member: TaskState): boolean {
  return draft.planned(member).after.every((key) => {
    if (group.tasks.includes(key)) return true;
    const dependency = dependencyOf(draft, member, key);
    return dependency !== undefined && isSatisfied(dependency.status);
  });
}

function itemsOf(draft: Draft, group: PlanGroup, task: TaskState): readonly Json[] | ErrorRecord {
  try {
    const items = resolve(group.items, draft.scope(task));
    if (!Array.isArray(items)) {
      throw new AgentError(
        "NO_LIST",
        `Cannot fan out "${group.key}": what it goes over is no list`,
      );
    }
    if (items.length > groupItemLimit) {
      throw new AgentError(
        "TOO_MANY_ITEMS",
        `Cannot fan out "${group.key}": its list has ${items.length} items, at most ${groupItemLimit} are possible`,
      );
    }
    return items as readonly Json[];
  } catch (error) {
    return toErrorRecord(error);
  }
}

/** Lets further items in while the window has room. */
function admit(draft: Draft, group: PlanGroup, iteration: number, event: RunEvent): void {
  for (;;) {
    const members = wholes(draft, group, iteration);
    const [first, last] = [members[0], members.at(-1)];
    if (first?.status !== "running" || last?.left == null || first.admitted === null) return;
    const { admitted } = first;
    const isFull = admitted - finishedItems(draft, last, admitted) >= group.window;
    const next = `${first.key}[${admitted}]`;
    if (isFull || !draft.has(next)) return;
    draft.update(first.key, { admitted: admitted + 1 });
    for (const member of members) releaseInGroup(draft, group, `${member.key}[${admitted}]`, event);
  }
}

/** The last task of a chain has `left` items to go, of those that there are. */
function finishedItems(draft: Draft, last: TaskState, admitted: number): number {
  let total = admitted;
  while (draft.has(`${last.key}[${total}]`)) total += 1;
  return total - (last.left ?? 0);
}

/** Begins an instance when the tasks before it have finished its item. */
export function releaseInGroup(draft: Draft, group: PlanGroup, key: string, event: RunEvent): void {
  const task = draft.task(key);
  if (task.status !== "blocked") return;
  const isFree = draft.planned(task).after.every((dependency) => {
    if (!group.tasks.includes(dependency)) return true;
    const instance = taskInstance(dependency, task.iteration, task.index);
    return draft.has(instance) && isSatisfied(draft.task(instance).status);
  });
  if (isFree) begin(draft, task, event);
}

/** One instance is through: the next task gets its item, and the window may have room again. */
export function instanceSatisfied(draft: Draft, task: TaskState, event: RunEvent): void {
  const group = groupOf(draft, task);
  const whole = taskInstance(task.plan, task.iteration);
  const left = (draft.task(whole).left ?? 1) - 1;
  draft.update(whole, { left });
  for (const name of draft.plan.dependents.get(task.plan) ?? []) {
    if (!group.tasks.includes(name)) continue;
    releaseInGroup(draft, group, taskInstance(name, task.iteration, task.index), event);
  }
  if (left === 0) closeWhole(draft, whole, event);
  admit(draft, group, task.iteration, event);
}

function closeWhole(draft: Draft, key: string, event: RunEvent): void {
  // The outputs stand with the instances; the whole has none of its own.
  succeed(draft, key, draft.task(key).attempt, null, event);
}

/** An instance failed for good: so has the whole, and no other instance goes on. */
export function instanceFailed(
  draft: Draft,
  task: TaskState,
  error: ErrorRecord,
  event: RunEvent,
): void {
  const key = taskInstance(task.plan, task.iteration);
  const { attempt, status } = draft.task(key);
  if (status !== "running") return;
  for (const member of wholes(draft, groupOf(draft, task), task.iteration)) {
    for (let index = 0; draft.has(`${member.key}[${index}]`); index += 1) {
      const instance = draft.task(`${member.key}[${index}]`);
      if (isOpen(instance.status)) cancelTask(draft, instance.key, event);
    }
  }
  draft.move(key, { type: "fail", attempt, mayRepeat: false }, { error, finishedAtMs: event.atMs });
  draft.record(event, "task.failed", {
    task: key,
    attempt,
    code: error.code,
    message: error.message,
  });
  failed(draft, key, error, event);
}
