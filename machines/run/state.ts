/**
 * The state of a run, and the events that change it. Times are epoch milliseconds of the database clock.
 *
 * @module
 */

import type { ErrorRecord, Json } from "../error-code.ts";
import { isInFlight, isOpen, isSatisfied, type TaskSnapshot } from "../task.ts";
import type { ChartState } from "./chart-machine.ts";
import { defaultPriority, type PlanTask, type RunPlan } from "./plan.ts";

export type RunStatus =
  | "pending"
  | "running"
  | "paused"
  | "completed"
  | "failed"
  | "cancelled"
  | "parked";

export interface TaskState extends TaskSnapshot {
  readonly key: string;
  /** Key in the plan: `key` without `#2` and `[7]`. */
  readonly plan: string;
  /** Of its stage, from 1: a chart may enter a stage again. */
  readonly iteration: number;
  /** Which item of its group it works on; null for every other task and for the whole of a group. */
  readonly index: number | null;
  readonly item: Json;
  /** Instances that a group task has in all, once its list is known; null for every other task. */
  readonly items: number | null;
  /** Instances that a group task still waits for; null when it has none. */
  readonly left: number | null;
  /** Items that were let into its group; only on the first task of a group. */
  readonly admitted: number | null;
  /** Items that are inside of its group now; only on the first task of a group. */
  readonly inside: number | null;
  /** First time that it was ready. */
  readonly scheduledAtMs: number | null;
  readonly readyAtMs: number | null;
  readonly startedAtMs: number | null;
  readonly finishedAtMs: number | null;
  readonly node: string | null;
  readonly error: ErrorRecord | null;
  /** Set by an operator; null: as the plan says. */
  readonly priority: number | null;
  /** An operator wants it now: no limit but the agent's own holds it. */
  readonly urgent: boolean;
  /** It was in an agent's hands when it ended badly: what it did may have happened. */
  readonly unknownOutcome: boolean;
  /**
   * Its last attempt was told to stop and has not yet: its slot is still in use. Of a task that
   * started a run: that run was told to.
   */
  readonly stopping: boolean;
  /** Run that a task of kind `workflow` started. */
  readonly childId: string | null;
}

/** Waits for its due time, or, while its clock stands still, knows how much of it is left. */
export interface RunTimer {
  readonly event: Json;
  readonly dueAtMs: number | null;
  readonly remainingMs: number | null;
}

/** A signal that nothing has taken yet. */
export interface PendingSignal {
  readonly name: string;
  readonly payload: Json;
  readonly atMs: number;
}

/** A rollback under way: tasks still to be undone, the next one first. */
export interface Rollback {
  readonly cause: ErrorRecord;
  readonly queue: readonly string[];
  /** What the run is when all is undone. */
  readonly then: "failed" | "cancelled";
  /** The run's parent rolls back, and waits for this. */
  readonly forParent?: boolean;
}

/** A run without its tasks. */
export interface RunFields {
  readonly id: string;
  readonly status: RunStatus;
  /** Active states of the chart for people: `week2`, or `build/test + deploy`. */
  readonly place: string;
  readonly priority: number;
  /** Number of the newest journal entry. */
  readonly seq: number;
  readonly startedAtMs: number | null;
  readonly finishedAtMs: number | null;
  readonly error: ErrorRecord | null;
  readonly input: Json;
  readonly output: Json;
  /** Null before the start. */
  readonly chart: ChartState | null;
  readonly signals: readonly PendingSignal[];
  /** What tasks and children spent, by unit. */
  readonly spent: Readonly<Record<string, number>>;
  /** Limits that an operator raised; otherwise the plan's. */
  readonly raised: Readonly<Record<string, number>>;
  readonly rollback: Rollback | null;
  /** Set while paused. `drained`: nothing is in flight any more. */
  readonly pause: {
    readonly atMs: number;
    readonly clocks: "stop" | "run";
    readonly drained: boolean;
    /** The unit whose limit paused it: raising that resumes. */
    readonly budget?: string;
  } | null;
  /** Milliseconds since the start that do not count as wall time: it was paused, or had ended. */
  readonly stoodMs: number;
  /** The task of another run that waits for this one. */
  readonly parent: { readonly workflowId: string; readonly taskKey: string } | null;
}

