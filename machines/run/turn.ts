/**
 * One turn of a workflow run: events in, next state, journal and effects out.
 *
 * Pure: no clock, no I/O; each event carries its time. A turn works on an overlay, so the caller may
 * throw the result away when its transaction fails.
 *
 * ```
 * pending ─start→ running ⇄ paused        running|paused ─chart ends→ completed | failed
 * pending|running|paused ─cancel→ cancelled        failed|cancelled ─retry→ running
 * ```
 *
 * @module
 */

import type { Json } from "../error-code.ts";
import * as attempts from "./attempts.ts";
import { affords, armWallTime, enforce, spend, wallTimeDue } from "./budget.ts";
import * as control from "./control.ts";
import * as decisions from "./decisions.ts";
import { type OpenDraft, openDraft, type Rules, type TaskChange } from "./draft.ts";
import { forked } from "./fork.ts";
import { expand, instanceFailed, instanceSatisfied } from "./groups.ts";
import type { RunPlan } from "./plan.ts";
import {
  beginRollback,
  childUndone,
  continueRollback,
  resolveUndo,
  undoDue,
  undoFinished,
  undoLost,
} from "./saga.ts";
import { settleStage, startChart, stopClocks, tellChart } from "./stages.ts";
import type {
  JournalDraft,
  RunEffect,
  RunEvent,
  RunFields,
  RunState,
  RunTimer,
  TaskState,
} from "./state.ts";
import * as waits from "./waits.ts";

export interface Turn {
  /**
   * Applies one event; events that no longer fit the state change nothing but may be journalled as refused.
   * @param timer Key of the timer that fired it: it is gone, whatever becomes of the event.
   */
  apply(event: RunEvent, timer?: string): void;
  run(): RunFields;
  task(key: string): TaskState | undefined;
  /** Tasks of agents in flight. */
  inFlight(): number;
  /** The tasks that changed, with the output of those that succeeded in this turn. */
  changed(): ReadonlyMap<string, TaskChange>;
  /** Timers that were set; null: cleared. */
  timers(): ReadonlyMap<string, RunTimer | null>;
  journal(): readonly JournalDraft[];
  effects(): readonly RunEffect[];
  /** The whole next state. Costs as much as the run is large: for loading, tests and tools. */
  state(): RunState;
  /** Brings `state`, which the turn began with, up to date in place. Costs what changed. */
  advance(state: MutableRunState): void;
}

/** The state of a run in its owner's memory. */
export type MutableRunState = {
  -readonly [Key in keyof RunState]: RunState[Key];
};

const rules: Rules = {
  spend,
  affords,
  expand,
  instanceSatisfied,
  instanceFailed,
  openWait: waits.openWait,
  settleStage,
  beginRollback,
  undoFinished,
  undoLost,
  resolveUndo,
};

/** @param random From 0 to 1, for the jitter of retries. */
export function beginTurn(before: RunState, plan: RunPlan, random: () => number = () => 0): Turn {
  const draft = openDraft(before, plan, random, rules);

  function apply(event: RunEvent, timer?: string): void {
    if (timer !== undefined && !fires(draft, timer, event)) return draft.close(event);
    const { spent } = draft.run();
    react(draft, event);
    if (draft.run().spent !== spent) enforce(draft, event);
    const { status, pause } = draft.run();
    if (status === "paused" && pause !== null) {
      if (pause.clocks === "stop") stopClocks(draft, draft.newTimers(), event.atMs);
      if (!pause.drained && draft.inFlight() === 0) {
        draft.set({ pause: { ...pause, drained: true } });
        draft.record(event, "run.drained", {});
      }
    }
    if (draft.run().rollback !== null) continueRollback(draft, event);
    draft.close(event);
  }

  return {
    apply,
    run: draft.run,
    task: (key) => (draft.has(key) ? draft.task(key) : undefined),
    inFlight: draft.inFlight,
    changed: draft.changed,
    timers: draft.changedTimers,
    journal: draft.journal,
    effects: draft.effects,
    state: () => {
      const state = {
        ...before,
        tasks: new Map(before.tasks),
        timers: new Map(before.timers),
        outputs: new Map(before.outputs),
        waiting: new Map([...before.waiting].map(([name, keys]) => [name, new Set(keys)])),
      };
      advance(draft, state);
      return state;
    },
    advance: (state) => advance(draft, state),
  };
}

