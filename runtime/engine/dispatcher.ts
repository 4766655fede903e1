/**
 * Performs dispatches: adds them to the queue, and adds again what the queue seems to have lost.
 *
 * @module
 */

import type { Log } from "../../actors/ports.ts";
import { defaultPriority } from "../../machines/run/plan.ts";
import type { JobQueue } from "../queue/job-queue.ts";
import type { OwnedRun } from "./owned-run.ts";
import type { Dispatch } from "./ownership.ts";

/** Dispatches that wait for the queue at most; the reconciler brings what is beyond it. */
const waitingLimit = 50_000;
const batchSize = 500;
const firstPauseMs = 100;
const longestPauseMs = 2_000;
/** How long a batch that is under way to the queue is waited for. */
const stopLimitMs = 1_000;
/** A dispatched task that nobody has started for this long is added to the queue again. */
const reconcileMs = 5_000;

export interface DispatcherOptions {
  readonly queue: Pick<JobQueue, "add">;
  readonly log: Log;
  readonly owned: () => ReadonlyMap<string, OwnedRun>;
  readonly isInHand: (workflowId: string, taskKey: string, attempt: number) => boolean;
}

export interface Dispatcher {
  dispatch(dispatches: readonly Dispatch[]): void;
  stop(): Promise<void>;
}

export function createDispatcher(options: DispatcherOptions): Dispatcher {
  const { queue, log } = options;
  const waiting: Dispatch[] = [];
  let suspects = new Set<string>();
  let stopped = false;
  let pumping: Promise<void> | undefined;
  const reconciler = setInterval(reconcile, reconcileMs);

  function dispatch(dispatches: readonly Dispatch[]): void {
    if (waiting.length + dispatches.length > waitingLimit) {
      log.warn("too many dispatches wait for the queue; the reconciler will bring the rest", {
        waitingLimit,
      });
      return;
    }
    waiting.push(...dispatches);
    if (stopped || waiting.length === 0) return;
    pumping ??= pump().finally(() => {
      pumping = undefined;
    });
  }

  async function pump(): Promise<void> {
    let pauseMs = 0;
    while (waiting.length > 0 && !stopped) {
      const batch = waiting.slice(0, batchSize);
      try {
        await queue.add(batch);
        waiting.splice(0, batch.length);
        pauseMs = 0;
      } catch (error) {
        if (pauseMs === 0) log.warn("cannot reach the queue, waiting", { error: String(error) });
        pauseMs = Math.min(Math.max(pauseMs * 2, firstPauseMs), longestPauseMs);
        await new Promise((resolve) => setTimeout(resolve, pauseMs));
      }
    }
  }

  /** A task that was dispatched at two looks in a row is a suspect: adding its job again is harmless. */
  function reconcile(): void {
    const seen = new Set<string>();
    const again: Dispatch[] = [];
    for (const run of options.owned().values()) {
      for (const key of run.inFlight) {
        const task = run.state.tasks.get(key);
        const isOut = task?.status === "dispatched" || task?.status === "compensating";
        if (task === undefined || !isOut || run.state.timers.has(`undo/${key}`)) continue;
        if (options.isInHand(run.id, key, task.attempt)) continue;
        const id = `${run.id}/${key}/${task.attempt}`;
        seen.add(id);
        if (!suspects.has(id)) continue;
        const priority = run.plan.tasks.get(task.plan)?.priority ?? defaultPriority;
        again.push({
          workflowId: run.id,
          taskKey: key,
          attempt: task.attempt,
          priority,
        });
      }
    }
    suspects = seen;
    if (again.length > 0 && waiting.length === 0) {
      log.info("adding dispatches again that nobody started", { count: again.length });
      dispatch(again);
    }
  }

  return {
    dispatch,
    stop: async () => {
      stopped = true;
      clearInterval(reconciler);
      // A queue that is away keeps the call waiting; what is not sent stays in the outbox.
      const late = new Promise((resolve) => setTimeout(resolve, stopLimitMs).unref());
      await Promise.race([pumping, late]);
    },
  };
}
