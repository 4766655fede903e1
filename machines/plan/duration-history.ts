/**
 * What is known of how long tasks take, and what a plan makes of it.
 *
 * @module
 */

import type { Json } from "../error-code.ts";
import type { PlanTask } from "../run/plan.ts";
import { refsOf, resolve } from "../run/values.ts";
import {
  actionEstimate,
  type DurationEstimate,
  type DurationStats,
  guessedEstimate,
  knownDuration,
  observedEstimate,
} from "./duration-estimate.ts";

export interface TaskHistory {
  /** Of the attempts that succeeded, in ms; undefined when none has. */
  readonly durations: DurationStats | undefined;
  /** Failed attempts per task. */
  readonly failures: number;
  /** Of the items that its group had; undefined when it has none. */
  readonly items: DurationStats | undefined;
}

export interface DurationHistory {
  /** By key of the task in the definition. */
  readonly tasks: ReadonlyMap<string, TaskHistory>;
  /** By `AGENT.action`. */
  readonly actions: ReadonlyMap<string, DurationStats>;
}

export const noHistory: DurationHistory = { tasks: new Map(), actions: new Map() };

/** What is assumed of tasks that never ran, in ms: people take longer than machines. */
const guesses: Readonly<Record<PlanTask["kind"], number>> = {
  action: 5_000,
  workflow: 60_000,
  signal: 3_600_000,
  approval: 3_600_000,
  sleep: 60_000,
};
/** Items of a group that never ran and whose list is not known yet. */
const guessedItems = 10;

export function estimateOf(
  planned: PlanTask,
  history: DurationHistory,
  input: Json,
): DurationEstimate {
  const sleepMs = planned.kind === "sleep" ? knownSleepMs(planned.sleepMs, input) : undefined;
  if (sleepMs !== undefined) return knownDuration(sleepMs);
  const own = history.tasks.get(planned.key)?.durations;
  if (own !== undefined) return observedEstimate(own);
  const action = history.actions.get(`${planned.agent}.${planned.action}`);
  if (planned.kind === "action" && action !== undefined) return actionEstimate(action);
  return guessedEstimate(guesses[planned.kind]);
}

function knownSleepMs(template: unknown, input: Json): number | undefined {
  if (refsOf(template).some(({ kind }) => kind !== "param")) return undefined;
  try {
    const ms = resolve(template, { input, output: () => undefined });
    return typeof ms === "number" && ms >= 0 ? ms : undefined;
  } catch {
    return undefined;
  }
}

/** Of `n` attempts that fail for each that succeeds, the chance of one to fail. */
export function failureRateOf(key: string, history: DurationHistory): number {
  const perTask = history.tasks.get(key)?.failures ?? 0;
  return perTask / (1 + perTask);
}

/** @param tasks Of the group: the first that was seen tells. */
export function expectedItems(tasks: readonly string[], history: DurationHistory): number {
  for (const key of tasks) {
    const items = history.tasks.get(key)?.items;
    if (items !== undefined) return Math.max(1, Math.round(Math.exp(items.logMean)));
  }
  return guessedItems;
}
