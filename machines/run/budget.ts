/**
 * Budgets: what a run and its children may spend, in wall time, tasks, and units of their own.
 *
 * A hard limit is reached when all of it is spent: what runs may end, and no further task begins.
 * What a child spent counts for its parent once it has ended.
 *
 * @module
 */

import type { Draft } from "./draft.ts";
import { pauseRun } from "./pause.ts";
import { finish } from "./stages.ts";
import type { RunEvent, RunFields } from "./state.ts";

/** The hard limit that holds now: what an operator raised, or else the plan's; null: none. */
export function hardLimit(draft: Pick<Draft, "plan" | "run">, unit: string): number | null {
  return draft.run().raised[unit] ?? draft.plan.budget[unit]?.hard ?? null;
}

/** Milliseconds since the start during which the run's clocks ran. */
export function wallMs({ startedAtMs, pause, stoodMs }: RunFields, atMs: number): number {
  const until = pause?.clocks === "stop" ? pause.atMs : atMs;
  return startedAtMs === null ? 0 : Math.max(0, until - startedAtMs - stoodMs);
}

/** Adds to what is spent; crossing a soft limit warns. */
export function spend(
  draft: Draft,
  amounts: Readonly<Record<string, number>>,
  event: RunEvent,
): void {
  for (const [unit, amount] of Object.entries(amounts)) {
    if (unit === "tasks" && draft.plan.budget[unit] === undefined) continue;
    if (unit === "wallMs" || !(amount > 0)) continue;
    const before = draft.run().spent[unit] ?? 0;
    const after = before + amount;
    draft.set({ spent: { ...draft.run().spent, [unit]: after } });
    const soft = draft.plan.budget[unit]?.soft ?? null;
    if (soft !== null && before < soft && after >= soft) {
      draft.record(event, "budget.warning", { unit, spent: after, limit: soft });
    }
  }
}

/** After an event that spent something has had its effect: beyond a hard limit the run pauses, or fails. */
export function enforce(draft: Draft, event: RunEvent): void {
  for (const unit of Object.keys(draft.plan.budget)) {
    const hard = hardLimit(draft, unit);
    const spent = draft.run().spent[unit] ?? 0;
    if (hard !== null && spent > hard) return exceed(draft, unit, spent, hard, event);
  }
}

/** False when a limit is used up: then the run was paused, or has failed. */
export function affords(draft: Draft, event: RunEvent): boolean {
  for (const unit of Object.keys(draft.plan.budget)) {
    const hard = hardLimit(draft, unit);
    const spent = unit === "wallMs" ? wallMs(draft.run(), event.atMs) : draft.run().spent[unit];
    if (hard === null || (spent ?? 0) < hard) continue;
    exceed(draft, unit, spent ?? 0, hard, event);
    return false;
  }
  return true;
}

/** Sets the clocks of the budget's wall time, which stand still while the run does. */
export function armWallTime(draft: Draft, event: RunEvent): void {
  const { soft = null } = draft.plan.budget["wallMs"] ?? {};
  const hard = hardLimit(draft, "wallMs");
  const spent = wallMs(draft.run(), event.atMs);
  const due = { type: "budget.due", by: "timer" };
  if (hard !== null) draft.setTimer("budget", due, event.atMs + Math.max(0, hard - spent));
  if (soft !== null && spent < soft) draft.setTimer("budget/soft", due, event.atMs + soft - spent);
}

export function wallTimeDue(draft: Draft, event: RunEvent): void {
  const spent = Math.round(wallMs(draft.run(), event.atMs));
  const { soft = null } = draft.plan.budget["wallMs"] ?? {};
  const hard = hardLimit(draft, "wallMs");
  if (hard !== null && spent >= hard) return exceed(draft, "wallMs", spent, hard, event);
  if (soft !== null && spent >= soft) {
    draft.record(event, "budget.warning", { unit: "wallMs", spent, limit: soft });
  }
}

/** A rollback goes on whatever it costs. */
function exceed(draft: Draft, unit: string, spent: number, limit: number, event: RunEvent): void {
  const { status, rollback } = draft.run();
  if (status !== "running" || rollback !== null) return;
  const message = `Cannot go on: the budget of ${limit} ${unit} is used up (${spent})`;
  draft.record(event, "budget.exceeded", { unit, spent, limit });
  if (draft.plan.onBudget === "pause") {
    return pauseRun(draft, { clocks: "stop", budget: unit }, message, event);
  }
  draft.set({ error: { name: "Error", code: "BUDGET_EXCEEDED", message, retryable: false } });
  finish(draft, "failed", event);
}
