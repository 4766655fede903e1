/**
 * A turn's working copy of a run: an overlay over the state before it, which stays untouched, so
 * that a turn costs what it changes and can be thrown away.
 *
 * @module
 */

import { AgentError, type ErrorRecord, type Json } from "../error-code.ts";
import { nextTask, type TaskEvent } from "../task.ts";
import type { PlanTask, RunPlan } from "./plan.ts";
import {
  countOf,
  isAtWork,
  type JournalDraft,
  type Patch,
  type RunEffect,
  type RunEvent,
  type RunFields,
  type RunState,
  type RunTimer,
  type StageCount,
  stageInstance,
  type TaskState,
  taskInstance,
  waitOf,
} from "./state.ts";
import type { Scope } from "./values.ts";

/** A task that the turn changed. */
export interface TaskChange {
  readonly state: TaskState;
  /** Set when it succeeded in this turn. */
  readonly output: Json | undefined;
  readonly isNew: boolean;
}

type PendingPatch = {
  run: Partial<RunFields>;
  tasks: Record<string, Partial<TaskState>>;
  timers: Record<string, RunTimer | null>;
};

/** What tasks set off beyond themselves. Passed in, so that tasks know none of these modules. */
export interface Rules {
  spend(draft: Draft, amounts: Readonly<Record<string, number>>, event: RunEvent): void;
  expand(draft: Draft, task: TaskState, event: RunEvent): void;
  instanceSatisfied(draft: Draft, task: TaskState, event: RunEvent): void;
  instanceFailed(draft: Draft, task: TaskState, error: ErrorRecord, event: RunEvent): void;
  /** False when the budget lets no further attempt begin: then the run was paused, or has failed. */
  affords(draft: Draft, event: RunEvent): boolean;
  openWait(draft: Draft, key: string, event: RunEvent): void;
  settleStage(draft: Draft, stage: string, event: RunEvent): void;
  beginRollback(
    draft: Draft,
    cause: ErrorRecord,
    then: "failed" | "cancelled",
    event: RunEvent,
  ): void;
  undoFinished(draft: Draft, event: Extract<RunEvent, { type: "task.finished" }>): void;
  resolveUndo(draft: Draft, event: Extract<RunEvent, { type: "task.resolve" }>): void;
  undoLost(draft: Draft, event: Extract<RunEvent, { type: "task.lost" }>): void;
}

export interface Draft {
  readonly rules: Rules;
  readonly plan: RunPlan;
  /** From 0 to 1. */
  readonly random: () => number;
  run(): RunFields;
  set(fields: Partial<RunFields>): void;
  /** Where a look at a task's dependencies begins: a memo, no state. See `isReleased`. */
  readonly hints: Map<string, number>;
  has(key: string): boolean;
  /** @throws {AgentError} `TASK_UNKNOWN`: the event is for another definition. */
  task(key: string): TaskState;
  planned(task: TaskState): PlanTask;
  add(task: TaskState): void;
  /** Moves a task by its statechart; false when that refuses the event. */
  move(key: string, event: TaskEvent, patch?: Partial<TaskState>): boolean;
  /** Changes what is not its status. */
  update(key: string, patch: Partial<TaskState>): void;
  /** Keeps a task's output; what the plan observes is readable from now on. */
  setOutput(key: string, output: Json): void;
  count(stage: string): StageCount;
  inFlight(): number;
  /** Keys of the tasks that wait for this, oldest first; see `waitOf`. */
  waiting(name: string): Iterable<string>;
  /** Keys of all tasks as of now, of the overlay too. */
  keys(): readonly string[];
  /** Timers as of now. */
  timers(): readonly (readonly [string, RunTimer])[];
  /** Timers that this turn has set and not cleared. */
  newTimers(): readonly (readonly [string, RunTimer])[];
  timer(key: string): RunTimer | undefined;
  setTimer(key: string, event: Json, dueAtMs: number): void;
  replaceTimer(key: string, timer: RunTimer): void;
  clearTimer(key: string): void;
  effect(effect: RunEffect): void;
  /** Closes a journal entry: what changed since the last one is its patch. */
  record(event: Pick<RunEvent, "atMs" | "by">, type: string, payload: Json): void;
  /** What templates and conditions can read. */
  scope(task?: TaskState): Scope;
}

export interface OpenDraft extends Draft {
  /** Ends an event: what it changed after its last entry joins that entry, or gets one of its own. */
  close(event: Pick<RunEvent, "atMs" | "by">): void;
  changed(): ReadonlyMap<string, TaskChange>;
  changedTimers(): ReadonlyMap<string, RunTimer | null>;
  journal(): readonly JournalDraft[];
  effects(): readonly RunEffect[];
  counts(): ReadonlyMap<string, StageCount>;
  newOutputs(): ReadonlyMap<string, Json>;
  /** By what is waited for: which tasks began to (true), and which no longer do. */
  waitChanges(): ReadonlyMap<string, ReadonlyMap<string, boolean>>;
}

