/**
 * What may run at the same time, and the points that everything passes.
 *
 * @module
 */

import type { WorkGraph } from "./work-graph.ts";

/** Tasks with the same number of tasks before them on their longest way: none waits for another. */
export interface ParallelGroup {
  /** From 1. */
  readonly level: number;
  readonly keys: readonly string[];
}

export function parallelGroups(graph: WorkGraph): readonly ParallelGroup[] {
  const level = depths(graph.order, graph.after, ({ kind }) => (kind === "task" ? 1 : 0), graph);
  const groups: string[][] = [];
  for (const [index, { key, kind }] of graph.nodes.entries()) {
    if (kind !== "task") continue;
    const at = (level[index] ?? 1) - 1;
    groups[at] = [...(groups[at] ?? []), key];
  }
  return groups.map((keys, index) => ({ level: index + 1, keys }));
}

/** Longest way to each node, in `weight`s, the node included. */
function depths(
  order: readonly number[],
  before: readonly (readonly number[])[],
  weight: (node: WorkGraph["nodes"][number]) => number,
  { nodes }: WorkGraph,
): number[] {
  const depth: number[] = nodes.map(() => 0);
  for (const index of order) {
    const node = nodes[index];
    let deepest = 0;
    for (const other of before[index] ?? []) deepest = Math.max(deepest, depth[other] ?? 0);
    depth[index] = deepest + (node === undefined ? 0 : weight(node));
  }
  return depth;
}

/**
 * Indexes of the nodes that all others come before or after: when one of them ends, all that was to
 * be done up to there is done, and nothing beyond has begun. In order.
 *
 * A node is one when it is alone on its level seen from the front (then all deeper nodes come
 * after it), alone seen from the back (then all higher ones come before), and those are all others.
 */
export function checkpoints(graph: WorkGraph): readonly number[] {
  const each = () => 1;
  const level = depths(graph.order, graph.after, each, graph);
  const height = depths(graph.order.toReversed(), graph.dependents, each, graph);
  const front = histogram(level);
  const back = histogram(height);
  const others = graph.nodes.length - 1;
  return graph.order.filter((index) => {
    const [depth, rest] = [level[index] ?? 0, height[index] ?? 0];
    if (front.at[depth] !== 1 || back.at[rest] !== 1) return false;
    return (front.above[depth] ?? 0) + (back.above[rest] ?? 0) === others;
  });
}

/** How many values equal each number, and how many are greater. */
function histogram(values: readonly number[]): { at: number[]; above: number[] } {
  const highest = values.reduce((max, value) => Math.max(max, value), 0);
  const at = Array.from({ length: highest + 2 }, () => 0);
  for (const value of values) at[value] = (at[value] ?? 0) + 1;
  const above = Array.from({ length: highest + 2 }, () => 0);
  for (let value = highest - 1; value >= 0; value -= 1) {
    above[value] = (above[value + 1] ?? 0) + (at[value + 1] ?? 0);
  }
  return { at, above };
}
