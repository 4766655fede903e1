/**
 * How a workflow is written: stages of tasks, and the statechart that orders the stages.
 * A definition is plain JSON once made, so that it can be stored by its content hash and a run
 * can be pinned to it.
 *
 * @module
 */

import type { Json } from "../machines/error-code.ts";
import type { RunConcurrency } from "../machines/flow-options.ts";
import type { Condition } from "../machines/run/values.ts";
import { normalMachine } from "./machine-config.ts";
import type { Agents, CheckedStages, CheckedTasks, Tasks } from "./typed-workflow.ts";
import type { Ref, TaskInput } from "./workflow-values.ts";

export type { Ref, TaskInput } from "./workflow-values.ts";
export { item, output, param } from "./workflow-values.ts";

export interface RetryPolicy {
  /**
   * Runs in all, the first one included. Default 5, waiting 0.5, 1, 2 and 4 s: a server that is away
   * for a few seconds costs no run.
   */
  readonly attempts: number;
  readonly backoff: "fixed" | "exponential";
  readonly initialMs: number;
  readonly maxMs: number;
  /** Part of each delay that chance may take away, 0 to 1. Default 0.5. */
  readonly jitter: number;
  /** No attempt begins later than this after the task was first ready. */
  readonly totalMs: number;
  /** Error codes that are not repeated. */
  readonly nonRetryable: readonly string[];
}

export interface TaskTimeouts {
  /** From ready to started, of each attempt. */
  readonly scheduleToStartMs?: number;
  /** From the start of an attempt to its end. Default 10 minutes. */
  readonly startToCloseMs?: number;
  /** From first ready to the end, over all attempts; for a signal or an approval, how long it is waited for. */
  readonly scheduleToCloseMs?: number;
  /** Between two heartbeats of an attempt. */
  readonly heartbeatMs?: number;
}

/** What one task does: exactly one of `do`, `workflow`, `signal`, `approval`, `sleepMs`. */
export interface TaskDefinition {
  /** `AGENT.action`. */
  readonly do?: string;
  /** Id of a registered workflow that runs as a child; `with` is its input, its output is the task's. */
  readonly workflow?: string;
  /** Waits for a signal of this name; its payload is the output. */
  readonly signal?: string;
  /** Waits until a person, or a URL with a token, approves; the payload is the output. */
  readonly approval?: { readonly title: string };
  /** Waits this long, durably. */
  readonly sleepMs?: number | Ref;
  /** Default: the task's key. */
  readonly title?: string;
  /** Keys of tasks of the same workflow that must have succeeded (or been skipped) before. */
  readonly after?: readonly string[];
  readonly with?: { readonly [key: string]: TaskInput };
  /** Skipped unless it holds when the task could begin. */
  readonly when?: Condition;
  /** A list; each item gets an instance of the task, and the outputs are merged in the list's order. */
  readonly forEach?: Ref | readonly Json[];
  /** Instances of `forEach` at once. Default: as many as the workflow allows. */
  readonly window?: number;
  /** 1 (background) to 5 (critical). Default 3. */
  readonly priority?: 1 | 2 | 3 | 4 | 5;
  readonly retry?: Partial<RetryPolicy>;
  readonly timeouts?: TaskTimeouts;
  /**
   * What an attempt that is told to stop (cancel, time limit) may take to end by itself, before its
   * thread is ended. Default: as its agent's `limits.graceMs` says, else 3 s.
   */
  readonly graceMs?: number;
  /**
   * What a final failure means. `fail` (default) fails the stage; `skip` marks the task skipped and
   * goes on; `rollback` undoes what finished and fails the run; `escalate` parks the task for an
   * operator; `{ run }` lets another task take its place.
   */
  readonly onFailure?: "fail" | "skip" | "rollback" | "escalate" | { readonly run: string };
  /** What a rollback calls: true for the action's own `compensate`, or another `AGENT.action`. */
  readonly compensate?: boolean | string;
  /** `atMostOnce`: an attempt of unknown outcome parks the task instead of repeating it. */
  readonly delivery?: "atLeastOnce" | "atMostOnce";
  /** A short task: runs on the node that owns the run, without the queue. As durable, as isolated. */
  readonly local?: boolean;
  /**
   * Attempts with the same key, filled in, share a limit over all runs and nodes; the parts of a list
   * are joined by slashes. Reads inputs, and in a task with `forEach` the item.
   */
  readonly concurrencyKey?: TaskInput;
  /** Attempts of the key in flight at once. Default: what the configuration says of it, else 1. */
  readonly concurrencyLimit?: number;
}

export interface StageDefinition {
  readonly title: string;
  readonly tasks: Readonly<Record<string, TaskDefinition>>;
  /** A pipeline: each item streams through the tasks, in their order. */
  readonly items?: Ref | readonly Json[];
  /** Items that have begun and not left the pipeline, at most. Default 16. */
  readonly buffer?: number;
}

