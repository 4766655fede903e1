/**
 * Groups: tasks that are instantiated for each item of a list, and stream the items from one to the
 * next. The task itself stands for the whole: it runs while instances are left.
 *
 * @module
 */

import { AgentError, type ErrorRecord, type Json, toErrorRecord } from "../error-code.ts";
import { isOpen, isSatisfied } from "../task.ts";
import type { Draft } from "./draft.ts";
import { isReleased } from "./lookup.ts";
import type { PlanGroup } from "./plan.ts";
import { blockedTask, type RunEvent, type TaskState, taskInstance } from "./state.ts";
import { begin, cancelTask, closeStage, failAtOnce, passOver, stopWork, succeed } from "./tasks.ts";
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
  const isInside = (key: string) => group.tasks.includes(key);
  if (!members.every((member) => isReleased(draft, member, isInside))) return;
  const items = itemsOf(draft, group, task);
  if (!Array.isArray(items)) {
    const [first] = members;
    if (first !== undefined) failAtOnce(draft, first.key, items as ErrorRecord, event);
    return;
  }
  const [first] = members;
  for (const member of members) {
    const left = addInstances(draft, member, items);
    const readyAtMs = event.atMs;
    draft.move(member.key, { type: "unblock" }, { readyAtMs, scheduledAtMs: readyAtMs });
    const cursor = member.key === first?.key ? { admitted: 0, inside: 0 } : {};
    const patch = { startedAtMs: event.atMs, items: items.length, left, ...cursor };
    draft.move(member.key, { type: "open" }, patch);
  }
  draft.record(event, "group.expanded", { group: group.key, items: items.length });
  for (const { key } of members) if (draft.task(key).left === 0) closeWhole(draft, key, event);
  admit(draft, group, task.iteration, event);
}

/** Instances that an earlier opening of the group finished keep their results. Returns how many are left. */
function addInstances(draft: Draft, member: TaskState, items: readonly Json[]): number {
  let left = 0;
  for (const [index, value] of items.entries()) {
    const key = taskInstance(member.plan, member.iteration, index);
    if (!draft.has(key)) {
      draft.add(blockedTask(key, member.plan, member.iteration, { index, value }));
    }
    if (!isSatisfied(draft.task(key).status)) left += 1;
  }
  return left;
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
  const members = group.tasks.map((key) => taskInstance(key, iteration));
  const [first = "", last = ""] = [members[0], members.at(-1)];
  for (;;) {
    const { admitted, inside, items, status } = draft.task(first);
    const letsIn = status === "running" || status === "skipped";
    if (!letsIn || admitted === null || inside === null) return;
    if (inside >= group.window || admitted >= (items ?? 0)) return;
    const isThrough = isSatisfied(draft.task(`${last}[${admitted}]`).status);
    draft.update(first, { admitted: admitted + 1, inside: isThrough ? inside : inside + 1 });
    for (const member of members) releaseInGroup(draft, group, `${member}[${admitted}]`, event);
  }
}

/** Begins an instance when the tasks before it have finished its item. */
function releaseInGroup(draft: Draft, group: PlanGroup, key: string, event: RunEvent): void {
  const task = draft.task(key);
  if (task.status !== "blocked") return;
  // What lies outside was there before the group began.
  if (isReleased(draft, task, (name) => !group.tasks.includes(name))) begin(draft, task, event);
}

/** One instance is through: the next task gets its item, and the window may have room again. */
export function instanceSatisfied(draft: Draft, task: TaskState, event: RunEvent): void {
  const group = groupOf(draft, task);
  const whole = taskInstance(task.plan, task.iteration);
  const left = (draft.task(whole).left ?? 1) - 1;
  draft.update(whole, { left });
  const first = taskInstance(group.tasks[0] ?? "", task.iteration);
  const { inside, admitted } = draft.task(first);
  // An operator may skip an item that has not begun.
  if (task.plan === group.tasks.at(-1) && inside !== null && (task.index ?? 0) < (admitted ?? 0)) {
    draft.update(first, { inside: inside - 1 });
  }
  for (const name of draft.plan.dependents.get(task.plan) ?? []) {
    if (!group.tasks.includes(name)) continue;
    const next = taskInstance(name, task.iteration, task.index);
    if ((task.index ?? 0) < (admitted ?? 0)) releaseInGroup(draft, group, next, event);
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
  const whole = draft.task(key);
  if (whole.status !== "running") return;
  const others = wholes(draft, groupOf(draft, task), task.iteration);
  const { attempt } = whole;
  draft.move(key, { type: "fail", attempt, mayRepeat: false }, { error, finishedAtMs: event.atMs });
  const { code, message } = error;
  draft.record(event, "task.failed", { task: key, attempt, code, message });
  stopWork(draft, whole, event);
  for (const other of others) if (isOpen(other.status)) cancelTask(draft, other.key, event);
  const { onFailure } = draft.planned(whole);
  if (onFailure.type === "alternative") return passOver(draft, key, error, event);
  closeStage(draft, draft.task(key), error, event);
}
