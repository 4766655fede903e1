/**
 * Sends numbered events to a counter while its worker is killed at random moments, and compares what
 * was applied with what was sent.
 *
 * @module
 */

import type { ActorRepo } from "../../db/actor-repo.ts";
import type { ActorReference } from "../../runtime/worker/remote/define-actor.ts";
import { handleOf } from "../../runtime/worker/remote/remote-actor.ts";
import { openActors } from "./remote-actors.ts";

export interface KillRun {
  readonly events: number;
  readonly kills: number;
  /** Longest pause before a kill, from 0. */
  readonly maxPauseMs: number;
  /** For the whole run. */
  readonly timeoutMs: number;
}

export interface KillReport {
  /** Workers that ran and were killed. */
  readonly kills: number;
  /** Kills while events were on their way or not stored. */
  readonly killsInTraffic: number;
  readonly incarnations: number;
  readonly lost: number;
  readonly appliedTwice: number;
  readonly inOrder: boolean;
  readonly count: number;
  readonly deadLetters: number;
  readonly ms: number;
}

/** @param actor A `COUNTER`, on any carrier. @throws {Error} When it takes longer than `timeoutMs`. */
export async function sendThroughKills(
  store: ActorRepo,
  actor: ActorReference,
  run: KillRun,
): Promise<KillReport> {
  const startMs = performance.now();
  const actors = openActors(store);
  try {
    const address = await actors.host.start(actor, {
      intensity: { maxRestarts: run.kills * 2, periodMs: run.timeoutMs },
      backoff: { initialMs: 1, maxMs: 20 },
    });
    const remote = actors.actor(address);
    const handle = remote === undefined ? undefined : handleOf(remote);
    if (handle === undefined) throw new Error(`Cannot find the handle of ${address}`);
    const inTime = (): boolean => performance.now() - startMs < run.timeoutMs;

    let sent = 0;
    let kills = 0;
    let killsInTraffic = 0;
    const sends: Promise<void>[] = [];
    // Events are spread over the kills, so that each falls into traffic.
    const share = Math.ceil(run.events / run.kills);
    while ((sent < run.events || kills < run.kills) && inTime()) {
      const until = Math.min(run.events, sent + share);
      for (; sent < until; sent += 1) {
        sends.push(actors.host.send(address, { type: "ADD", n: sent }));
      }
      if (kills < run.kills) {
        await pause(Math.random() * run.maxPauseMs);
        const before = handle.state();
        if (before.phase === "running") {
          if (before.ackedSeq < sent) killsInTraffic += 1;
          await handle.kill();
          kills += 1;
        }
      }
    }
    await Promise.all(sends);
    const isSettled = (): boolean => {
      const { ackedSeq, phase } = handle.state();
      return ackedSeq >= run.events && phase === "running";
    };
    while (!isSettled() && inTime()) await pause(10);
    await actors.host.stop(address);
    const { incarnation } = handle.state();
    const applied = await appliedBy(store, address);
    const distinct = new Set(applied);
    return {
      kills,
      killsInTraffic,
      incarnations: incarnation,
      lost: run.events - distinct.size,
      appliedTwice: applied.length - distinct.size,
      inOrder: applied.every((n, at) => n === at),
      count: applied.length,
      deadLetters: actors.system.deadLetters.recent().length,
      ms: performance.now() - startMs,
    };
  } finally {
    await actors.child.stop();
  }
}

/** The counter's own log, from the store. */
async function appliedBy(store: ActorRepo, address: string): Promise<readonly number[]> {
  const { saved } = await store.claim(address);
  const { state } = (saved?.snapshot ?? {}) as {
    state?: { context: { count: number; applied: number[] } };
  };
  if (state === undefined) return [];
  const { applied, count } = state.context;
  if (count !== applied.length)
    throw new Error(`The counter says ${count}, its log ${applied.length}`);
  return applied;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
