/**
 * How a workflow is written: stages of tasks, and the statechart that orders the stages.
 * A definition is plain JSON once made, so that it can be stored by its content hash and a run
 * can be pinned to it.
 *
 * @module
 */

import type { Json } from "../machines/error-code.ts";

/** A value that is filled in when the task becomes ready. */
export type Ref =
  | { readonly $param: string }
  | { readonly $output: string; readonly path?: string };

/** Reads a workflow input. */
export function param(name: string): Ref {
  return { $param: name };
}

/** Reads the output of a finished task; `path` is dotted, as in `profile.messages`. */
export function output(task: string, path?: string): Ref {
  return path === undefined ? { $output: task } : { $output: task, path };
}

export type TaskInput = Json | Ref | { readonly [key: string]: TaskInput };

export interface RetryPolicy {
  /**
   * Runs in all, the first one included. Default 5, waiting 0.5, 1, 2 and 4 s: a server that is away
   * for a few seconds costs no run.
   */
  readonly attempts: number;
  readonly backoff: "fixed" | "exponential";
  readonly initialMs: number;
  readonly maxMs: number;
}

export interface TaskDefinition {
  /** `AGENT.action`. */
  readonly do: string;
  readonly title: string;
  /** Keys of tasks of the same workflow that must have succeeded (or been skipped) before. */
  readonly after?: readonly string[];
  readonly with?: { readonly [key: string]: TaskInput };
  /** 1 (background) to 5 (critical). Default 3. */
  readonly priority?: 1 | 2 | 3 | 4 | 5;
  readonly retry?: Partial<RetryPolicy>;
  readonly timeouts?: {
    /** From the start of an attempt to its end. Default 10 minutes. */
    readonly startToCloseMs?: number;
  };
  /** `fail` (default) fails the stage; `skip` marks the task skipped and goes on. */
  readonly onFailure?: "fail" | "skip";
}

export interface StageDefinition {
  readonly title: string;
  readonly tasks: Readonly<Record<string, TaskDefinition>>;
}

/** An XState machine config as JSON: each state may invoke one stage by `src`. */
export interface StatechartConfig {
  readonly initial: string;
  readonly states: Readonly<
    Record<
      string,
      {
        readonly type?: "final";
        readonly invoke?: {
          readonly src: string;
          readonly id: string;
          readonly onDone: string;
          readonly onError: string;
        };
      }
    >
  >;
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