/**
 * False when an earlier event of the turn has cleared, stopped, or set the timer anew: it was read
 * before. What is left of it is stored again, since its row goes with the event.
 */
function fires(draft: OpenDraft, key: string, event: RunEvent): boolean {
  const timer = draft.timer(key);
  if (timer === undefined) return false;
  const isDue = timer.dueAtMs !== null && timer.dueAtMs <= event.atMs + 1;
  if (isDue) draft.clearTimer(key);
  else draft.replaceTimer(key, timer);
  return isDue;
}

function advance(draft: OpenDraft, state: MutableRunState): void {
  const { tasks: all, timers, outputs } = state;
  Object.assign(state, draft.run(), { counts: draft.counts(), inFlight: draft.inFlight() });
  for (const [key, change] of draft.changed())
    (all as Map<string, TaskState>).set(key, change.state);
  for (const [key, timer] of draft.changedTimers()) {
    if (timer === null) (timers as Map<string, RunTimer>).delete(key);
    else (timers as Map<string, RunTimer>).set(key, timer);
  }
  for (const [name, changes] of draft.waitChanges()) {
    const all = state.waiting as Map<string, Set<string>>;
    const keys = all.get(name) ?? new Set();
    for (const [key, waits] of changes) {
      keys.delete(key);
      if (waits) keys.add(key);
    }
    if (keys.size === 0) all.delete(name);
    else all.set(name, keys);
  }
  for (const [key, output] of draft.newOutputs()) (outputs as Map<string, Json>).set(key, output);
}

function react(draft: OpenDraft, event: RunEvent): void {
  const { status } = draft.run();
  const isActive = status === "running" || status === "paused";
  switch (event.type) {
    case "run.start": {
      if (status !== "pending") return;
      const pause = event.paused
        ? { atMs: event.atMs, clocks: "stop" as const, drained: true }
        : null;
      // The priority goes into the patch: it is not to be read off the row once it has changed.
      const { priority } = draft.run();
      const started = event.paused ? "paused" : "running";
      draft.set({ status: started, pause, priority, startedAtMs: event.atMs });
      draft.record(event, "run.started", { paused: event.paused });
      armWallTime(draft, event);
      return startChart(draft, event);
    }
    case "run.forked":
      return forked(draft, event);
    case "run.attributes":
      return draft.record(event, "run.attributes", { set: event.set });
    case "run.pause":
      return control.pause(draft, event);
    case "run.resume":
      return control.resume(draft, event);
    case "run.cancel":
      return control.cancel(draft, event);
    case "run.undo":
      return control.undoRun(draft, event);
    case "run.retry":
      return control.retry(draft, event);
    case "run.priority":
      return isActive ? control.setPriority(draft, event) : undefined;
    case "run.budget":
      return control.raiseBudget(draft, event);
    case "run.unpark":
      return draft.record(event, "run.unparked", { reason: event.reason });
    case "run.signal":
      return isActive ? waits.signalled(draft, event) : undefined;
    case "task.skip":
      return isActive ? decisions.skipTask(draft, event) : undefined;
    case "task.run-now":
      return isActive ? control.runNow(draft, event) : undefined;
    case "task.priority":
      return isActive ? control.setTaskPriority(draft, event) : undefined;
    case "task.resolve":
      return isActive ? decisions.resolveTask(draft, event) : undefined;
    case "task.dispatch":
      return attempts.dispatch(draft, event);
    case "task.started":
      return attempts.started(draft, event);
    case "task.finished":
      return attempts.finishAttempt(draft, event);
    case "task.lost":
      return attempts.lost(draft, event);
    case "task.stopped":
      return attempts.stopped(draft, event);
    case "child.finished":
      return waits.childFinished(draft, event);
    case "child.undone":
      return childUndone(draft, event);
    case "retry.due":
      return isActive ? attempts.retryDue(draft, event) : undefined;
    case "timeout.due":
      return isActive ? attempts.timeoutDue(draft, event) : undefined;
    case "sleep.due":
      return isActive ? waits.sleepDue(draft, event) : undefined;
    case "undo.due":
      return undoDue(draft, event);
    case "chart.due":
      draft.clearTimer(`chart/${event.timer}`);
      if (!isActive || draft.run().rollback !== null) return;
      return void tellChart(draft, event.event, event);
    case "budget.due":
      return isActive ? wallTimeDue(draft, event) : undefined;
    default:
      event satisfies never;
  }
}
