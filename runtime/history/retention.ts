/**
 * Keeps the live tables flat: ended runs beyond their retention are archived, or deleted.
 *
 * Every node asks, and the database lets one of them do it; a batch is one transaction, so whoever
 * dies leaves the runs where they were.
 *
 * @module
 */

import { setTimeout as wait } from "node:timers/promises";
import type { Log } from "../../actors/ports.ts";
import type { Retained, RetentionOrder, RetentionRepo } from "../../db/retention-repo.ts";
import { rootMessage } from "../../db/server-error.ts";

/** Between two looks of a node that found nothing, or cannot look. */
const lookEveryMs = 60_000;
/** A pass that somebody waits for ends after this many batches; the next goes on. */
const batchesPerPass = 1_000;

export interface RetentionPolicy {
  /** Null: ended runs stay where they are. */
  readonly afterMs: number | null;
  readonly then: RetentionOrder["then"];
  /** Archived runs that ended longer ago are deleted; null: never. */
  readonly deleteAfterMs: number | null;
}

export interface RetentionReport extends Retained {
  /** Archived runs that were deleted. */
  readonly deleted: number;
  /** Another node was at it: what it moves is not counted here. */
  readonly busy: boolean;
}

export interface Retention {
  start(): void;
  /** One pass now; what is not given is as configured. */
  run(order?: Partial<RetentionOrder>): Promise<RetentionReport>;
  stop(): Promise<void>;
}

const nothing: Retained = {
  runs: 0,
  tasks: 0,
  journal: 0,
  timers: 0,
  commands: 0,
  approvals: 0,
  archived: 0,
};

export function createRetention(options: {
  readonly repo: RetentionRepo;
  readonly policy: RetentionPolicy;
  readonly log: Log;
}): Retention {
  const { log, policy, repo } = options;
  const stopping = new AbortController();
  let looping: Promise<void> = Promise.resolve();

  async function move(order: RetentionOrder): Promise<Retained & { readonly busy: boolean }> {
    let total: Retained = nothing;
    for (let batch = 0; batch < batchesPerPass && !stopping.signal.aborted; batch += 1) {
      const moved = await repo.moveBatch(order);
      if (moved === undefined) return { ...total, busy: true };
      if (moved.runs === 0) break;
      total = sum(total, moved);
    }
    if (total.runs > 0)
      log.info("ended workflow runs left the live tables", { ...order, ...total });
    return { ...total, busy: false };
  }

  async function purge(olderThanMs: number): Promise<number> {
    let total = 0;
    for (let batch = 0; batch < batchesPerPass && !stopping.signal.aborted; batch += 1) {
      const deleted = (await repo.deleteArchived(olderThanMs)) ?? 0;
      total += deleted;
      if (deleted === 0) break;
    }
    if (total > 0) log.info("archived workflow runs were deleted", { runs: total, olderThanMs });
    return total;
  }

  async function pass(given: Partial<RetentionOrder> = {}): Promise<RetentionReport> {
    const olderThanMs = given.olderThanMs ?? policy.afterMs;
    const order = { olderThanMs: olderThanMs ?? 0, then: given.then ?? policy.then };
    const moved = olderThanMs === null ? { ...nothing, busy: false } : await move(order);
    const deleted = policy.deleteAfterMs === null ? 0 : await purge(policy.deleteAfterMs);
    return { ...moved, deleted };
  }

  async function loop(): Promise<void> {
    const { signal } = stopping;
    while (!signal.aborted) {
      await pass().catch((error: unknown) => {
        log.warn("cannot archive ended workflow runs; trying again", { error: rootMessage(error) });
      });
      await wait(lookEveryMs, undefined, { signal, ref: false }).catch((error: unknown) => {
        if (!signal.aborted) throw error;
      });
    }
  }

  return {
    start: () => {
      if (policy.afterMs !== null || policy.deleteAfterMs !== null) looping = loop();
    },
    run: pass,
    stop: async () => {
      stopping.abort();
      await looping;
    },
  };
}

function sum(one: Retained, other: Retained): Retained {
  return {
    runs: one.runs + other.runs,
    tasks: one.tasks + other.tasks,
    journal: one.journal + other.journal,
    timers: one.timers + other.timers,
    commands: one.commands + other.commands,
    approvals: one.approvals + other.approvals,
    archived: one.archived + other.archived,
  };
}
