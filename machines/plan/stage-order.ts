/**
 * Which stages a run will pass when everything goes well: its statechart, walked ahead of time.
 *
 * A guess where guards read what is not known yet: outputs count as null. A chart that waits for a
 * signal is followed no further.
 *
 * @module
 */

import type { Json } from "../error-code.ts";
import { type ChartState, type ChartStep, chartStart, chartStep } from "../run/chart-machine.ts";
import type { RunPlan } from "../run/plan.ts";
import { stageInstance } from "../run/state.ts";

/** Stages that are looked ahead at most: a chart may loop. */
const visitLimit = 200;

/** One pass through a stage. */
export interface StageVisit {
  /** `main`, `main#2`. */
  readonly instance: string;
  readonly stage: string;
  readonly iteration: number;
  /** Instances that end before it begins. */
  readonly after: readonly string[];
  /** How long the chart waits before it, by a timer of its own. */
  readonly delayMs: number;
}

export interface StageOrder {
  /** Those that are active or come, in the order in which they begin. */
  readonly visits: readonly StageVisit[];
  /** True when the walk came to the chart's end; false: it waits for a signal, or goes on for very long. */
  readonly complete: boolean;
}

interface Walk {
  chart: ChartState;
  /** Ended, and nothing has begun because of it yet: what begins next waits for it too. */
  ended: string[];
  readonly active: Map<string, string>;
  readonly timers: Map<string, { delayMs: number; event: Json }>;
  readonly visits: StageVisit[];
  done: boolean;
}

/** Timers of a chart that run already, by id: how long they still take, and what they tell the chart. */
export type ChartTimers = ReadonlyMap<string, { readonly delayMs: number; readonly event: Json }>;

/** @param chart Where the run is; null before its start. */
export function stageOrder(
  plan: RunPlan,
  chart: ChartState | null,
  input: Json,
  timers: ChartTimers = new Map(),
): StageOrder {
  const scope = { input, output: () => undefined };
  const walk: Walk = {
    chart: chart ?? { value: "", context: null, invoked: {}, entered: {}, history: {} },
    ended: [],
    active: new Map(),
    timers: new Map(timers),
    visits: [],
    done: false,
  };
  try {
    if (chart === null) follow(walk, chartStart(plan.chart, scope), null, 0);
    else
      for (const [id, instance] of Object.entries(chart.invoked)) join(walk, id, instance, [], 0);
    while (!walk.done && walk.visits.length < visitLimit) {
      const [next] = walk.active;
      if (next !== undefined) {
        const [id, instance] = next;
        walk.active.delete(id);
        const event = { type: `xstate.done.actor.${id}`, output: null };
        follow(walk, chartStep(plan.chart, walk.chart, event, scope), instance, 0);
      } else {
        const [first] = [...walk.timers].sort(([, a], [, b]) => a.delayMs - b.delayMs);
        if (first === undefined) break;
        const [id, { delayMs, event }] = first;
        walk.timers.delete(id);
        follow(walk, chartStep(plan.chart, walk.chart, event, scope), null, delayMs);
      }
    }
  } catch {
    // A guard reads what is not there before the run is: the plan ends where nothing is known.
    return { visits: walk.visits, complete: false };
  }
  return { visits: walk.visits, complete: walk.done };
}

function follow(walk: Walk, step: ChartStep, ended: string | null, delayMs: number): void {
  const { context, history, value } = step;
  walk.chart = { ...walk.chart, value, context, history };
  if (ended !== null) walk.ended.push(ended);
  walk.done = step.done;
  const before = walk.ended;
  for (const effect of step.effects) {
    switch (effect.type) {
      case "stop":
        walk.active.delete(effect.id);
        break;
      case "cancel-timer":
        walk.timers.delete(effect.id);
        break;
      case "timer":
        walk.timers.set(effect.id, effect);
        break;
      case "invoke": {
        const iteration = (walk.chart.entered[effect.src] ?? 0) + 1;
        walk.chart = {
          ...walk.chart,
          entered: { ...walk.chart.entered, [effect.src]: iteration },
          invoked: { ...walk.chart.invoked, [effect.id]: stageInstance(effect.src, iteration) },
        };
        join(walk, effect.id, stageInstance(effect.src, iteration), before, delayMs);
        walk.ended = [];
        break;
      }
    }
  }
}

function join(
  walk: Walk,
  id: string,
  instance: string,
  after: readonly string[],
  delayMs: number,
): void {
  const [stage = "", iteration = "1"] = instance.split("#");
  walk.active.set(id, instance);
  walk.visits.push({ instance, stage, iteration: Number(iteration), after, delayMs });
}