/** How many tasks of a stage can still move, ended badly, or wait; kept so that no turn counts them. */
export interface StageCount {
  readonly moving: number;
  readonly blocked: number;
  readonly bad: number;
}

export interface RunState extends RunFields {
  readonly tasks: ReadonlyMap<string, TaskState>;
  readonly timers: ReadonlyMap<string, RunTimer>;
  /** Outputs of the tasks that the plan observes. */
  readonly outputs: ReadonlyMap<string, Json>;
  /** By stage instance: `main`, `main#2`. Derived from the tasks. */
  readonly counts: ReadonlyMap<string, StageCount>;
  /** Tasks of agents in flight. Derived from the tasks. */
  readonly inFlight: number;
  /** Keys of tasks that no agent carries, by what they wait for (`waitOf`), oldest first. Derived from the tasks. */
  readonly waiting: ReadonlyMap<string, ReadonlySet<string>>;
}

export type TaskOutcome =
  | {
      readonly type: "succeeded";
      readonly output: Json;
      readonly spent?: Readonly<Record<string, number>>;
    }
  | {
      readonly type: "failed";
      readonly error: ErrorRecord;
      readonly spent?: Readonly<Record<string, number>>;
    };

interface Common {
  /** Who asked: `api`, `cli`, `node …`. */
  readonly by: string;
  readonly atMs: number;
}

interface OfTask {
  readonly taskKey: string;
}

interface OfAttempt extends OfTask {
  readonly attempt: number;
}

type Reason = { readonly reason: string | null };

/** What may happen to a run. */
export type RunEvent = Common &
  (
    | { readonly type: "run.start"; readonly paused: boolean }
    /** The first event of a run that continues another one; `stubs` are not run, but take what it recorded. */
    | {
        readonly type: "run.forked";
        readonly from: string;
        readonly at: number;
        readonly inputChanged: boolean;
        readonly stubs: readonly string[];
      }
    /** User-set and searchable; null takes one away. The state does not hold them. */
    | { readonly type: "run.attributes"; readonly set: Readonly<Record<string, Json>> }
    | ({ readonly type: "run.pause"; readonly clocks?: "stop" | "run" } & Reason)
    | ({ readonly type: "run.resume" } & Reason)
    | ({
        readonly type: "run.cancel";
        readonly rollback?: boolean;
        /** How long a running attempt may take to stop before its thread is ended. */
        readonly graceMs?: number;
      } & Reason)
    /** An operator puts a parked run back to work. */
    | ({ readonly type: "run.unpark" } & Reason)
    /** The run's parent undoes the task that this run was; it hears of the end as `child.undone`. */
    | ({ readonly type: "run.undo" } & Reason)
    | ({ readonly type: "run.retry"; readonly taskKey: string | null } & Reason)
    | ({ readonly type: "run.priority"; readonly priority: number } & Reason)
    | ({ readonly type: "run.budget"; readonly limits: Readonly<Record<string, number>> } & Reason)
    | {
        readonly type: "run.signal";
        readonly name: string;
        readonly payload: Json;
        /** Of an operator who gave one. */
        readonly reason?: string | null;
      }
    | ({ readonly type: "task.skip" } & OfTask & Reason)
    | ({ readonly type: "task.run-now" } & OfTask & Reason)
    | ({ readonly type: "task.priority"; readonly priority: number } & OfTask & Reason)
    | ({
        /** Decides about a parked task, or about an approval. */
        readonly type: "task.resolve";
        readonly as: "succeeded" | "failed" | "retry" | "skip";
        readonly output?: Json;
      } & OfTask &
        Reason)
    /** `node` owns the run: a local task starts there at once. */
    | ({ readonly type: "task.dispatch"; readonly node?: string } & OfTask)
    | ({ readonly type: "task.started"; readonly node: string } & OfAttempt)
    | ({ readonly type: "task.finished"; readonly outcome: TaskOutcome } & OfAttempt)
    /** `begun: false`: certainly nothing of it ran. */
    | ({
        readonly type: "task.lost";
        readonly reason: string;
        readonly begun?: boolean;
      } & OfAttempt)
    /** An attempt that was told to stop has: by itself, or because its thread was ended. */
    | ({
        readonly type: "task.stopped";
        readonly how: string;
        readonly afterMs: number;
        readonly spent?: Readonly<Record<string, number>>;
      } & OfAttempt)
    | ({
        readonly type: "child.finished";
        readonly childId: string;
        readonly outcome: TaskOutcome;
      } & OfTask)
    | ({ readonly type: "child.undone"; readonly childId: string } & OfTask)
    | ({ readonly type: "retry.due" } & OfAttempt)
    | ({
        readonly type: "timeout.due";
        readonly limit: "schedule-to-start" | "schedule-to-close" | "start-to-close";
      } & OfAttempt)
    | ({ readonly type: "sleep.due" } & OfAttempt)
    | ({ readonly type: "undo.due" } & OfAttempt)
    | { readonly type: "chart.due"; readonly timer: string; readonly event: Json }
    | { readonly type: "budget.due" }
  );

