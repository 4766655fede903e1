/**
 * Outputs for tasks that nobody gave one: just enough that what reads them finds something.
 *
 * @module
 */

import type { Json } from "../error-code.ts";
import type { RunPlan } from "../run/plan.ts";
import { refsOf } from "../run/values.ts";

type Tree = { [step: string]: Tree };

/**
 * By key of the task in the definition: an object with every path that somebody reads, null at its
 * end; a list of `items` of them where a group goes over it; 0 where somebody sleeps for it.
 */
export function placeholderOutputs(
  plan: RunPlan,
  items: (group: string) => number,
): ReadonlyMap<string, Json> {
  const read = new Map<string, Tree>();
  const leaves = new Map<string, Json>();
  // What groups go over is read below.
  const all = [...plan.tasks.values()].map((task) => ({ ...task, forEach: null }));
  for (const { kind, name, path } of refsOf([all, plan.output, plan.statechart])) {
    if (kind === "output") grow(read, name, path);
  }
  for (const group of plan.groups.values()) {
    const [list] = refsOf(group.items);
    if (list?.kind !== "output") continue;
    grow(read, list.name, list.path);
    const item = itemOf(plan, group.tasks);
    leaves.set(
      place(list.name, list.path),
      Array.from({ length: items(group.key) }, () => item),
    );
  }
  for (const { sleepMs } of plan.tasks.values()) {
    for (const { kind, name, path } of refsOf(sleepMs)) {
      if (kind === "output") leaves.set(place(name, path), 0);
    }
  }
  return new Map([...read].map(([name, tree]) => [name, fill(tree, name, leaves)]));
}

/** What the instances of a group read of their item. */
function itemOf(plan: RunPlan, tasks: readonly string[]): Json {
  const read = new Map<string, Tree>();
  for (const key of tasks) {
    const { input, when } = plan.tasks.get(key) ?? {};
    for (const { kind, path } of refsOf([input, when])) if (kind === "item") grow(read, "", path);
  }
  return fill(read.get("") ?? {}, "", new Map());
}

function place(name: string, path: string | undefined): string {
  return path === undefined ? name : `${name}.${path}`;
}

function grow(read: Map<string, Tree>, name: string, path: string | undefined): void {
  let tree = read.get(name) ?? {};
  read.set(name, tree);
  for (const step of path?.split(".") ?? []) {
    const next = (Object.hasOwn(tree, step) ? tree[step] : undefined) ?? {};
    tree[step] = next;
    tree = next;
  }
}

function fill(tree: Tree, at: string, leaves: ReadonlyMap<string, Json>): Json {
  const leaf = leaves.get(at);
  if (leaf !== undefined) return leaf;
  const steps = Object.entries(tree);
  if (steps.length === 0) return null;
  return Object.fromEntries(
    steps.map(([step, next]) => [step, fill(next, place(at, step), leaves)]),
  );
}
