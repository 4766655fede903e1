/**
 * One turn of a workflow run: events in, next state, journal and effects out.
 *
 * Pure: no clock, no I/O; each event carries its time. A turn works on copies, so the caller may
 * throw the result away when its transaction fails.
 *
 * ```
 * pending ─start→ running ⇄ paused        running|paused ─last stage ends→ completed | failed
 * pending|running|paused ─cancel→ cancelled        failed|cancelled ─retry→ running
 * ```
 *
 * @module
 */

import type { ErrorRecord, Json } from "./error-code.ts";
import { deathLimit, isDeath, poisoned } from "./poison.ts";
import { initialPlace, nextPlace, type RunPlan } from "./run-plan.ts";
import {
  isInFlight,
  isOpen,
  isSatisfied,
  nextTask,
  type TaskEvent,
  type TaskSnapshot,
} from "./task.ts";

export type RunStatus =
  | "pending"
  | "running"
  | "paused"
  | "completed"
  | "failed"
  | "cancelled"
  | "parked";

/** Times are epoch milliseconds of the database clock. */
export interface TaskState extends TaskSnapshot {
  readonly key: string;
  readonly readyAtMs: number | null;
  readonly startedAtMs: number | null;
  readonly finishedAtMs: number | null;
  readonly node: string | null;
  readonly error: ErrorRecord | null;
}

export interface RunState {
  readonly id: string;
  readonly status: RunStatus;
  /** State of the definition's statechart; the stage that it invokes is the active one. */
  readonly place: string;
  readonly priority: number;
  /** Number of the newest journal entry. */
  readonly seq: number;
  readonly startedAtMs: number | null;
  readonly finishedAtMs: number | null;
  readonly error: ErrorRecord | null;
  readonly tasks: ReadonlyMap<string, TaskState>;
}

export type TaskOutcome =
  | { readonly type: "succeeded"; readonly output: Json }
  | { readonly type: "failed"; readonly error: ErrorRecord };

/** `by` names who asked (`api`, `cli`, `node …`); `atMs` is when it was recorded. */
export type RunEvent = { readonly by: string; readonly atMs: number } & (
  | { readonly type: "run.start"; readonly paused: boolean }
  | { readonly type: "run.pause" | "run.resume" | "run.cancel"; readonly reason: string | null }
  | { readonly type: "run.retry"; readonly reason: string | null; readonly taskKey: string | null }
  | { readonly type: "task.dispatch"; readonly taskKey: string }
  | { readonly type: "task.started"; readonly taskKey: string; attempt: number; node: string }
  | {
      readonly type: "task.finished";
      readonly taskKey: string;
      attempt: number;
      outcome: TaskOutcome;
    }
  | { readonly type: "task.lost"; readonly taskKey: string; attempt: number; reason: string }
  | { readonly type: "retry.due"; readonly taskKey: string; attempt: number }
);

export interface JournalDraft {
  readonly seq: number;
  readonly type: string;
  readonly atMs: number;
  readonly actor: string;
  readonly payload: Json;
}

export type RunEffect =
  | { readonly type: "dispatch"; readonly taskKey: string; readonly attempt: number }
  | { readonly type: "abort"; readonly taskKey: string; readonly attempt: number }
  | { readonly type: "retry-timer"; readonly taskKey: string; attempt: number; failures: number };

export interface Turn {
  /** Applies one event; events that no longer fit the state change nothing but may be journalled as refused. */
  apply(event: RunEvent): void;
  state(): RunState;
  /** Keys of the tasks that changed, with the output of those that succeeded in this turn. */
  changed(): ReadonlyMap<string, Json | undefined>;
  journal(): readonly JournalDraft[];
  effects(): readonly RunEffect[];
}

/** A run before its first event. */
export function initialRun(id: string, plan: RunPlan, priority: number): RunState {
  const tasks = new Map<string, TaskState>();
  for (const key of plan.tasks.keys()) {
    tasks.set(key, {
      key,
      status: "blocked",
      attempt: 0,
      failures: 0,
      deaths: 0,
      readyAtMs: null,
      startedAtMs: null,
      finishedAtMs: null,
      node: null,
      error: null,
    });
  }
  return {
    id,
    status: "pending",
    place: initialPlace(plan).state,
    priority,
    seq: 0,
    startedAtMs: null,
    finishedAtMs: null,
    error: null,
    tasks,
  };
}

