/**
 * A run in the memory of a test: each event takes a turn of its own, and after each of them the
 * journal's patches must fold to the state.
 *
 * @module
 */

import { expect } from "vitest";
import type { ErrorRecord, Json } from "../../machines/error-code.ts";
import { fold } from "../../machines/run/fold.ts";
import type { RunPlan } from "../../machines/run/plan.ts";
import {
  type InitialOptions,
  initialRun,
  type JournalDraft,
  type RunEffect,
  type RunEvent,
  type RunState,
  type TaskState,
} from "../../machines/run/state.ts";
import { beginTurn } from "../../machines/run/turn.ts";
import { task } from "./run-events.ts";

/** An event without what the run fills in. */
export type Given = RunEvent extends infer Event
  ? Event extends RunEvent
    ? Omit<Event, "by" | "atMs"> & { readonly by?: string; readonly atMs?: number }
    : never
  : never;

export function openRun(plan: RunPlan, options: InitialOptions = {}) {
  const first = initialRun("run", plan, options);
  let state: RunState = first;
  let atMs = 0;
  const journal: JournalDraft[] = [];
  const effects: RunEffect[] = [];

  function apply(given: Given, timer?: string): void {
    const turn = beginTurn(state, plan, () => 0.5);
    turn.apply({ by: "test", atMs, ...given } as RunEvent, timer);
    state = turn.state();
    journal.push(...turn.journal());
    effects.push(...turn.effects());
    const patches = journal.map(({ patch }) => patch);
    expect(comparable(fold(first, plan, patches))).toEqual(comparable(state));
  }

  function dispatch(key: string): number {
    apply({ type: "task.dispatch", taskKey: key });
    expect(task(state, key).status).toBe("dispatched");
    return task(state, key).attempt;
  }

  const run = {
    apply,
    state: () => state,
    task: (key: string): TaskState => task(state, key),
    status: (key: string) => task(state, key).status,
    /** Sets the clock, without firing anything. */
    at: (ms: number) => {
      atMs = ms;
    },
    /** Fires the timers that are due up to then, in order. */
    until: (ms: number) => {
      for (;;) {
        const due = [...state.timers]
          .flatMap(([key, { dueAtMs, event }]) =>
            dueAtMs === null ? [] : [{ key, dueAtMs, event }],
          )
          .sort((a, b) => a.dueAtMs - b.dueAtMs)
          .find(({ dueAtMs }) => dueAtMs <= ms);
        if (due === undefined) break;
        atMs = due.dueAtMs;
        apply({ ...(due.event as object), atMs } as Given, due.key);
      }
      atMs = ms;
    },
    start: () => apply({ type: "run.start", paused: false }),
    dispatch,
    begin: (key: string): number => {
      const attempt = dispatch(key);
      apply({ type: "task.started", taskKey: key, attempt, node: "n" });
      return attempt;
    },
    succeed: (key: string, output: Json = null) => {
      const { attempt } = task(state, key);
      apply({
        type: "task.finished",
        taskKey: key,
        attempt,
        outcome: { type: "succeeded", output },
      });
    },
    fail: (key: string, error: Partial<ErrorRecord> = {}) => {
      const { attempt } = task(state, key);
      const record = { name: "Error", message: "boom", code: "BOOM", retryable: false, ...error };
      const outcome = { type: "failed", error: record } as const;
      apply({ type: "task.finished", taskKey: key, attempt, outcome });
    },
    /** Dispatches, starts and finishes each task, in this order. */
    done: (...keys: readonly string[]) => {
      for (const key of keys) {
        run.begin(key);
        run.succeed(key, key);
      }
    },
    statuses: () =>
      Object.fromEntries([...state.tasks.values()].map(({ key, status }) => [key, status])),
    words: () => journal.map(({ type }) => type),
    journal,
    effects,
    /** Undoing attempts, in order. */
    undone: () =>
      effects.flatMap((effect) =>
        effect.type === "dispatch" && effect.undo === true ? [effect.taskKey] : [],
      ),
    commands: () =>
      effects.flatMap((effect) =>
        effect.type === "command-child"
          ? [`${(effect.event as { type: string }).type} ${effect.childId}`]
          : [],
      ),
  };
  return run;
}

/** Outputs are no part of patches; a stage that counts nothing is as good as one that was never counted. */
export function comparable(state: RunState) {
  const counts = [...state.counts].filter(([, { moving, blocked, bad }]) => moving + blocked + bad);
  return { ...state, outputs: new Map(), counts: new Map(counts) };
}