/** Of runs in memory, by their tasks: it lives as long as these do. */
const hintsOf = new WeakMap<RunState["tasks"], Map<string, number>>();

const noCount: StageCount = { moving: 0, blocked: 0, bad: 0 };

export function openDraft(
  before: RunState,
  plan: RunPlan,
  random: () => number,
  rules: Rules,
): OpenDraft {
  const {
    tasks: oldTasks,
    timers: oldTimers,
    outputs: oldOutputs,
    counts: oldCounts,
    waiting: oldWaiting,
    ...fields
  } = before;
  let run: RunFields = fields;
  let { inFlight } = before;
  const tasks = new Map<string, TaskState>();
  const timers = new Map<string, RunTimer | null>();
  const outputs = new Map<string, Json>();
  const observed = new Map<string, Json>();
  const counts = new Map(oldCounts);
  const waits = new Map<string, Map<string, boolean>>();
  const hints = hintsOf.get(oldTasks) ?? new Map<string, number>();
  hintsOf.set(oldTasks, hints);
  const journal: JournalDraft[] = [];
  const effects: RunEffect[] = [];
  let pending = emptyPatch();
  /** Entries that belong to events before the one that is applied now. */
  let settled = 0;

  function record({ atMs, by }: Pick<RunEvent, "atMs" | "by">, type: string, payload: Json): void {
    const seq = run.seq + 1;
    run = { ...run, seq };
    journal.push({ seq, type, atMs, actor: by, payload, patch: closed(pending, seq) });
    pending = emptyPatch();
  }

  function task(key: string): TaskState {
    const state = tasks.get(key) ?? oldTasks.get(key);
    if (state === undefined)
      throw new AgentError(
        "TASK_UNKNOWN",
        `Cannot apply an event: run ${run.id} has no task "${key}"`,
      );
    return state;
  }

  function planned({ plan: key }: TaskState): PlanTask {
    const found = plan.tasks.get(key);
    if (found === undefined) throw new Error(`Cannot read task "${key}": the plan has none`);
    return found;
  }

  function recount(from: TaskState | undefined, to: TaskState): void {
    if (from !== undefined && isAtWork(from, plan)) inFlight -= 1;
    if (isAtWork(to, plan)) inFlight += 1;
    const [was, is] = [from === undefined ? undefined : waitOf(from, plan), waitOf(to, plan)];
    if (was !== is) {
      if (was !== undefined) markWait(was, to.key, false);
      if (is !== undefined) markWait(is, to.key, true);
    }
    const stage = stageInstance(planned(to).stage, to.iteration);
    const [left, joined] = [from === undefined ? undefined : countOf(from), countOf(to)];
    if (left === joined) return;
    const count = { ...(counts.get(stage) ?? noCount) };
    if (left !== undefined) count[left] -= 1;
    if (joined !== undefined) count[joined] += 1;
    counts.set(stage, count);
  }

  function markWait(name: string, key: string, waitsNow: boolean): void {
    const changes = waits.get(name) ?? new Map<string, boolean>();
    // Whoever waits again stands at the end.
    changes.delete(key);
    waits.set(name, changes.set(key, waitsNow));
  }

  function put(to: TaskState, from: TaskState | undefined): void {
    tasks.set(to.key, to);
    recount(from, to);
    pending.tasks[to.key] = { ...pending.tasks[to.key], ...difference(from, to) };
  }

  function putTimer(key: string, timer: RunTimer | null): void {
    timers.set(key, timer);
    pending.timers[key] = timer;
  }

  return {
    rules,
    plan,
    random,
    run: () => run,
    hints,
    set: (patch) => {
      run = { ...run, ...patch };
      pending.run = { ...pending.run, ...patch };
    },
    has: (key) => tasks.has(key) || oldTasks.has(key),
    task,
    planned,
    add: (state) => put(state, undefined),
    move: (key, event, patch = {}) => {
      const from = task(key);
      const to = nextTask(from, event);
      if (to === from) return false;
      put({ ...from, ...to, ...patch }, from);
      return true;
    },
    update: (key, patch) => {
      const from = task(key);
      put({ ...from, ...patch }, from);
    },
    setOutput: (key, output) => {
      outputs.set(key, output);
      if (plan.observed.has(task(key).plan)) observed.set(key, output);
    },
    count: (stage) => counts.get(stage) ?? noCount,
    inFlight: () => inFlight,
    waiting: function* waiting(name) {
      const changes = waits.get(name);
      for (const key of oldWaiting.get(name) ?? []) if (!changes?.has(key)) yield key;
      for (const [key, waitsNow] of changes ?? []) if (waitsNow) yield key;
    },
    waitChanges: () => waits,
    keys: () => [...oldTasks.keys(), ...[...tasks.keys()].filter((key) => !oldTasks.has(key))],
    timers: () => [
      ...[...oldTimers].filter(([key]) => !timers.has(key)),
      ...[...timers].flatMap(([key, timer]) => (timer === null ? [] : [[key, timer] as const])),
    ],
    newTimers: () =>
      [...timers].flatMap(([key, timer]) => (timer === null ? [] : [[key, timer] as const])),
    timer: (key) => (timers.has(key) ? (timers.get(key) ?? undefined) : oldTimers.get(key)),
    // Whole milliseconds: what is stored is what the journal says.
    setTimer: (key, event, dueAtMs) =>
      putTimer(key, { event, dueAtMs: Math.round(dueAtMs), remainingMs: null }),
    replaceTimer: putTimer,
    clearTimer: (key) => {
      const exists = timers.has(key) ? timers.get(key) !== null : oldTimers.has(key);
      if (exists) putTimer(key, null);
    },
    effect: (effect) => {
      effects.push(effect);
    },
    record,
    close: (event) => {
      const last = journal.at(-1);
      if (!isEmpty(pending)) {
        if (last === undefined || journal.length === settled) record(event, "state.changed", {});
        else journal[journal.length - 1] = { ...last, patch: merge(last.patch, pending) };
      }
      const end = journal.at(-1);
      if (end !== undefined && journal.length > settled) {
        journal[journal.length - 1] = { ...end, patch: { ...end.patch, whole: true } };
      }
      pending = emptyPatch();
      settled = journal.length;
    },
    scope: (of) => ({
      input: run.input,
      output: (name) => outputOf(name, of),
      ...(of?.index === null || of === undefined ? {} : { item: of.item, index: of.index }),
      ...(run.chart === null ? {} : { context: run.chart.context }),
    }),
    changed: () =>
      new Map(
        [...tasks].map(([key, state]) => [
          key,
          { state, output: outputs.get(key), isNew: !oldTasks.has(key) },
        ]),
      ),
    changedTimers: () => timers,
    journal: () => journal,
    effects: () => effects,
    counts: () => counts,
    newOutputs: () => observed,
  };

  /** The newest iteration that has one; of a group its instances' outputs, in order. */
  function outputOf(name: string, reader: TaskState | undefined): Json | undefined {
    const own = plan.tasks.get(name)?.stage === plan.tasks.get(reader?.plan ?? "")?.stage;
    const stage = plan.tasks.get(name)?.stage ?? "";
    const iteration = own ? (reader?.iteration ?? 1) : (run.chart?.entered[stage] ?? 1);
    const group = plan.tasks.get(name)?.group ?? null;
    if (own && reader?.index != null && group === plan.tasks.get(reader.plan)?.group) {
      return itemOutput(name, iteration, reader.index) ?? undefined;
    }
    const key = stageInstance(name, iteration);
    if (!hasTask(key)) return undefined;
    const { items, status } = task(key);
    if (status === "skipped") {
      const stand = plan.alternatives.get(name);
      return stand === undefined ? undefined : outputOf(stand, reader);
    }
    if (status !== "succeeded") return undefined;
    if (items === null) return read(key);
    return Array.from({ length: items }, (_, index) => itemOutput(name, iteration, index));
  }

  /** Of one item of a group; null when it was skipped and nothing stands in. */
  function itemOutput(name: string, iteration: number, index: number): Json {
    const found = read(taskInstance(name, iteration, index));
    const stand = plan.alternatives.get(name);
    if (found !== undefined || stand === undefined) return found ?? null;
    return read(taskInstance(stand, iteration, index)) ?? null;
  }

  function hasTask(key: string): boolean {
    return tasks.has(key) || oldTasks.has(key);
  }

  function read(key: string): Json | undefined {
    return outputs.get(key) ?? oldOutputs.get(key);
  }
}

function emptyPatch(): PendingPatch {
  return { run: {}, tasks: {}, timers: {} };
}

function isEmpty({ run, tasks, timers }: PendingPatch): boolean {
  return [run, tasks, timers].every((part) => Object.keys(part).length === 0);
}

function closed({ run, tasks, timers }: PendingPatch, seq: number): Patch {
  return {
    run: { ...run, seq },
    ...(Object.keys(tasks).length === 0 ? {} : { tasks }),
    ...(Object.keys(timers).length === 0 ? {} : { timers }),
  };
}

function merge(first: Patch, second: PendingPatch): Patch {
  const tasks: Record<string, Partial<TaskState>> = { ...first.tasks };
  for (const [key, patch] of Object.entries(second.tasks)) tasks[key] = { ...tasks[key], ...patch };
  return {
    run: { ...first.run, ...second.run },
    tasks,
    timers: { ...first.timers, ...second.timers },
  };
}

function difference(from: TaskState | undefined, to: TaskState): Partial<TaskState> {
  if (from === undefined) return to;
  return Object.fromEntries(
    Object.entries(to).filter(([name, value]) => from[name as keyof TaskState] !== value),
  );
}
