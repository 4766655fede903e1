/**
 * Performs what turns commit besides attempts: starting child runs, telling runs about each other,
 * opening approvals. Each errand can be repeated; its outbox row goes when it is done.
 *
 * @module
 */

import { randomBytes } from "node:crypto";
import type { Log } from "../../actors/ports.ts";
import type { ApprovalRepo } from "../../db/approval-repo.ts";
import { isRefusal, rootMessage } from "../../db/server-error.ts";
import type { TurnRepo } from "../../db/turn-repo.ts";
import { type Json, toErrorRecord } from "../../machines/error-code.ts";
import type { RunEffect } from "../../machines/run/state.ts";
import type { Errand } from "./ownership.ts";

/** Errands in memory at most; what is beyond stays in the outbox until the node takes its runs again. */
const waitingLimit = 50_000;
const firstPauseMs = 100;
const longestPauseMs = 2_000;

/** Tries of an errand that fails by its own fault. */
const faultLimit = 3;

export type StartChild = Extract<RunEffect, { readonly type: "start-child" }>;

export interface ErrandsOptions {
  readonly turns: Pick<TurnRepo, "post" | "performed">;
  readonly approvals: Pick<ApprovalRepo, "open">;
  readonly log: Log;
  /**
   * Starts the child run, or does nothing when it exists.
   * @throws {Error} With a `code`, when it cannot be started at all: the task fails with it.
   */
  startChild(parentId: string, child: StartChild): Promise<void>;
  /** Makes this node the owner of a run that has ended at a node which is gone, so that it can go on. */
  adopt(workflowId: string): Promise<void>;
  /** Some run of this node may have mail. */
  posted(): void;
}

export interface Errands {
  perform(errands: readonly Errand[]): void;
  stop(): Promise<void>;
}

export function createErrands(options: ErrandsOptions): Errands {
  const { approvals, log, turns } = options;
  const waiting: Errand[] = [];
  let stopped = false;
  let running: Promise<void> | undefined;

  function perform(errands: readonly Errand[]): void {
    if (waiting.length + errands.length > waitingLimit) {
      log.error("too many errands wait; they stay in the outbox until the next start", {
        waitingLimit,
      });
      return;
    }
    waiting.push(...errands);
    running ??= work().finally(() => {
      running = undefined;
    });
  }

  async function work(): Promise<void> {
    let pauseMs = 0;
    let faults = 0;
    for (let next = waiting[0]; next !== undefined && !stopped; next = waiting[0]) {
      try {
        await run(next);
        await turns.performed([next.outboxId]);
        waiting.shift();
        pauseMs = 0;
        faults = 0;
      } catch (error) {
        if (isFault(error)) faults += 1;
        // It would fail for ever, and hold up all that wait behind it.
        if (faults >= faultLimit) {
          faults = 0;
          waiting.shift();
          giveUp(next, error);
          continue;
        }
        // The database is away: little else makes these fail.
        if (pauseMs === 0) log.warn("cannot perform an errand, waiting", { error: String(error) });
        pauseMs = Math.min(Math.max(pauseMs * 2, firstPauseMs), longestPauseMs);
        await new Promise((resolve) => setTimeout(resolve, pauseMs));
      }
    }
  }

  /** The errand stays in the outbox: the next owner of its run tries again, perhaps with other code. */
  function giveUp({ outboxId, workflowId, effect }: Errand, error: unknown): void {
    log.error("cannot perform an errand: given up until the next start", {
      outboxId,
      workflowId,
      type: effect.type,
      error: rootMessage(error),
    });
  }

  async function run({ outboxId, workflowId, effect }: Errand): Promise<void> {
    switch (effect.type) {
      case "start-child":
        return await start(workflowId, effect);
      case "command-child":
        if ((effect.event as { type?: Json }).type === "run.undo") {
          await options.adopt(effect.childId);
        }
        return await post(effect.childId, effect.event, `errand/${outboxId}`);
      case "tell-parent":
        return await post(effect.workflowId, effect.event, `child/${workflowId}/${outboxId}`);
      case "open-approval": {
        const token = randomBytes(24).toString("base64url");
        const { taskKey, expiresAtMs } = effect;
        return await approvals.open({ token, workflowId, taskKey, expiresAtMs });
      }
      default:
        effect satisfies never;
    }
  }

  async function start(parentId: string, child: StartChild): Promise<void> {
    try {
      await options.startChild(parentId, child);
    } catch (error) {
      const record = toErrorRecord(error);
      if (record.code === "UNEXPECTED") throw error;
      const { taskKey, childId } = child;
      const outcome = { type: "failed", error: record };
      const event = { type: "child.finished", taskKey, childId, outcome, by: "engine" };
      await post(parentId, event as unknown as Json, `child/${childId}/refused`);
    }
  }

  /** Mail for a run that is gone is dropped: nobody waits for it. */
  async function post(workflowId: string, event: Json, dedupeKey: string): Promise<void> {
    await turns.post(workflowId, event, dedupeKey);
    options.posted();
  }

  return {
    perform,
    stop: async () => {
      stopped = true;
      await running;
    },
  };
}

/** True for what a database that is away cannot cause: a statement that it refuses, a mistake of ours. */
function isFault(error: unknown): boolean {
  return isRefusal(error) || error instanceof TypeError || error instanceof RangeError;
}
