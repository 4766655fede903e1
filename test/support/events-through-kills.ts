/**
 * Sends numbered events to a counter while its worker is killed at random moments, from its start on,
 * and compares what was applied with what was sent.
 *
 * Kills come from outside of the runtime: a process gets SIGKILL, a thread is interrupted wherever it is.
 *
 * @module
 */

import type { Worker } from "node:worker_threads";
import type { ActorRepo } from "../../db/actor-repo.ts";
import type { ActorReference } from "../../runtime/worker/remote/define-actor.ts";
import { handleOf } from "../../runtime/worker/remote/remote-actor.ts";
import type { RemoteHandle } from "../../runtime/worker/remote/remote-handle.ts";
import { openActors } from "./remote-actors.ts";

export interface KillRun {
  readonly events: number;
  readonly kills: number;
  /** For the whole run. */
  readonly timeoutMs: number;
}

export interface KillReport {
  /** Workers that were there and were killed. */
  readonly kills: number;
  /** Kills of a worker that had not restored its actor yet. */
  readonly killsInStart: number;
  /** Kills of one that ran, while events were on their way or not stored. */
  readonly killsInTraffic: number;
  readonly incarnations: number;
  readonly lost: number;
  readonly appliedTwice: number;
  readonly inOrder: boolean;
  readonly count: number;
  readonly deadLetters: number;
  /** Average from the opening of a worker to its actor being restored. */
  readonly startMs: number;
  readonly ms: number;
}

/** Of the kills, those that are to come while the worker starts. */
const killsInStartShare = 0.4;
/** Longest pause before a kill while events are under way, from 0. */
const maxPauseMs = 40;
/** Node 24 and 26 may crash as a whole when a thread is interrupted at the end of a top-level await. */
const mayInterrupt = Number(process.versions.node.split(".")[0]) < 24;

/** @param actor A `COUNTER`, on any carrier. */
export async function sendThroughKills(
  store: ActorRepo,
  actor: ActorReference,
  run: KillRun,
): Promise<KillReport> {
  const startMs = performance.now();
  const actors = openActors(store);
  const killer = openKiller(actor);
  try {
    const address = await actors.host.start(actor, {
      intensity: { maxRestarts: run.kills * 2, periodMs: run.timeoutMs },
      backoff: { initialMs: 1, maxMs: 20 },
    });
    const remote = actors.actor(address);
    const handle = remote === undefined ? undefined : handleOf(remote);
    if (handle === undefined) throw new Error(`Cannot find the handle of ${address}`);
    const inTime = (): boolean => performance.now() - startMs < run.timeoutMs;
    const starts = [performance.now() - startMs];

    let sent = 0;
    const kills = { kills: 0, killsInStart: 0, killsInTraffic: 0 };
    const sends: Promise<void>[] = [];
    const send = (): void => {
      sends.push(actors.host.send(address, { type: "ADD", n: sent }));
      sent += 1;
    };
    // Events are spread over the kills of workers that run, so that each falls into traffic.
    const share = Math.ceil(run.events / (run.kills * (1 - killsInStartShare)));
    let killed: number | undefined;
    while ((sent < run.events || kills.kills < run.kills) && inTime()) {
      const worker = await nextWorker(handle, killed, inTime);
      const openedMs = performance.now();
      const wasRunning = handle.state().phase === "running";
      const until = Math.min(run.events, sent + share);
      if (worker === undefined || kills.kills >= run.kills) {
        while (sent < until) send();
        continue;
      }
      if (Math.random() < killsInStartShare) await pause(Math.random() * average(starts));
      else {
        await soonRunning(handle, inTime);
        if (!wasRunning) starts.push(performance.now() - openedMs);
        while (sent < until) send();
        await pause(Math.random() * maxPauseMs);
      }
      const isRunning = handle.state().phase === "running";
      const { ackedSeq, workerId } = handle.state();
      // It may have ended by itself; then nobody is killed.
      if (workerId !== worker || !(await killer.kill(worker, handle))) continue;
      killed = worker;
      kills.kills += 1;
      if (!isRunning) kills.killsInStart += 1;
      else if (ackedSeq < sent) kills.killsInTraffic += 1;
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
      ...kills,
      incarnations: incarnation,
      lost: run.events - distinct.size,
      appliedTwice: applied.length - distinct.size,
      inOrder: applied.every((n, at) => n === at),
      count: applied.length,
      deadLetters: actors.system.deadLetters.recent().length,
      startMs: Math.round(average(starts)),
      ms: Math.round(performance.now() - startMs),
    };
  } finally {
    killer.close();
    await actors.child.stop();
  }
}

/** The worker that runs or starts now, once it is another one than `last`. */
async function nextWorker(
  handle: RemoteHandle,
  last: number | undefined,
  inTime: () => boolean,
): Promise<number | undefined> {
  while (inTime()) {
    const { workerId } = handle.state();
    if (workerId !== undefined && workerId !== last) return workerId;
    await pause(1);
  }
  return undefined;
}

async function soonRunning(handle: RemoteHandle, inTime: () => boolean): Promise<void> {
  while (inTime() && handle.state().phase !== "running") await pause(1);
}

interface Killer {
  /** False where there was nobody to kill. */
  kill(worker: number, handle: RemoteHandle): Promise<boolean>;
  close(): void;
}

function openKiller({ isolation = "thread" }: ActorReference): Killer {
  if (isolation !== "thread") {
    return { kill: async (pid) => killProcess(pid), close: () => undefined };
  }
  const threads = new Map<number, Worker>();
  const onWorker = (thread: Worker): void => {
    const { threadId } = thread;
    threads.set(threadId, thread);
    thread.once("exit", () => threads.delete(threadId));
  };
  process.on("worker", onWorker);
  return {
    kill: async (id, handle) => {
      // Every other one by our own `terminate`, which lets a loop that turns end by itself.
      const thread = threads.get(id);
      if (mayInterrupt && Math.random() < 0.5) {
        if (thread === undefined) return false;
        await thread.terminate();
      } else await handle.kill();
      return true;
    },
    close: () => process.off("worker", onWorker),
  };
}

function killProcess(pid: number): boolean {
  try {
    return process.kill(pid, "SIGKILL");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ESRCH") return false;
    throw error;
  }
}

function average(numbers: readonly number[]): number {
  return numbers.reduce((sum, each) => sum + each, 0) / numbers.length;
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
