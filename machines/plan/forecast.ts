/**
 * When a run will end, with an interval: many executions in virtual time, with durations and failures
 * drawn from what is known of each task (Monte Carlo). The same seed gives the same answer.
 *
 * @module
 */

import type { RetryPlan } from "../run/plan.ts";
import { retryDelayMs } from "../run/retry.ts";
import {
  type DurationEstimate,
  drawDurationMs,
  drawLognormal,
  drawLongerThan,
  type Lognormal,
} from "./duration-estimate.ts";
import {
  type Attempt,
  limitedSchedule,
  type NodeStart,
  type Schedule,
} from "./limited-schedule.ts";
import { createRandom, type Random } from "./random-source.ts";
import type { WorkGraph } from "./work-graph.ts";

/** Samples of one forecast: fewer for large graphs, so that its cost stays bounded. */
const mostSamples = 400;
const fewestSamples = 60;
const sampledNodes = 200_000;
/** The interval holds this part of all samples. */
export const confidence = 0.95;

/** What is known of a node. */
export interface NodeForecast {
  readonly estimate: DurationEstimate;
  /** Chance that an attempt fails and is repeated, 0 to below 1. */
  readonly failureRate: number;
  /** The last attempt is taken to succeed. */
  readonly retry: RetryPlan;
  /** No attempt lasts longer: its timeout. */
  readonly longestMs: number;
  readonly state: NodeStart;
  /** For how long it has been running. */
  readonly elapsedMs: number;
}

export interface Interval {
  readonly expectedMs: number;
  readonly lowMs: number;
  readonly highMs: number;
}

/** Times count from now, in milliseconds. */
export interface Forecast {
  readonly finish: Interval;
  readonly samples: number;
  /** By index of the node: medians, and how often it decided when the whole ended (0 to 1). */
  readonly nodes: readonly {
    readonly startMs: number;
    readonly finishMs: number;
    readonly criticality: number;
  }[];
  readonly peakTasks: number;
  /** By pool: the median of the most units in use at once, and of units times milliseconds. */
  readonly use: ReadonlyMap<string, { readonly peak: number; readonly busyMs: number }>;
}

export interface ForecastOptions {
  readonly graph: WorkGraph;
  readonly pools: ReadonlyMap<string, number>;
  readonly nodes: readonly NodeForecast[];
  readonly seed: number;
}

/** A forecast in steps, so that a long one holds nobody up. */
export interface ForecastRun {
  /** Draws one more sample; false once there are enough. */
  step(): boolean;
  /** @throws {Error} Before the first sample. */
  result(): Forecast;
}

export function createForecast(options: ForecastOptions): ForecastRun {
  const count = options.graph.nodes.length;
  const wanted = Math.min(
    mostSamples,
    Math.max(fewestSamples, Math.floor(sampledNodes / Math.max(count, 1))),
  );
  const schedules: Schedule[] = [];
  const decided = new Float64Array(count);
  return {
    step: () => {
      // Each sample has its own source: one more node changes the others' draws of its sample only.
      const random = createRandom(options.seed + Math.imul(schedules.length + 1, 0x9e3779b1));
      const schedule = limitedSchedule(sampleOf(options, random));
      for (let node = schedule.last; node >= 0; node = schedule.drivenBy[node] ?? -1) {
        decided[node] = (decided[node] ?? 0) + 1;
      }
      schedules.push(schedule);
      return schedules.length < wanted;
    },
    result: () => summaryOf(schedules, decided),
  };
}

/** All samples at once. */
export function forecastOf(options: ForecastOptions): Forecast {
  const run = createForecast(options);
  while (run.step());
  return run.result();
}

function sampleOf({ graph, nodes, pools }: ForecastOptions, random: Random) {
  const parameters = new Map<DurationEstimate, Lognormal>();
  const planned = nodes.map((node) => {
    const drawn = parameters.get(node.estimate) ?? drawLognormal(node.estimate, random);
    parameters.set(node.estimate, drawn);
    return attemptsOf(node, drawn, random);
  });
  return {
    graph,
    pools,
    startOf: (index: number) => nodes[index]?.state ?? { type: "done" as const },
    attempt: (index: number, number: number): Attempt =>
      planned[index]?.[number - 1] ?? { durationMs: 0, retryAfterMs: null },
  };
}

function attemptsOf(node: NodeForecast, drawn: Lognormal, random: Random): Attempt[] {
  if (node.state.type === "done") return [];
  const attempts: Attempt[] = [];
  for (;;) {
    const isRunning = attempts.length === 0 && node.state.type === "running";
    const wholeMs = wholeDurationMs(node, isRunning, drawn, random);
    const leftMs = Math.min(wholeMs, node.longestMs) - (isRunning ? node.elapsedMs : 0);
    const fails = attempts.length + 1 < node.retry.maxFailures && random() < node.failureRate;
    const retryAfterMs = fails ? retryDelayMs(node.retry, attempts.length + 1, 0.5) : null;
    attempts.push({ durationMs: Math.max(leftMs, 0), retryAfterMs });
    if (!fails) return attempts;
  }
}

function wholeDurationMs(
  { elapsedMs, estimate }: NodeForecast,
  isRunning: boolean,
  drawn: Lognormal,
  random: Random,
): number {
  if (estimate.belief === undefined) return estimate.medianMs;
  return isRunning ? drawLongerThan(estimate, elapsedMs, random) : drawDurationMs(drawn, random);
}

function summaryOf(schedules: readonly Schedule[], decided: Float64Array): Forecast {
  const [first] = schedules;
  if (first === undefined) throw new Error("Cannot sum up a forecast: it has no samples yet");
  const ends = sorted(schedules.map(({ finishAllMs }) => finishAllMs));
  const tail = (1 - confidence) / 2;
  const pools = new Set(schedules.flatMap(({ use }) => [...use.keys()]));
  const middle = (figure: (schedule: Schedule) => number) =>
    quantile(sorted(schedules.map(figure)), 0.5);
  return {
    finish: {
      expectedMs: quantile(ends, 0.5),
      lowMs: quantile(ends, tail),
      highMs: quantile(ends, 1 - tail),
    },
    samples: schedules.length,
    nodes: Array.from(first.startMs, (_, index) => ({
      startMs: middle(({ startMs }) => startMs[index] ?? 0),
      finishMs: middle(({ finishMs }) => finishMs[index] ?? 0),
      criticality: (decided[index] ?? 0) / schedules.length,
    })),
    peakTasks: middle(({ peakTasks }) => peakTasks),
    use: new Map(
      [...pools].map((pool) => [
        pool,
        {
          peak: middle(({ use }) => use.get(pool)?.peak ?? 0),
          busyMs: middle(({ use }) => use.get(pool)?.busyMs ?? 0),
        },
      ]),
    ),
  };
}

function sorted(values: readonly number[]): Float64Array {
  return Float64Array.from(values).sort();
}

/** Between two values it is interpolated. */
function quantile(values: Float64Array, part: number): number {
  const position = part * (values.length - 1);
  const below = values[Math.floor(position)] ?? 0;
  const above = values[Math.ceil(position)] ?? below;
  return below + (above - below) * (position - Math.floor(position));
}
