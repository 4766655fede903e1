/**
 * When each node begins and ends under limits: the admission of the engine (priority, then age, in
 * every pool), run through in virtual time with durations that are given.
 *
 * @module
 */

import { createHeap, type Heap } from "./heap.ts";
import type { PoolUse, WorkGraph } from "./work-graph.ts";

export interface Attempt {
  readonly durationMs: number;
  /** How long after it the next one may begin; null for the last. */
  readonly retryAfterMs: number | null;
}

/** Where a node stands at time 0. */
export type NodeStart =
  | { readonly type: "done" }
  /** It holds its resources. */
  | { readonly type: "running" }
  /** It may begin once what it waits for is done, and not before this time. */
  | { readonly type: "open"; readonly notBeforeMs: number };

export interface ScheduleOptions {
  readonly graph: WorkGraph;
  /** Units by pool; one that is not in here has no limit. */
  readonly pools: ReadonlyMap<string, number>;
  startOf(index: number): NodeStart;
  /** For a node that runs already, the first answer is what its attempt still takes. */
  attempt(index: number, number: number): Attempt;
}

/** By index of the node, in milliseconds; nodes that are done have 0. */
export interface Schedule {
  readonly startMs: Float64Array;
  readonly finishMs: Float64Array;
  /** Whose end let the node begin, by dependency or by giving resources back; -1 for nobody. */
  readonly drivenBy: Int32Array;
  readonly finishAllMs: number;
  /** The node that ends last, -1 when all are done. */
  readonly last: number;
  /** Most units in use at once, and units times milliseconds, by pool. */
  readonly use: ReadonlyMap<string, { readonly peak: number; readonly busyMs: number }>;
  readonly peakTasks: number;
}

interface Happening {
  readonly atMs: number;
  readonly order: number;
  readonly index: number;
  readonly type: "ready" | "attempt-end";
}

interface Queue {
  readonly uses: readonly PoolUse[];
  readonly heap: Heap<Waiting>;
}

interface Waiting {
  readonly index: number;
  readonly priority: number;
  readonly readyMs: number;
}

const isEarlier = (a: Happening, b: Happening) =>
  a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);

const isNext = (a: Waiting, b: Waiting) =>
  a.priority > b.priority ||
  (a.priority === b.priority &&
    (a.readyMs < b.readyMs || (a.readyMs === b.readyMs && a.index < b.index)));

export function limitedSchedule({ graph, pools, startOf, attempt }: ScheduleOptions): Schedule {
  const count = graph.nodes.length;
  const startMs = new Float64Array(count).fill(-1);
  const finishMs = new Float64Array(count);
  const drivenBy = new Int32Array(count).fill(-1);
  const missing = graph.after.map(({ length }) => length);
  const attempts = new Int32Array(count);
  const notBefore = new Float64Array(count);
  const inUse = new Map<string, number>();
  const use = new Map<string, { peak: number; busyMs: number }>();
  const happenings = createHeap(isEarlier);
  const queues = new Map<string, Queue>();
  let [order, running, peakTasks, last, latestEnd, nowMs] = [0, 0, 0, -1, -1, 0];

  function happen(type: Happening["type"], index: number, atMs: number): void {
    order += 1;
    happenings.push({ type, index, atMs, order });
  }

  function hold(uses: readonly PoolUse[], sign: 1 | -1): void {
    running += sign;
    peakTasks = Math.max(peakTasks, running);
    for (const { pool, units } of uses) {
      const held = (inUse.get(pool) ?? 0) + sign * units;
      inUse.set(pool, held);
      const figures = use.get(pool) ?? { peak: 0, busyMs: 0 };
      figures.peak = Math.max(figures.peak, held);
      use.set(pool, figures);
    }
  }

  /** What alone asks for more than a pool has still runs, when nothing else does. */
  function fits({ pool, units }: PoolUse): boolean {
    const held = inUse.get(pool) ?? 0;
    return held === 0 || held + units <= (pools.get(pool) ?? Number.POSITIVE_INFINITY);
  }

  function begin(index: number): void {
    const node = graph.nodes[index];
    if (node === undefined) return;
    const number = (attempts[index] ?? 0) + 1;
    attempts[index] = number;
    if ((startMs[index] ?? 0) < 0) {
      startMs[index] = nowMs;
      drivenBy[index] = latestEnd;
    }
    if (node.kind === "milestone") return happen("attempt-end", index, nowMs);
    hold(node.uses, 1);
    const { durationMs } = attempt(index, number);
    for (const { pool, units } of node.uses) {
      const figures = use.get(pool);
      if (figures !== undefined) figures.busyMs += units * durationMs;
    }
    happen("attempt-end", index, nowMs + durationMs);
  }

  function queue(index: number): void {
    const node = graph.nodes[index];
    if (node === undefined) return;
    const name = node.uses.map(({ pool, units }) => `${pool} ${units}`).join("\n");
    const known = queues.get(name) ?? { uses: node.uses, heap: createHeap(isNext) };
    queues.set(name, known);
    known.heap.push({ index, priority: node.priority, readyMs: nowMs });
  }

  function release(index: number): void {
    const atMs = Math.max(nowMs, notBefore[index] ?? 0);
    if (atMs > nowMs) happen("ready", index, atMs);
    else if (graph.nodes[index]?.kind === "milestone") begin(index);
    else queue(index);
  }

  function end(index: number): void {
    finishMs[index] = nowMs;
    last = index;
    latestEnd = index;
    satisfy(index);
  }

  function satisfy(index: number): void {
    for (const dependent of graph.dependents[index] ?? []) {
      const left = (missing[dependent] ?? 0) - 1;
      missing[dependent] = left;
      if (left === 0 && isOpen[dependent] === true) release(dependent);
    }
  }

  function endAttempt(index: number): void {
    const node = graph.nodes[index];
    if (node === undefined) return;
    if (node.kind === "milestone") return end(index);
    hold(node.uses, -1);
    const { retryAfterMs } = attempt(index, attempts[index] ?? 1);
    if (retryAfterMs === null) return end(index);
    latestEnd = index;
    happen("ready", index, nowMs + retryAfterMs);
  }

  /** Until nothing more fits: each time the first of all queues whose head fits. */
  function admit(): void {
    for (;;) {
      let best: { queue: Queue; head: Waiting } | undefined;
      for (const candidate of queues.values()) {
        const head = candidate.heap.peek();
        if (head === undefined || (best !== undefined && !isNext(head, best.head))) continue;
        if (candidate.uses.every(fits)) best = { queue: candidate, head };
      }
      if (best === undefined) return;
      best.queue.heap.pop();
      begin(best.head.index);
    }
  }

  const starts = graph.nodes.map((_, index) => startOf(index));
  const isOpen = starts.map(({ type }) => type === "open");
  for (const [index, start] of starts.entries()) {
    notBefore[index] = start.type === "open" ? start.notBeforeMs : 0;
  }
  for (const index of graph.order) {
    const start = starts[index];
    if (start?.type === "running") begin(index);
    else if (start?.type === "open" && graph.after[index]?.length === 0) release(index);
    else if (start?.type === "done") {
      startMs[index] = 0;
      satisfy(index);
    }
  }
  admit();
  for (let next = happenings.pop(); next !== undefined; next = happenings.pop()) {
    nowMs = next.atMs;
    if (next.type === "ready") queue(next.index);
    else endAttempt(next.index);
    if (happenings.peek()?.atMs !== nowMs) admit();
  }
  return { startMs, finishMs, drivenBy, finishAllMs: nowMs, last, use, peakTasks };
}