/** What the shell does after the commit of a turn. Performing twice must be harmless. */
export type RunEffect =
  | {
      readonly type: "dispatch";
      readonly taskKey: string;
      readonly attempt: number;
      /** Undoes the task instead of doing it. */
      readonly undo?: boolean;
      /** It runs on the owner's node, without the queue; the task says `running` already. */
      readonly local?: boolean;
    }
  | {
      readonly type: "abort";
      readonly taskKey: string;
      readonly attempt: number;
      /** Until its thread is ended; absent: as its runner sees fit. */
      readonly graceMs?: number;
      /** Incarnation of the node that has the attempt in hand. */
      readonly node: string | null;
    }
  | {
      readonly type: "start-child";
      readonly taskKey: string;
      readonly childId: string;
      readonly workflow: string;
      readonly input: Json;
      readonly priority: number;
    }
  | { readonly type: "command-child"; readonly childId: string; readonly event: Json }
  | {
      readonly type: "open-approval";
      readonly taskKey: string;
      readonly expiresAtMs: number | null;
    }
  | { readonly type: "tell-parent"; readonly workflowId: string; readonly event: Json };

export interface JournalDraft {
  readonly seq: number;
  readonly type: string;
  readonly atMs: number;
  readonly actor: string;
  readonly payload: Json;
  /** What it changed; see `Patch`. */
  readonly patch: Patch;
}

/** A difference of run states. Outputs are not in it: they stand with their tasks and never change. */
export interface Patch {
  readonly run?: Partial<RunFields>;
  /** A new task is whole. */
  readonly tasks?: Readonly<Record<string, Partial<TaskState>>>;
  /** The last entry of its event: nothing of what the event set off is missing. A fork begins after one. */
  readonly whole?: true;
  /** Null: gone. */
  readonly timers?: Readonly<Record<string, RunTimer | null>>;
}

export interface InitialOptions {
  readonly priority?: number;
  readonly input?: Json;
  readonly parent?: RunFields["parent"];
}

/** A run before its first event: no stage has begun, so there is a row for each task, all blocked. */
export function initialRun(id: string, plan: RunPlan, options: InitialOptions = {}): RunState {
  const tasks = new Map<string, TaskState>();
  for (const key of plan.tasks.keys()) tasks.set(key, blockedTask(key, key, 1));
  return {
    id,
    status: "pending",
    place: "",
    priority: options.priority ?? defaultPriority,
    seq: 0,
    startedAtMs: null,
    finishedAtMs: null,
    error: null,
    input: options.input ?? {},
    output: null,
    chart: null,
    signals: [],
    spent: {},
    raised: {},
    rollback: null,
    pause: null,
    stoodMs: 0,
    parent: options.parent ?? null,
    tasks,
    timers: new Map(),
    outputs: new Map(),
    ...derive(tasks.values(), plan),
  };
}

