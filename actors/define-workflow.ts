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

/** A value that is filled in when the task begins. */
export type Ref =
  | { readonly $param: string; readonly path?: string }
  | { readonly $output: string; readonly path?: string }
  | { readonly $item: true; readonly path?: string }
  | { readonly $index: true }
  | { readonly $context: true; readonly path?: string }
  | { readonly $event: true; readonly path?: string };

/** Reads a workflow input. */
export function param(name: string): Ref {
  return { $param: name };
}

/** Reads the output of a finished task; `path` is dotted, as in `profile.messages`. */
export function output(task: string, path?: string): Ref {
  return path === undefined ? { $output: task } : { $output: task, path };
}

/** In a task with `forEach`: the item that this instance works on. */
export function item(path?: string): Ref {
  return path === undefined ? { $item: true } : { $item: true, path };
}

export type TaskInput = Json | Ref | readonly TaskInput[] | { readonly [key: string]: TaskInput };

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

export type ChartTransitions = string | ChartTransition | readonly ChartTransition[];

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

/** Stages in their given order, as a chain of states that each invoke one stage. */
export function defineStatechart(options: {
  readonly id: string;
  readonly title: string;
  readonly params?: readonly string[];
  readonly maxParallel?: number;
  readonly stages: Readonly<Record<string, StageDefinition>>;
}): WorkflowDefinition {
  const names = Object.keys(options.stages);
  const states: Record<string, StatechartConfig["states"][string]> = {};
  for (const [index, name] of names.entries()) {
    const next = names[index + 1] ?? "completed";
    states[name] = { invoke: { src: name, id: name, onDone: next, onError: "failed" } };
  }
  states["completed"] = { type: "final" };
  states["failed"] = { type: "final" };
  return {
    id: options.id,
    title: options.title,
    params: options.params ?? [],
    maxParallel: options.maxParallel ?? 8,
    statechart: { initial: names[0] ?? "completed", states },
    stages: options.stages,
  };
}

/** One DAG: a statechart with a single stage called `main`. */
export function defineWorkflow(options: {
  readonly id: string;
  readonly title?: string;
  readonly params?: readonly string[];
  readonly maxParallel?: number;
  readonly tasks: Readonly<Record<string, TaskDefinition>>;
}): WorkflowDefinition {
  const title = options.title ?? options.id;
  return defineStatechart({ ...options, title, stages: { main: { title, tasks: options.tasks } } });
}
