/**
 * How long a task will take, from how long it took before.
 *
 * Durations are lognormal. What is known of their two parameters is a normal-inverse-gamma
 * distribution, so that few observations give wide intervals (Gelman et al., Bayesian Data Analysis, 3.3).
 *
 * @module
 */

import { drawGamma, drawNormal, type Random } from "./random-source.ts";

/** Observed durations, folded: count, mean and sum of squared distances of ln(ms) (Welford). */
export interface DurationStats {
  readonly count: number;
  readonly logMean: number;
  readonly logM2: number;
}

/** Where an estimate comes from: the task itself, its action elsewhere, the definition, or nothing. */
export type EstimateSource = "task" | "action" | "definition" | "guess";

/** What is known of the mean and the variance of ln(ms). */
export interface DurationEstimate {
  readonly source: EstimateSource;
  /** Observations behind it. */
  readonly count: number;
  readonly medianMs: number;
  /** Undefined when the duration is known, as that of a timer. */
  readonly belief: Belief | undefined;
}

/** Variance is inverse gamma (shape, scale); the mean, given the variance, normal with variance/weight. */
interface Belief {
  readonly mean: number;
  readonly weight: number;
  readonly shape: number;
  readonly scale: number;
}

/** Before any observation a deviation of ln(ms) near 0.3 is expected, and 1 is no surprise. */
const priorShape = 1.5;
const priorScale = 0.24;
/** Elsewhere an action may get other inputs: it tells as much as this many observations at most. */
const actionWeight = 2;
/** A deviation of ln(ms) near 1: a guess may be wrong by a factor of fifty. */
const guessScale = 2;
/** Shorter ones are measured as this; ln(0) does not exist. */
export const shortestMs = 0.1;
/** Tries to draw a duration that is longer than what has passed. */
const drawLimit = 40;

/** Folds one more duration. */
export function foldDuration(stats: DurationStats | undefined, durationMs: number): DurationStats {
  const value = Math.log(Math.max(durationMs, shortestMs));
  if (stats === undefined) return { count: 1, logMean: value, logM2: 0 };
  const count = stats.count + 1;
  const logMean = stats.logMean + (value - stats.logMean) / count;
  return { count, logMean, logM2: stats.logM2 + (value - stats.logMean) * (value - logMean) };
}

export function observedEstimate(stats: DurationStats): DurationEstimate {
  return {
    source: "task",
    count: stats.count,
    medianMs: Math.exp(stats.logMean),
    belief: {
      mean: stats.logMean,
      weight: stats.count,
      shape: priorShape + stats.count / 2,
      scale: priorScale + stats.logM2 / 2,
    },
  };
}

/** For a task that never ran: its action did, elsewhere. */
export function actionEstimate(stats: DurationStats): DurationEstimate {
  const weight = Math.min(stats.count, actionWeight);
  const logM2 = (stats.logM2 * weight) / stats.count;
  const like = observedEstimate({ count: weight, logMean: stats.logMean, logM2 });
  return { ...like, source: "action", count: stats.count };
}

export function guessedEstimate(medianMs: number): DurationEstimate {
  const mean = Math.log(Math.max(medianMs, shortestMs));
  const belief = { mean, weight: 1, shape: priorShape, scale: guessScale };
  return { source: "guess", count: 0, medianMs, belief };
}

/** For what takes a known time. */
export function knownDuration(durationMs: number): DurationEstimate {
  return { source: "definition", count: 0, medianMs: durationMs, belief: undefined };
}

/** Parameters of the lognormal: one draw holds for all tasks of a sample that share the estimate. */
export interface Lognormal {
  readonly mean: number;
  readonly deviation: number;
}

export function drawLognormal({ belief, medianMs }: DurationEstimate, random: Random): Lognormal {
  if (belief === undefined) return { mean: Math.log(Math.max(medianMs, shortestMs)), deviation: 0 };
  const variance = belief.scale / drawGamma(random, belief.shape);
  const mean = belief.mean + drawNormal(random) * Math.sqrt(variance / belief.weight);
  return { mean, deviation: Math.sqrt(variance) };
}

export function drawDurationMs({ mean, deviation }: Lognormal, random: Random): number {
  return Math.exp(mean + deviation * (deviation === 0 ? 0 : drawNormal(random)));
}

/**
 * A whole duration of which `elapsedMs` have passed already: parameters and duration are drawn again
 * until they fit, so a task that lasts longer than expected is expected to last longer still.
 */
export function drawLongerThan(
  estimate: DurationEstimate,
  elapsedMs: number,
  random: Random,
): number {
  let last: Lognormal = { mean: 0, deviation: 0 };
  for (let tries = 0; tries < drawLimit; tries += 1) {
    last = drawLognormal(estimate, random);
    const durationMs = drawDurationMs(last, random);
    if (durationMs > elapsedMs) return durationMs;
  }
  // Far beyond all that was seen: a distribution without memory of its beginning, of the scale of what passed.
  return elapsedMs * (1 + Math.max(last.deviation, 0.05) * -Math.log(1 - random()));
}