export function blockedTask(
  key: string,
  plan: string,
  iteration: number,
  item: { readonly index: number; readonly value: Json } | null = null,
): TaskState {
  return {
    key,
    plan,
    iteration,
    index: item?.index ?? null,
    item: item?.value ?? null,
    items: null,
    left: null,
    admitted: null,
    inside: null,
    status: "blocked",
    attempt: 0,
    failures: 0,
    deaths: 0,
    scheduledAtMs: null,
    readyAtMs: null,
    startedAtMs: null,
    finishedAtMs: null,
    node: null,
    error: null,
    priority: null,
    urgent: false,
    unknownOutcome: false,
    stopping: false,
    childId: null,
  };
}

/** `main`, or `main#2` for its second iteration. */
export function stageInstance(stage: string, iteration: number): string {
  return iteration === 1 ? stage : `${stage}#${iteration}`;
}

/** `scan`, `scan#2`, `scan[7]`, `scan#2[7]`. */
export function taskInstance(plan: string, iteration: number, index: number | null = null): string {
  return `${stageInstance(plan, iteration)}${index === null ? "" : `[${index}]`}`;
}

/** In which count of its stage a task is; undefined for instances, which their group stands for. */
export function countOf(task: TaskState): keyof StageCount | undefined {
  if (task.index !== null || isSatisfied(task.status)) return undefined;
  if (task.status === "blocked") return "blocked";
  return isOpen(task.status) ? "moving" : "bad";
}

/** True while an attempt of an agent may be under way: what slots are counted by. */
export function isAtWork(task: TaskState, plan: RunPlan): boolean {
  const planned = plan.tasks.get(task.plan);
  if (task.status === "compensating") return !isUndoneByChild(planned);
  if (planned?.kind !== "action" || task.left !== null) return false;
  return task.stopping || isInFlight(task.status);
}

/** True when what undoes the task is the rollback of the run that it started. */
export function isUndoneByChild(planned: PlanTask | undefined): boolean {
  return planned?.kind === "workflow" && planned.compensate?.agent === "";
}

/** What a task that no agent carries waits for: `child`, `signal/NAME`, or `go` (ready, and the run is paused). */
export function waitOf(task: TaskState, plan: RunPlan): string | undefined {
  const planned = plan.tasks.get(task.plan);
  if (planned === undefined || planned.kind === "action" || task.left !== null) return undefined;
  if (task.status === "ready") return "go";
  if (task.status !== "running") return undefined;
  if (planned.kind === "workflow") return "child";
  return planned.kind === "signal" ? `signal/${planned.signal}` : undefined;
}

/** What a run knows of its tasks by counting: needed once, when it is loaded. */
export function derive(
  tasks: Iterable<TaskState>,
  plan: RunPlan,
): Pick<RunState, "counts" | "inFlight" | "waiting"> {
  const waits: { readonly task: TaskState; readonly name: string }[] = [];
  const counts = new Map<string, StageCount>();
  let inFlight = 0;
  for (const task of tasks) {
    if (isAtWork(task, plan)) inFlight += 1;
    const name = waitOf(task, plan);
    if (name !== undefined) waits.push({ task, name });
    const kind = countOf(task);
    const stage = stageInstance(plan.tasks.get(task.plan)?.stage ?? "", task.iteration);
    const count = counts.get(stage) ?? { moving: 0, blocked: 0, bad: 0 };
    counts.set(stage, kind === undefined ? count : { ...count, [kind]: count[kind] + 1 });
  }
  waits.sort((a, b) => (a.task.startedAtMs ?? 0) - (b.task.startedAtMs ?? 0));
  const waiting = new Map<string, Set<string>>();
  for (const { task, name } of waits) {
    waiting.set(name, (waiting.get(name) ?? new Set()).add(task.key));
  }
  return { counts, inFlight, waiting };
}
