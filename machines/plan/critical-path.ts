/**
 * The critical path method: when each node can begin and end, and how much later it may without
 * delaying the whole, as if resources had no limits (Kelley and Walker, 1959).
 *
 * @module
 */

import type { WorkGraph } from "./work-graph.ts";

/** All times count from the same zero, in milliseconds. */
export interface NodeDuration {
  readonly durationMs: number;
  /** When it began, for a node that has begun. */
  readonly begunAtMs?: number;
  /** It does not begin before, whatever its dependencies do. */
  readonly notBeforeMs?: number;
}

export interface NodeTimes {
  readonly startMs: number;
  readonly finishMs: number;
  /** From 0: how much later it may end without delaying the whole. */
  readonly slackMs: number;
}

export interface CriticalPath {
  /** When the last node ends. */
  readonly finishMs: number;
  /** Indexes of a longest chain, first to last; each begins when the one before has ended. */
  readonly path: readonly number[];
  readonly times: readonly NodeTimes[];
}

export function criticalPath(
  graph: WorkGraph,
  durationOf: (index: number) => NodeDuration,
): CriticalPath {
  const count = graph.nodes.length;
  const start = new Float64Array(count);
  const finish = new Float64Array(count);
  let finishMs = 0;
  for (const index of graph.order) {
    const { durationMs, begunAtMs, notBeforeMs } = durationOf(index);
    let earliest = notBeforeMs ?? 0;
    for (const before of graph.after[index] ?? [])
      earliest = Math.max(earliest, finish[before] ?? 0);
    start[index] = begunAtMs ?? earliest;
    finish[index] = (start[index] ?? 0) + durationMs;
    finishMs = Math.max(finishMs, finish[index] ?? 0);
  }
  const latestFinish = backwardPass(graph, start, finish, finishMs);
  const times = graph.nodes.map((_, index) => ({
    startMs: start[index] ?? 0,
    finishMs: finish[index] ?? 0,
    slackMs: Math.max(0, (latestFinish[index] ?? 0) - (finish[index] ?? 0)),
  }));
  return { finishMs, path: longestChain(graph, finish, start), times };
}

function backwardPass(
  graph: WorkGraph,
  start: Float64Array,
  finish: Float64Array,
  finishMs: number,
): Float64Array {
  const latestFinish = new Float64Array(graph.nodes.length).fill(finishMs);
  for (const index of graph.order.toReversed()) {
    for (const dependent of graph.dependents[index] ?? []) {
      // What a dependent may be late, its start may be late.
      const latestStart =
        (start[dependent] ?? 0) + (latestFinish[dependent] ?? 0) - (finish[dependent] ?? 0);
      latestFinish[index] = Math.min(latestFinish[index] ?? 0, latestStart);
    }
  }
  return latestFinish;
}

/** Back from the last end, each time to the dependency that ended last. */
function longestChain(graph: WorkGraph, finish: Float64Array, start: Float64Array): number[] {
  const latest = (indexes: readonly number[]): number | undefined => {
    let found: number | undefined;
    for (const index of indexes) {
      if (found === undefined || (finish[index] ?? 0) > (finish[found] ?? 0)) found = index;
    }
    return found;
  };
  const path: number[] = [];
  let index = latest(graph.order);
  while (index !== undefined) {
    path.push(index);
    if ((start[index] ?? 0) <= 0) break;
    index = latest(graph.after[index] ?? []);
  }
  return path.reverse();
}
