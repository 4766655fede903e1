/**
 * The tasks of a definition with their places and their order, as the checks look at them.
 *
 * @module
 */

import type { TaskDefinition, WorkflowDefinition } from "../../actors/define-workflow.ts";
import { stageOrder } from "./check-chart.ts";

export interface PlacedTask {
  readonly key: string;
  readonly stage: string;
  readonly task: TaskDefinition;
  readonly pointer: string;
  /** Whether its stage is a pipeline. */
  readonly isPiped: boolean;
}

export interface TaskGraph {
  readonly definition: WorkflowDefinition;
  readonly all: readonly PlacedTask[];
  readonly byKey: ReadonlyMap<string, PlacedTask>;
  /** What it waits for, said or implied: the task before it in a pipeline, and what it stands in for. */
  waitsFor(task: PlacedTask): readonly string[];
  /** Whether `late` begins only after `early` has ended. */
  isBefore(early: PlacedTask, late: PlacedTask): boolean;
  /** Whether the stage may have ended before the other begins. */
  precedes(early: string, late: string): boolean;
}

export function taskGraph(definition: WorkflowDefinition): TaskGraph {
  const all = Object.entries(definition.stages).flatMap(([stage, { items, tasks }]) =>
    Object.entries(tasks).map(([key, task]): PlacedTask => {
      const pointer = `/workflow/stages/${stage}/tasks/${key}`;
      return { key, stage, task, pointer, isPiped: items !== undefined };
    }),
  );
  const byKey = new Map(all.map((one) => [one.key, one]));
  const implied = impliedOrder(all);
  const precedes = stageOrder(definition);
  const known = new Map<string, ReadonlySet<string>>();
  const waitsFor = ({ key, task }: PlacedTask) => [
    ...new Set([...(task.after ?? []), ...(implied.get(key) ?? [])]),
  ];
  function allBefore(task: PlacedTask): ReadonlySet<string> {
    const before = new Set(waitsFor(task));
    for (const key of before) {
      const other = byKey.get(key);
      if (other !== undefined) for (const next of waitsFor(other)) before.add(next);
    }
    return before;
  }
  return {
    definition,
    all,
    byKey,
    waitsFor,
    precedes,
    isBefore: (early, late) => {
      if (early.stage !== late.stage) return precedes(early.stage, late.stage);
      if (waitsFor(late).includes(early.key)) return true;
      const before = known.get(late.key) ?? allBefore(late);
      // One task's at a time: in a long chain they would take the square of its length.
      known.clear();
      known.set(late.key, before);
      return before.has(early.key);
    },
  };
}

function impliedOrder(all: readonly PlacedTask[]): ReadonlyMap<string, readonly string[]> {
  const implied = new Map<string, string[]>();
  const add = (key: string, dependency: string) => {
    const list = implied.get(key) ?? [];
    list.push(dependency);
    implied.set(key, list);
  };
  for (const [index, { isPiped, key, stage }] of all.entries()) {
    const before = all[index - 1];
    if (isPiped && before?.stage === stage) add(key, before.key);
  }
  for (const { key, task } of all) {
    if (typeof task.onFailure !== "object") continue;
    const stand = task.onFailure.run;
    add(stand, key);
    for (const other of all) {
      if (other.key !== stand && other.task.after?.includes(key)) add(other.key, stand);
    }
  }
  return implied;
}

/** One circle of tasks that wait for each other, first task repeated; undefined when there is none. */
export function circleIn({ all, byKey, waitsFor }: TaskGraph): readonly PlacedTask[] | undefined {
  const done = new Set<string>();
  for (const start of all) {
    if (done.has(start.key)) continue;
    // Depth first without recursion: chains may have thousands of tasks.
    const path = [{ task: start, left: [...waitsFor(start)] }];
    const on = new Set([start.key]);
    for (let top = path.at(-1); top !== undefined; top = path.at(-1)) {
      const next = top.left.pop();
      const task = next === undefined ? undefined : byKey.get(next);
      if (next === undefined) {
        path.pop();
        on.delete(top.task.key);
        done.add(top.task.key);
      } else if (task !== undefined && on.has(next)) {
        const from = path.findIndex((one) => one.task.key === next);
        return [...path.slice(from).map((one) => one.task), task];
      } else if (task !== undefined && !done.has(next)) {
        path.push({ task, left: [...waitsFor(task)] });
        on.add(next);
      }
    }
  }
  return undefined;
}
