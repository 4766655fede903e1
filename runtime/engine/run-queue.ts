/**
 * Starts runs that queue for others of their kind, and finds those that would wait for ever.
 *
 * @module
 */

import type { Log } from "../../actors/ports.ts";
import type { RunQueueRepo } from "../../db/run-queue-repo.ts";
import type { SlotRepo } from "../../db/slot-repo.ts";
import type { TurnRepo } from "../../db/turn-repo.ts";
import { findWaitCycle } from "../../machines/wait-cycle.ts";

/** What a node that died between an end and the next start has left is found within this. */
const sweepMs = 10_000;

export interface RunQueueOptions {
  readonly repo: RunQueueRepo;
  readonly slots: Pick<SlotRepo, "sweep">;
  readonly turns: Pick<TurnRepo, "post">;
  readonly log: Log;
  /** Some run may have mail. */
  wake(): void;
}

export interface RunQueue {
  /** A run has ended, or queues: look soon. */
  look(): void;
  /** Where a run stands in its queue, and whom it queues for; undefined when it does not queue. */
  place: RunQueueRepo["place"];
  stop(): Promise<void>;
}

export function createRunQueue({ repo, slots, turns, log, wake }: RunQueueOptions): RunQueue {
  let looking: Promise<void> | undefined;
  let again = false;
  let stopped = false;
  const sweeper = setInterval(() => {
    look();
    slots.sweep().catch((error: unknown) => {
      log.debug("cannot sweep slots", { error: String(error) });
    });
  }, sweepMs);

  function look(): void {
    again = true;
    if (stopped) return;
    looking ??= work().finally(() => {
      looking = undefined;
      if (again) look();
    });
  }

  async function work(): Promise<void> {
    while (again && !stopped) {
      again = false;
      try {
        const { started, left } = await repo.promote();
        if (started.length > 0) wake();
        if (left > 0) await breakCycle();
      } catch (error) {
        // The next sweep looks again.
        log.warn("cannot start queued runs", { error: String(error) });
      }
    }
  }

  /** Of runs that wait for each other, the newest in the queue gives way; its parent sees it cancelled. */
  async function breakCycle(): Promise<void> {
    const waiters = await repo.waiters();
    const cycle = findWaitCycle(waiters);
    if (cycle === undefined) return;
    const queued = await repo.newestQueued(cycle);
    if (queued === undefined) return;
    const from = cycle.indexOf(queued);
    const names = [...cycle.slice(from), ...cycle.slice(0, from), queued].join(" waits for ");
    const reason = `wait cycle: ${names}`;
    log.warn("a queued run is cancelled: it would wait for ever", { workflowId: queued, reason });
    const event = { type: "run.cancel", reason, by: "concurrency" };
    await turns.post(queued, event, `wait-cycle/${queued}`);
    wake();
  }

  return {
    look,
    place: repo.place,
    stop: async () => {
      stopped = true;
      clearInterval(sweeper);
      await looking;
    },
  };
}
