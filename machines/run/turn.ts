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
import { armWallTime, spend, wallTimeDue } from "./budget.ts";
import * as control from "./control.ts";
import { type OpenDraft, openDraft, type Rules, type TaskChange } from "./draft.ts";
import { forked } from "./fork.ts";
import { expand, instanceFailed, instanceSatisfied } from "./groups.ts";
import type { RunPlan } from "./plan.ts";
import { beginRollback, continueRollback, undoDue, undoFinished, undoLost } from "./saga.ts";
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
import * as tasks from "./tasks.ts";
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
  expand,
  instanceSatisfied,
  instanceFailed,
  openWait: waits.openWait,
  settleStage,
  beginRollback,
  undoFinished,
  undoLost,
};

/** @param random From 0 to 1, for the jitter of retries. */
export function beginTurn(before: RunState, plan: RunPlan, random: () => number = () => 0): Turn {
  const draft = openDraft(before, plan, random, rules);

  function apply(event: RunEvent, timer?: string): void {
    if (timer !== undefined) draft.clearTimer(timer);
    react(draft, event);
    const { status, pause } = draft.run();
    if (status === "paused" && pause !== null) {
      if (pause.clocks === "stop") stopClocks(draft, event.atMs);
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
      };
      advance(draft, state);
      return state;
    },
    advance: (state) => advance(draft, state),
  };
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
    case "run.retry":
      return control.retry(draft, event);
    case "run.priority":
      return isActive ? control.setPriority(draft, event) : undefined;
    case "run.budget":
      return isActive ? control.raiseBudget(draft, event) : undefined;
    case "run.unpark":
      return draft.record(event, "run.unparked", { reason: event.reason });
    case "run.signal":
      return isActive ? waits.signalled(draft, event) : undefined;
    case "task.skip":
      return isActive ? tasks.skipTask(draft, event) : undefined;
    case "task.run-now":
      return isActive ? control.runNow(draft, event) : undefined;
    case "task.priority":
      return isActive ? control.setTaskPriority(draft, event) : undefined;
    case "task.resolve":
      return isActive ? tasks.resolveTask(draft, event) : undefined;
    case "task.dispatch":
      return tasks.dispatch(draft, event);
    case "task.started":
      return tasks.started(draft, event);
    case "task.finished":
      return tasks.finishAttempt(draft, event);
    case "task.lost":
      return tasks.lost(draft, event);
    case "task.stopped":
      return tasks.stopped(draft, event);
    case "child.finished":
      return waits.childFinished(draft, event);
    case "retry.due":
      return isActive ? tasks.retryDue(draft, event) : undefined;
    case "timeout.due":
      return isActive ? tasks.timeoutDue(draft, event) : undefined;
    case "sleep.due":
      return isActive ? waits.sleepDue(draft, event) : undefined;
    case "undo.due":
      return undoDue(draft, event);
    case "chart.due":
      draft.clearTimer(`chart/${event.timer}`);
      return isActive ? void tellChart(draft, event.event, event) : undefined;
    case "budget.due":
      return wallTimeDue(draft, event);
    default:
      event satisfies never;
  }
}
