/**
 * Budgets: what a run and its children may spend, in wall time, tasks, and units of their own.
 *
 * @module
 */

import type { Draft } from "./draft.ts";
import { finish } from "./stages.ts";
import type { RunEvent } from "./state.ts";

/** The hard limit that holds now: what an operator raised, or else the plan's; null: none. */
export function hardLimit(draft: Pick<Draft, "plan" | "run">, unit: string): number | null {
  return draft.run().raised[unit] ?? draft.plan.budget[unit]?.hard ?? null;
}

/** Adds to what is spent, and acts when a limit is crossed: a soft one warns, a hard one pauses or fails the run. */
export function spend(
  draft: Draft,
  amounts: Readonly<Record<string, number>>,
  event: RunEvent,
): void {
  for (const [unit, amount] of Object.entries(amounts)) {
    if (draft.plan.budget[unit] === undefined && unit === "tasks") continue;
    const before = draft.run().spent[unit] ?? 0;
    const after = before + amount;
    draft.set({ spent: { ...draft.run().spent, [unit]: after } });
    const soft = draft.plan.budget[unit]?.soft ?? null;
    if (soft !== null && before < soft && after >= soft) {
      draft.record(event, "budget.warning", { unit, spent: after, limit: soft });
    }
    const hard = hardLimit(draft, unit);
    if (hard !== null && after >= hard) exceed(draft, unit, after, hard, event);
  }
}

/** Starts the clock of the budget's wall time. */
export function armWallTime(draft: Draft, event: RunEvent): void {
  const limit = hardLimit(draft, "wallMs");
  const { startedAtMs } = draft.run();
  if (limit === null || startedAtMs === null) return;
  draft.setTimer(
    "budget",
    { type: "budget.due", by: "timer" },
    Math.max(startedAtMs + limit, event.atMs),
  );
}

export function wallTimeDue(draft: Draft, event: RunEvent): void {
  draft.clearTimer("budget");
  const limit = hardLimit(draft, "wallMs");
  if (limit !== null)
    exceed(draft, "wallMs", event.atMs - (draft.run().startedAtMs ?? event.atMs), limit, event);
}

function exceed(draft: Draft, unit: string, spent: number, limit: number, event: RunEvent): void {
  const { status } = draft.run();
  if (status !== "running") return;
  const message = `Cannot go on: the budget of ${limit} ${unit} is used up (${spent})`;
  draft.record(event, "budget.exceeded", { unit, spent, limit });
  if (draft.plan.onBudget === "fail") {
    draft.set({ error: { name: "Error", code: "BUDGET_EXCEEDED", message, retryable: false } });
    return finish(draft, "failed", event);
  }
  draft.set({
    status: "paused",
    pause: { atMs: event.atMs, clocks: "stop", drained: draft.inFlight() === 0 },
  });
  draft.record(event, "run.paused", { reason: message });
}