export function beginTurn(before: RunState, plan: RunPlan): Turn {
  let run = before;
  const tasks = new Map(before.tasks);
  const changed = new Map<string, Json | undefined>();
  const journal: JournalDraft[] = [];
  const effects: RunEffect[] = [];

  function record(event: RunEvent, type: string, payload: Json): void {
    const seq = run.seq + 1;
    run = { ...run, seq };
    journal.push({ seq, type, atMs: event.atMs, actor: event.by, payload });
  }

  function task(key: string): TaskState {
    const state = tasks.get(key);
    if (state === undefined)
      throw new Error(`Cannot apply an event: run ${run.id} has no task "${key}"`);
    return state;
  }

  /** Moves a task; false when its statechart refuses the event. */
  function move(key: string, event: TaskEvent, patch: Partial<TaskState> = {}): boolean {
    const from = task(key);
    const to = nextTask(from, event);
    if (to === from) return false;
    tasks.set(key, { ...from, ...to, ...patch });
    if (!changed.has(key)) changed.set(key, undefined);
    return true;
  }

  function isReleased(key: string): boolean {
    const planned = plan.tasks.get(key);
    return planned?.after.every((dependency) => isSatisfied(task(dependency).status)) ?? false;
  }

  function unblock(key: string, event: RunEvent): void {
    if (task(key).status === "blocked" && isReleased(key)) {
      move(key, { type: "unblock" }, { readyAtMs: event.atMs });
      record(event, "task.ready", { task: key });
    }
  }

  function activeStage(): readonly string[] {
    const stage = plan.chart.config.states?.[run.place]?.invoke as { src?: string } | undefined;
    return plan.stages.get(stage?.src ?? "") ?? [];
  }

  function enter(place: { state: string; done: boolean }, event: RunEvent): void {
    if (place.done) {
      finish(place.state === "completed" ? "completed" : "failed", event);
      return;
    }
    run = { ...run, place: place.state };
    record(event, "stage.entered", { stage: place.state });
    for (const key of activeStage()) unblock(key, event);
    settleStage(event);
  }

  function finish(status: "completed" | "failed" | "cancelled", event: RunEvent): void {
    run = { ...run, status, finishedAtMs: event.atMs };
    record(
      event,
      `run.${status}`,
      run.error === null ? {} : { code: run.error.code, message: run.error.message },
    );
  }

  /** Leaves the active stage once nothing in it can move any more. */
  function settleStage(event: RunEvent): void {
    const keys = activeStage();
    const isMoving = ({ status }: TaskState) => isOpen(status) && status !== "blocked";
    if (keys.some((key) => isMoving(task(key)))) return;
    const bad = keys.filter((key) => !isSatisfied(task(key).status));
    const [first] = bad;
    if (first !== undefined) {
      const failed = bad.find((key) => task(key).error !== null);
      const cause = failed === undefined ? unreachable(first) : task(failed).error;
      run = { ...run, error: run.error ?? cause };
      // What is blocked now waits for a task that ended badly, or that this stage never reaches.
      for (const key of bad) cancelTask(key, event);
    }
    enter(nextPlace(plan, run.place, first === undefined ? "done" : "error"), event);
  }

  function unreachable(key: string): ErrorRecord {
    const after = plan.tasks.get(key)?.after ?? [];
    const missing = after.filter((dependency) => !isSatisfied(task(dependency).status));
    const message = `Cannot run "${key}": it waits for ${missing.join(", ")}, which cannot end before it`;
    return { name: "Error", message, code: "DEPENDENCY_UNREACHABLE", retryable: false };
  }

  function afterSatisfied(key: string, event: RunEvent): void {
    const stage = new Set(activeStage());
    for (const dependent of plan.dependents.get(key) ?? []) {
      if (stage.has(dependent)) unblock(dependent, event);
    }
    settleStage(event);
  }

  /** A failed task ends its stage: what has not started is cancelled, what runs may end. */
  function afterFailed(key: string, error: ErrorRecord, event: RunEvent): void {
    if (plan.tasks.get(key)?.onFailure === "skip") {
      move(key, { type: "skip" });
      record(event, "task.skipped", { task: key, code: error.code });
      afterSatisfied(key, event);
      return;
    }
    run = { ...run, error: run.error ?? error };
    for (const other of activeStage()) {
      const { status } = task(other);
      if (isOpen(status) && !isInFlight(status)) cancelTask(other, event);
    }
    settleStage(event);
  }

  function cancelTask(key: string, event: RunEvent): void {
    const { status, attempt } = task(key);
    if (!move(key, { type: "cancel" }, { finishedAtMs: event.atMs })) return;
    if (isInFlight(status)) effects.push({ type: "abort", taskKey: key, attempt });
    record(event, "task.cancelled", { task: key });
  }

  function finishTask(event: Extract<RunEvent, { type: "task.finished" }>): void {
    const { taskKey, attempt, outcome } = event;
    if (outcome.type === "succeeded") {
      const patch = { finishedAtMs: event.atMs, error: null };
      if (!move(taskKey, { type: "succeed", attempt }, patch)) return refuse(event);
      changed.set(taskKey, outcome.output);
      record(event, "task.succeeded", { task: taskKey, attempt });
      afterSatisfied(taskKey, event);
      return;
    }
    const { failures, deaths } = task(taskKey);
    const died = isDeath(outcome.error);
    const error =
      died && deaths + 1 >= deathLimit ? poisoned(`"${taskKey}"`, outcome.error) : outcome.error;
    const mayRepeat = error.retryable && failures + 1 < (plan.tasks.get(taskKey)?.maxFailures ?? 1);
    const patch = { error, ...(mayRepeat ? {} : { finishedAtMs: event.atMs }) };
    if (!move(taskKey, { type: "fail", attempt, mayRepeat, died }, patch)) return refuse(event);
    const payload = { task: taskKey, attempt, code: error.code, message: error.message };
    if (mayRepeat) {
      effects.push({ type: "retry-timer", taskKey, attempt, failures: failures + 1 });
      record(event, "task.retrying", payload);
    } else {
      record(event, "task.failed", payload);
      afterFailed(taskKey, error, event);
    }
  }

  function refuse(event: Extract<RunEvent, { attempt: number }>): void {
    record(event, "attempt.refused", {
      task: event.taskKey,
      attempt: event.attempt,
      event: event.type,
    });
  }

  function retry(event: Extract<RunEvent, { type: "run.retry" }>): void {
    if (run.status !== "failed" && run.status !== "cancelled") return;
    run = { ...run, status: "running", finishedAtMs: null, error: null };
    record(event, "run.retried", { reason: event.reason, task: event.taskKey });
    for (const key of plan.tasks.keys()) {
      if (event.taskKey !== null && key !== event.taskKey && task(key).status === "failed")
        continue;
      move(key, { type: "reset" }, { error: null, finishedAtMs: null, startedAtMs: null });
    }
    for (const key of activeStage()) unblock(key, event);
    settleStage(event);
  }

  function apply(event: RunEvent): void {
    const isActive = run.status === "running" || run.status === "paused";
    switch (event.type) {
      case "run.start":
        if (run.status !== "pending") return;
        run = { ...run, status: event.paused ? "paused" : "running", startedAtMs: event.atMs };
        record(event, "run.started", { paused: event.paused });
        return enter(initialPlace(plan), event);
      case "run.pause":
        if (run.status !== "running") return;
        run = { ...run, status: "paused" };
        return record(event, "run.paused", { reason: event.reason });
      case "run.resume":
        if (run.status !== "paused") return;
        run = { ...run, status: "running" };
        return record(event, "run.resumed", { reason: event.reason });
      case "run.cancel":
        if (!isActive && run.status !== "pending") return;
        record(event, "run.cancelling", { reason: event.reason });
        for (const key of plan.tasks.keys()) if (isOpen(task(key).status)) cancelTask(key, event);
        return finish("cancelled", event);
      case "run.retry":
        return retry(event);
      case "task.dispatch": {
        if (run.status !== "running" || !move(event.taskKey, { type: "dispatch" }, { node: null }))
          return;
        const { attempt } = task(event.taskKey);
        effects.push({ type: "dispatch", taskKey: event.taskKey, attempt });
        return record(event, "task.dispatched", { task: event.taskKey, attempt });
      }
      case "task.started": {
        const { taskKey, attempt, node } = event;
        const patch = { node, startedAtMs: event.atMs, finishedAtMs: null };
        if (!move(taskKey, { type: "start", attempt }, patch)) return refuse(event);
        return record(event, "task.started", { task: taskKey, attempt, node });
      }
      case "task.finished":
        return finishTask(event);
      case "task.lost": {
        const { taskKey, attempt, reason } = event;
        const patch = { readyAtMs: event.atMs, startedAtMs: null, node: null };
        if (!move(taskKey, { type: "lose", attempt }, patch)) return refuse(event);
        return record(event, "task.lost", { task: taskKey, attempt, reason });
      }
      case "retry.due": {
        const { taskKey, attempt } = event;
        if (!move(taskKey, { type: "due", attempt }, { readyAtMs: event.atMs })) return;
        return record(event, "task.ready", { task: taskKey });
      }
      default:
        event satisfies never;
    }
  }

  return {
    apply,
    state: () => ({ ...run, tasks }),
    changed: () => changed,
    journal: () => journal,
    effects: () => effects,
  };
}
