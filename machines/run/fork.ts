/**
 * A new run that begins where another one was at some number of its journal.
 *
 * Finished tasks stay finished; attempts of that moment are given up and wait for a new one; what
 * waits (a child, a person) is asked anew under the new run's id; clocks have as much left as then.
 *
 * @module
 */

import type { Json } from "../error-code.ts";
import { isInFlight, isOpen } from "../task.ts";
import type { Draft } from "./draft.ts";
import { startClocks } from "./stages.ts";
import type { Patch, RunEvent, RunState, RunTimer, TaskState } from "./state.ts";
import { openWait } from "./waits.ts";

type Forked = Extract<RunEvent, { readonly type: "run.forked" }>;

export interface ForkOptions {
  readonly id: string;
  /** Undefined: the input of the run that it is forked from. */
  readonly input?: Json;
  /** When the entry was written that the fork begins at. */
  readonly thenMs: number;
  readonly nowMs: number;
}

/** The state that a fork begins with, before its first event. */
export function forkState(from: RunState, options: ForkOptions): RunState {
  const { id, input, nowMs, thenMs } = options;
  const laterMs = nowMs - thenMs;
  const tasks = [...from.tasks].map(([key, task]) => [key, moveTask(task, laterMs)] as const);
  const timers = [...from.timers].map(([key, timer]) => [key, moveTimer(timer, laterMs)] as const);
  return {
    ...from,
    id,
    input: input ?? from.input,
    seq: 0,
    parent: null,
    startedAtMs: from.startedAtMs === null ? null : from.startedAtMs + laterMs,
    pause: from.pause === null ? null : { ...from.pause, atMs: nowMs, drained: true },
    tasks: new Map(tasks),
    timers: new Map(timers),
  };
}

function moveTimer(timer: RunTimer, laterMs: number): RunTimer {
  return timer.dueAtMs === null ? timer : { ...timer, dueAtMs: timer.dueAtMs + laterMs };
}

/** What is done was done when it was; limits of what is open count on. */
function moveTask(task: TaskState, laterMs: number): TaskState {
  if (!isOpen(task.status)) return { ...task, stopping: false };
  const later = (atMs: number | null): number | null => (atMs === null ? null : atMs + laterMs);
  return {
    ...task,
    stopping: false,
    scheduledAtMs: later(task.scheduledAtMs),
    readyAtMs: later(task.readyAtMs),
    startedAtMs: later(task.startedAtMs),
  };
}

/** The first event of a fork. */
export function forked(draft: Draft, event: Forked): void {
  const { from, at, stubs, inputChanged } = event;
  draft.record(event, "run.forked", { from, at, inputChanged, stubs });
  if (draft.run().status === "running") startClocks(draft, event.atMs);
  for (const key of draft.keys()) restart(draft, key, event);
}

function restart(draft: Draft, key: string, event: Forked): void {
  const task = draft.task(key);
  const { attempt, left, status } = task;
  if (status === "compensating" && ![...draft.timers()].some(([name]) => name === `undo/${key}`)) {
    return draft.effect({ type: "dispatch", taskKey: key, attempt, undo: true });
  }
  if (!isInFlight(status) || left !== null) return;
  switch (draft.planned(task).kind) {
    case "action":
      draft.move(
        key,
        { type: "lose", attempt },
        { readyAtMs: event.atMs, startedAtMs: null, node: null },
      );
      return;
    case "workflow":
      draft.move(key, { type: "lose", attempt }, { childId: null });
      return openWait(draft, key, event);
    case "approval": {
      const limit = [...draft.timers()].find(([name]) => name === `schedule-to-close/${key}`);
      const expiresAtMs = limit?.[1].dueAtMs ?? null;
      return draft.effect({ type: "open-approval", taskKey: key, expiresAtMs });
    }
    case "signal":
    case "sleep":
      // Waited for as before.
      return;
  }
}

/** The patch of a first entry that folds to `state` from whatever a run begins with. */
export function wholePatch(state: RunState, more: Patch): Patch {
  const { tasks, timers, counts: _counts, inFlight: _inFlight, outputs: _outputs, ...run } = state;
  const all: Record<string, Partial<TaskState>> = Object.fromEntries(tasks);
  for (const [key, change] of Object.entries(more.tasks ?? {})) {
    all[key] = { ...all[key], ...change };
  }
  return {
    ...(more.whole === true ? { whole: true } : {}),
    run: { ...run, ...more.run },
    tasks: all,
    timers: { ...Object.fromEntries(timers), ...more.timers },
  };
}
