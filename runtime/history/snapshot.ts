/**
 * A past state as people and programs see it.
 *
 * @module
 */

import type { Json } from "../../machines/error-code.ts";
import type { TaskState } from "../../machines/run/state.ts";
import type { SnapshotTask, SnapshotView } from "../system/history.ts";
import type { PastRun } from "./state-at.ts";

export function snapshotOf(workflow: string, past: PastRun): SnapshotView {
  const { state, outputs } = past;
  return {
    id: state.id,
    workflow,
    version: past.definitionHash,
    seq: state.seq,
    at: iso(past.atMs),
    status: state.status,
    state: state.place,
    priority: state.priority,
    input: state.input,
    output: state.output,
    error: state.error,
    chart: state.chart as unknown as Json,
    spent: state.spent,
    signals: state.signals as unknown as Json,
    tasks: [...state.tasks.values()].map((task) => taskOf(task, outputs.get(task.key))),
    timers: [...state.timers].map(([key, { event, dueAtMs, remainingMs }]) => ({
      key,
      event,
      dueAt: iso(dueAtMs),
      remainingMs,
    })),
  };
}

function taskOf(task: TaskState, output: Json | undefined): SnapshotTask {
  const { attempt, error, failures, finishedAtMs, key, node, startedAtMs, status } = task;
  return {
    key,
    status,
    attempt,
    failures,
    node,
    startedAt: iso(startedAtMs),
    finishedAt: iso(finishedAtMs),
    error,
    ...(output === undefined ? {} : { output }),
  };
}

function iso(ms: number | null): string | null {
  return ms === null ? null : new Date(ms).toISOString();
}