/**
 * An XState machine config as JSON. `invoke.src` names a stage; states may nest, run in parallel, have
 * `after`, `on`, `always` and history. Guards are `{ type: "when", params: Condition }`, actions
 * `{ type: "set", params: { … } }`, which puts values into the context.
 */
export interface StatechartConfig {
  readonly initial?: string;
  readonly type?: "parallel";
  readonly context?: Json;
  readonly states: Readonly<Record<string, ChartNode>>;
}

export interface ChartInvoke {
  readonly src: string;
  readonly id: string;
  readonly onDone?: ChartTransitions;
  readonly onError?: ChartTransitions;
}

export type ChartTransitions = string | ChartTransition | readonly (string | ChartTransition)[];

export interface ChartTransition {
  readonly target?: string | readonly string[];
  readonly guard?: { readonly type: "when"; readonly params: Condition };
  readonly actions?: ChartAction | readonly ChartAction[];
  readonly reenter?: boolean;
}

export interface ChartAction {
  readonly type: "set";
  readonly params: { readonly [key: string]: TaskInput };
}

export interface ChartNode {
  /** For targets from anywhere: `#id`. */
  readonly id?: string;
  readonly type?: "final" | "parallel" | "history" | "atomic" | "compound";
  readonly initial?: string;
  readonly history?: "shallow" | "deep";
  readonly target?: string;
  readonly invoke?: ChartInvoke | readonly ChartInvoke[];
  readonly on?: Readonly<Record<string, ChartTransitions>>;
  readonly after?: Readonly<Record<string, ChartTransitions>>;
  readonly always?: ChartTransitions;
  readonly onDone?: ChartTransitions;
  readonly entry?: ChartAction | readonly ChartAction[];
  readonly exit?: ChartAction | readonly ChartAction[];
  readonly states?: Readonly<Record<string, ChartNode>>;
}

/** A limit in a unit: `wallMs`, `tasks`, or what agents spend with `ctx.spend`. */
export interface BudgetDefinition {
  /** Warns in the journal. */
  readonly soft?: number;
  /** Pauses the run, or fails it: see `onBudget`. */
  readonly hard?: number;
}

export interface WorkflowDefinition {
  /** Lower case: `phase1`. */
  readonly id: string;
  readonly title: string;
  /** Names of required inputs. */
  readonly params: readonly string[];
  readonly maxParallel: number;
  readonly statechart: StatechartConfig;
  readonly stages: Readonly<Record<string, StageDefinition>>;
  /** The run's output, filled in when it completes. */
  readonly output?: TaskInput;
  readonly budget?: Readonly<Record<string, BudgetDefinition>>;
  /** Default `pause`. */
  readonly onBudget?: "pause" | "fail";
  /** How many runs may be open at once, and what a start beyond that does. Default: no limit. */
  readonly concurrency?: RunConcurrency;
}

/** What a workflow says besides its tasks; what may be left out has a default. */
export interface RunOptions {
  /** Lower case: `album`. */
  readonly id: string;
  /** Default: the id. */
  readonly title?: string;
  /** Names of the inputs; each is required. */
  readonly params?: readonly string[];
  /** Tasks in flight at once. Default 8. */
  readonly maxParallel?: number;
  readonly output?: TaskInput;
  readonly budget?: WorkflowDefinition["budget"] & {};
  readonly onBudget?: "pause" | "fail";
  readonly concurrency?: RunConcurrency;
}

/**
 * How tasks follow each other: `parallel` (default) as their `after` says; `sequential` one after the
 * other as they are written; `pipeline` sends each of `items` through all of them.
 */
export type Mode = "parallel" | "sequential" | "pipeline";

export interface TaskGraph {
  readonly mode?: Mode;
  readonly tasks: Readonly<Record<string, TaskDefinition>>;
  /** Of a pipeline: a list, or a reference to one. */
  readonly items?: Ref | readonly Json[];
  /** Of a pipeline: items that have begun and not come through, at most. Default 16. */
  readonly buffer?: number;
}

export interface StageOptions extends TaskGraph {
  /** Default: the stage's name. */
  readonly title?: string;
}

export type Stages = Readonly<Record<string, StageOptions>>;

const defaultMaxParallel = 8;

/** What the compiler checks a workflow against; nothing of it is stored. */
interface TypedOptions<A extends Agents, P extends readonly string[]> extends RunOptions {
  /** By name, as `{ SCANNER, THUMBNAILER }`: then actions, inputs, outputs and paths are typed. */
  readonly agents?: A;
  readonly params?: P;
}

/**
 * Stages that a statechart orders: any XState machine, whose invoked `src` are `AGENT.action`,
 * `workflow:ID`, or names of `stages`. Without a machine the stages are a chain.
 * @throws {TypeError} Naming everything in the machine that is not data, and what to write instead.
 */
