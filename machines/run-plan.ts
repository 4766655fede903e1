/**
 * A workflow definition as the engine's core sees it: stages of tasks with their dependencies, and
 * the statechart that orders the stages.
 *
 * @module
 */

import {
  type AnyStateMachine,
  createMachine,
  fromTransition,
  initialTransition,
  transition,
} from "xstate";

/** How long an attempt may take when its task does not say. */
export const defaultStartToCloseMs = 600_000;
/** Of tasks and of runs; 1 is background, 5 is critical. */
export const defaultPriority = 3;

export interface PlanTask {
  readonly key: string;
  readonly stage: string;
  readonly agent: string;
  readonly action: string;
  readonly after: readonly string[];
  /** 1 (background) to 5 (critical). */
  readonly priority: number;
  /** Failed attempts after which the task fails; from 1. */
  readonly maxFailures: number;
  readonly backoff: { readonly kind: "fixed" | "exponential"; initialMs: number; maxMs: number };
  readonly startToCloseMs: number;
  readonly onFailure: "fail" | "skip";
}

/** An XState config whose states invoke stages by name. */
interface Statechart {
  readonly initial: string;
  readonly states: Readonly<Record<string, object>>;
}

export interface RunPlan {
  readonly tasks: ReadonlyMap<string, PlanTask>;
  /** Keys of the tasks that wait for this one, by key: readiness costs O(out-degree). */
  readonly dependents: ReadonlyMap<string, readonly string[]>;
  readonly stages: ReadonlyMap<string, readonly string[]>;
  readonly maxParallel: number;
  readonly chart: AnyStateMachine;
}

export function createPlan(
  tasks: readonly PlanTask[],
  statechart: Statechart,
  maxParallel: number,
): RunPlan {
  const byKey = new Map<string, PlanTask>();
  const dependents = new Map<string, string[]>();
  const stages = new Map<string, string[]>();
  for (const task of tasks) {
    byKey.set(task.key, task);
    const stage = stages.get(task.stage) ?? [];
    stage.push(task.key);
    stages.set(task.stage, stage);
    for (const dependency of task.after) {
      const list = dependents.get(dependency) ?? [];
      list.push(task.key);
      dependents.set(dependency, list);
    }
  }
  // XState wants logic for each invoked `src`; the engine runs the stages itself and feeds the outcome.
  const stage = fromTransition((state: null) => state, null);
  const chart = createMachine(
    { initial: statechart.initial, states: statechart.states as Record<string, object> },
    { actors: Object.fromEntries([...stages.keys()].map((name) => [name, stage])) },
  );
  return { tasks: byKey, dependents, stages, maxParallel, chart };
}

/** A place in the statechart: the state's name, and the stage that it invokes, if any. */
export interface ChartPlace {
  readonly state: string;
  readonly stage: string | undefined;
  readonly done: boolean;
}

function placeOf(plan: RunPlan, state: string): ChartPlace {
  const config = plan.chart.config.states?.[state];
  const invoke = config?.invoke as { readonly src?: string } | undefined;
  return { state, stage: invoke?.src, done: config?.type === "final" };
}

export function initialPlace(plan: RunPlan): ChartPlace {
  const [snapshot] = initialTransition(plan.chart);
  return placeOf(plan, String(snapshot.value));
}

/** Where the statechart goes when the stage of `state` ended well or badly. */
export function nextPlace(plan: RunPlan, state: string, outcome: "done" | "error"): ChartPlace {
  const from = plan.chart.resolveState({ value: state, context: {} });
  const invoke = plan.chart.config.states?.[state]?.invoke as { readonly id?: string } | undefined;
  const [to] = transition(plan.chart, from, {
    type: `xstate.${outcome}.actor.${invoke?.id ?? state}`,
  });
  return placeOf(plan, String(to.value));
}
