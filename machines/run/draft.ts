/**
 * A turn's working copy of a run: an overlay over the state before it, which stays untouched, so
 * that a turn costs what it changes and can be thrown away.
 *
 * @module
 */

import type { ErrorRecord, Json } from "../error-code.ts";
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
  openWait(draft: Draft, key: string, event: RunEvent): void;
  settleStage(draft: Draft, stage: string, event: RunEvent): void;
  beginRollback(
    draft: Draft,
    cause: ErrorRecord,
    then: "failed" | "cancelled",
    event: RunEvent,
  ): void;
  undoFinished(draft: Draft, event: Extract<RunEvent, { type: "task.finished" }>): void;
  undoLost(draft: Draft, event: Extract<RunEvent, { type: "task.lost" }>): void;
}

export interface Draft {
  readonly rules: Rules;
  readonly plan: RunPlan;
  /** From 0 to 1. */
  readonly random: () => number;
  run(): RunFields;
  set(fields: Partial<RunFields>): void;
  has(key: string): boolean;
  /** @throws {Error} When the run has no such task: the event is for another definition. */
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
  /** Keys of all tasks as of now, of the overlay too. */
  keys(): readonly string[];
  /** Timers as of now. */
  timers(): readonly (readonly [string, RunTimer])[];
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
}

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
    ...fields
  } = before;
  let run: RunFields = fields;
  let { inFlight } = before;
  const tasks = new Map<string, TaskState>();
  const timers = new Map<string, RunTimer | null>();
  const outputs = new Map<string, Json>();
  const observed = new Map<string, Json>();
  const counts = new Map(oldCounts);
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
      throw new Error(`Cannot apply an event: run ${run.id} has no task "${key}"`);
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
    const stage = stageInstance(planned(to).stage, to.iteration);
    const [left, joined] = [from === undefined ? undefined : countOf(from), countOf(to)];
    if (left === joined) return;
    const count = { ...(counts.get(stage) ?? noCount) };
    if (left !== undefined) count[left] -= 1;
    if (joined !== undefined) count[joined] += 1;
    counts.set(stage, count);
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
    keys: () => [...oldTasks.keys(), ...[...tasks.keys()].filter((key) => !oldTasks.has(key))],
    timers: () => [
      ...[...oldTimers].filter(([key]) => !timers.has(key)),
      ...[...timers].flatMap(([key, timer]) => (timer === null ? [] : [[key, timer] as const])),
    ],
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
    let iteration = own ? (reader?.iteration ?? 1) : 1;
    if (!own) while (hasTask(`${name}#${iteration + 1}`)) iteration += 1;
    const key = stageInstance(name, iteration);
    if (!hasTask(key)) return undefined;
    const { left, status } = task(key);
    if (status === "skipped") {
      const stand = [...plan.tasks.values()].find(({ alternativeTo }) => alternativeTo === name);
      return stand === undefined ? undefined : outputOf(stand.key, reader);
    }
    if (left === null) return read(key);
    const list: Json[] = [];
    for (let index = 0; hasTask(`${key}[${index}]`); index += 1) {
      list.push(read(`${key}[${index}]`) ?? null);
    }
    return list;
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