export function defineStatechart<
  const S extends Stages,
  A extends Agents = Agents,
  const P extends readonly string[] = readonly [],
>(
  options: TypedOptions<A, P> & {
    readonly stages?: CheckedStages<A, P, S>;
    /** An XState config, or a machine of `createMachine`, of which the config is taken. */
    readonly machine?: object;
    readonly statechart?: StatechartConfig;
  },
): WorkflowDefinition {
  const { machine, stages, statechart, ...rest } = options;
  const given = (stages ?? {}) as Stages;
  if (machine === undefined) {
    // The whole form, as it is stored: nothing about it is filled in.
    if (statechart !== undefined) return complete(rest, statechart, given as WholeStages);
    const chained = stagesOf(options.id, given);
    return complete(rest, chain(options.id, Object.keys(chained)), chained);
  }
  const normal = normalMachine(machine, Object.keys(given));
  if (normal.problems.length > 0) {
    const lines = normal.problems.map(({ path, detail }) => `${path.join(".")} ${detail}`);
    throw new TypeError(`Cannot define workflow "${options.id}": ${lines.join("; ")}`);
  }
  return complete(rest, normal.statechart, { ...stagesOf(options.id, given), ...normal.stages });
}

/**
 * One graph of tasks; or a chain of `stages`, as `defineStatechart` makes it.
 * @throws {TypeError} When mode and items contradict each other.
 */
export function defineWorkflow<
  const T extends Tasks,
  const S extends Stages,
  A extends Agents = Agents,
  const P extends readonly string[] = readonly [],
  const I extends Ref | readonly Json[] | undefined = undefined,
>(
  options: TypedOptions<A, P> &
    (
      | (Omit<TaskGraph, "tasks" | "items"> & {
          readonly tasks: CheckedTasks<A, P, T, I>;
          readonly items?: I;
        })
      | { readonly stages: CheckedStages<A, P, S> }
    ),
): WorkflowDefinition {
  if ("stages" in options) {
    const { stages, ...rest } = options;
    const chained = stagesOf(options.id, stages as Stages);
    return complete(rest, chain(options.id, Object.keys(chained)), chained);
  }
  const { mode, tasks, items, buffer, ...rest } = options;
  const { id, title = id } = options;
  const graph = { title, mode, tasks, items, buffer } as StageOptions;
  return complete(rest, chain(id, ["main"]), { main: stageOf(id, title, graph) });
}

type WholeStages = WorkflowDefinition["stages"];

function complete(
  { agents: _agents, ...options }: TypedOptions<Agents, readonly string[]>,
  statechart: StatechartConfig,
  stages: WholeStages,
): WorkflowDefinition {
  const { id, title = id, params = [], maxParallel = defaultMaxParallel, ...rest } = options;
  return { id, title, params, maxParallel, statechart, stages, ...rest };
}

function chain(id: string, names: readonly string[]): StatechartConfig {
  const taken = names.find((name) => name === "completed" || name === "failed");
  if (taken !== undefined) {
    throw new TypeError(`Cannot define workflow "${id}": a stage cannot be called "${taken}"`);
  }
  const states: Record<string, ChartNode> = {};
  for (const [index, name] of names.entries()) {
    const next = names[index + 1] ?? "completed";
    states[name] = { invoke: { src: name, id: name, onDone: next, onError: "failed" } };
  }
  states["completed"] = { type: "final" };
  states["failed"] = { type: "final" };
  return { initial: names[0] ?? "completed", states };
}

function stagesOf(id: string, stages: Stages): WholeStages {
  return Object.fromEntries(
    Object.entries(stages).map(([name, stage]) => [name, stageOf(id, name, stage)]),
  );
}

function stageOf(id: string, name: string, stage: StageOptions): StageDefinition {
  const { buffer, items, mode, tasks, title = name } = stage;
  const isPipeline = (mode ?? (items === undefined ? "parallel" : "pipeline")) === "pipeline";
  if (isPipeline !== (items !== undefined)) {
    const why = isPipeline ? "a pipeline needs `items`" : `only a pipeline has \`items\``;
    throw new TypeError(`Cannot define workflow "${id}": ${why} ("${name}")`);
  }
  const keys = Object.keys(tasks);
  const titled = Object.entries(tasks).map(([key, task], index) => {
    const before = keys[index - 1];
    const isNext = mode === "sequential" && before !== undefined;
    const after = isNext ? { after: [...new Set([...(task.after ?? []), before])] } : {};
    return [key, { ...task, title: task.title ?? key, ...after }];
  });
  return {
    title,
    tasks: Object.fromEntries(titled),
    ...(items === undefined ? {} : { items }),
    ...(buffer === undefined ? {} : { buffer }),
  };
}
