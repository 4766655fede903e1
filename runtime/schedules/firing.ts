/**
 * Fires the schedules of a database. Every node does this for all of them: who commits a decision first
 * has made it, and what is decided but not started is started by whoever sees it, under one idempotency key.
 *
 * A node sleeps until the nearest due time, and looks now and then for what others have left.
 *
 * @module
 */

import type { Log } from "../../actors/ports.ts";
import type { ScheduleRepo, StoredSchedule } from "../../db/schedule-repo.ts";
import { rootMessage } from "../../db/server-error.ts";
import { toErrorRecord } from "../../machines/error-code.ts";
import { advance, nextDueMs, noteStarted, noteStartFailed } from "../../machines/schedule.ts";
import type { OpenFire, ScheduleChange } from "../../machines/schedule-spec.ts";
import { RequestError, type WorkflowsPort } from "../system.ts";
import { createKeyedQueue } from "./keyed-queue.ts";
import { startOf } from "./start-of.ts";
import { timesOf } from "./times.ts";

/** An idle node looks this often: what another node began and did not end waits no longer. */
const lookMs = 10_000;
/** After a look or a start that failed. */
const retryMs = 2_000;
/** Schedules that are read at once, and worked on at the same time. */
const pageSize = 100;
const atOnce = 3;
/** Turns of one schedule in a row before the others get theirs. */
const turnsInARow = 20;
/** Other nodes may commit in between this often. */
const commitTries = 5;
/** A workflow of a folder may be on its way, or on another node, for this long. */
const unknownGraceMs = 60_000;
/** A start that fails for a reason that may pass is given up after this long. */
const startPatienceMs = 15 * 60_000;

export interface FiringOptions {
  readonly repo: ScheduleRepo;
  readonly workflows: () => Pick<WorkflowsPort, "start" | "cancel">;
  /** Whether this node can start it by name. */
  readonly knows: (workflow: string) => boolean;
  readonly log: Log;
}

export interface Firing {
  /** Looks soon. */
  wake(): void;
  /** Decides about one schedule and starts what is due; resolves when that is done. Does not throw. */
  work(id: string): Promise<void>;
  /** A run has ended, whoever started it. */
  runEnded(runId: string): void;
  /** Ends the work in hand, and begins none. */
  stop(): Promise<void>;
}

export function createFiring(options: FiringOptions): Firing {
  const { repo, log } = options;
  const queue = createKeyedQueue();
  /** Schedules by the runs that they wait for, as this node last saw them. */
  const awaited = new Map<string, string>();
  let timer: NodeJS.Timeout | undefined;
  let looking: Promise<void> | undefined;
  let again = false;
  let stopped = false;
  let isAway = false;

  function wake(): void {
    if (stopped) return;
    again = true;
    looking ??= lookAll().finally(() => {
      looking = undefined;
      if (again) wake();
    });
  }

  function arm(inMs: number): void {
    clearTimeout(timer);
    if (!stopped) timer = setTimeout(wake, Math.min(Math.max(inMs, 0) + 1, lookMs));
  }

  async function lookAll(): Promise<void> {
    while (again && !stopped) {
      again = false;
      try {
        arm(await look());
        if (isAway) log.info("schedules: the database answers again");
        isAway = false;
      } catch (error) {
        if (!isAway) log.warn("schedules: cannot look, waiting", { error: rootMessage(error) });
        isAway = true;
        arm(retryMs);
      }
    }
  }

  /** Returns how long nothing is due. */
  async function look(): Promise<number> {
    let after = "";
    let waitMs = lookMs;
    for (;;) {
      const page = await repo.due(after, pageSize);
      if (page.nextMs !== null) waitMs = Math.min(waitMs, page.nextMs - page.nowMs);
      const left = [...page.schedules];
      const worker = async (): Promise<void> => {
        for (let one = left.shift(); one !== undefined && !stopped; one = left.shift()) {
          waitMs = Math.min(waitMs, await workOn(one.id));
        }
      };
      await Promise.all(Array.from({ length: atOnce }, worker));
      after = page.schedules.at(-1)?.id ?? "";
      if (page.schedules.length < pageSize || stopped) return waitMs;
    }
  }

  /** Returns when it is to be looked at again, in milliseconds. */
  async function workOn(id: string): Promise<number> {
    return await queue.run(id, async () => {
      try {
        for (let turn = 0; turn < turnsInARow && !stopped; turn += 1) {
          const waitMs = await takeTurn(id);
          if (waitMs > 0) return waitMs;
        }
        return 0;
      } catch (error) {
        log.warn("schedules: a turn failed, and will be repeated", {
          schedule: id,
          error: rootMessage(error),
        });
        return retryMs;
      }
    });
  }

  async function takeTurn(id: string): Promise<number> {
    const schedule = await repo.get(id);
    if (schedule === undefined) return lookMs;
    const { spec, state, revision } = schedule;
    const [range] = state.backfills;
    const next = timesOf(spec);
    const nowMs = await repo.now();
    const runIds = state.open.flatMap(({ runId }) => runId ?? []);
    const change = advance(spec, state, {
      id,
      nowMs,
      next,
      statuses: await repo.statuses(runIds),
      taken: range ? await repo.taken(id, range.fromMs, range.toMs) : new Set(),
    });
    if (change.state !== state && !(await commit(schedule, change))) return lookMs;
    const ends = change.state.open.filter(({ cancel, runId }) => cancel && runId !== null);
    for (const { runId, timeMs } of ends) if (runId !== null) await cancel(id, runId, timeMs);
    for (const runId of runIds) awaited.delete(runId);
    for (const { runId } of change.state.open) if (runId !== null) awaited.set(runId, id);
    const starts = change.state.open.filter(({ runId }) => runId === null);
    const isDone = await startAll({ ...schedule, state: change.state, revision }, starts, nowMs);
    if (change.more || (starts.length > 0 && isDone)) return 0;
    if (!isDone) return retryMs;
    const dueMs = change.state.paused ? null : nextDueMs(spec, id, change.state, next);
    return dueMs === null ? lookMs : Math.max(dueMs - nowMs, 1);
  }

  /** Resolves with false when one of them has to be tried again. */
  async function startAll(
    schedule: StoredSchedule,
    starts: readonly OpenFire[],
    nowMs: number,
  ): Promise<boolean> {
    const notes: ((on: StoredSchedule) => ScheduleChange)[] = [];
    for (const { timeMs } of starts) {
      if (stopped) break;
      const result = await startOne(schedule, timeMs, nowMs);
      if (result.type === "later") continue;
      if (result.type === "started") awaited.set(result.runId, schedule.id);
      notes.push(({ spec, state }) =>
        result.type === "started"
          ? noteStarted(spec, state, timeMs, result.runId)
          : noteStartFailed(spec, state, timeMs, result.reason),
      );
    }
    if (notes.length > 0) await note(schedule.id, notes);
    return notes.length === starts.length;
  }

  async function startOne(
    schedule: StoredSchedule,
    timeMs: number,
    nowMs: number,
  ): Promise<
    | { readonly type: "started"; readonly runId: string }
    | { readonly type: "failed"; readonly reason: string }
    | { readonly type: "later" }
  > {
    const { id, spec, updatedAtMs } = schedule;
    const { workflow } = spec;
    if (typeof workflow === "string" && !options.knows(workflow)) {
      if (nowMs - updatedAtMs < unknownGraceMs) return { type: "later" };
      return { type: "failed", reason: `no node has a workflow "${workflow}"` };
    }
    try {
      const run = await options
        .workflows()
        .start(startOf(id, spec, timeMs), { actor: `schedule/${id}` });
      return { type: "started", runId: run.id };
    } catch (error) {
      const isOver = isFinal(error) || nowMs - updatedAtMs > startPatienceMs;
      if (isOver) return { type: "failed", reason: reasonOf(error) };
      log.warn("schedules: cannot start a run yet", { schedule: id, error: rootMessage(error) });
      return { type: "later" };
    }
  }

  /** Another node may have changed the schedule meanwhile: the notes are made on what it is now. */
  async function note(
    id: string,
    notes: readonly ((on: StoredSchedule) => ScheduleChange)[],
  ): Promise<void> {
    for (let tries = 0; tries < commitTries; tries += 1) {
      const schedule = await repo.get(id);
      if (schedule === undefined) return;
      let { state } = schedule;
      const fires: ScheduleChange["fires"][number][] = [];
      for (const one of notes) {
        const change = one({ ...schedule, state });
        state = change.state;
        fires.push(...change.fires);
      }
      if (state === schedule.state) return;
      if (await commit(schedule, { state, fires, more: false })) return;
    }
  }

  async function commit(schedule: StoredSchedule, change: ScheduleChange): Promise<boolean> {
    const { id, revision, spec } = schedule;
    const { fires, state } = change;
    const nextAtMs = nextDueMs(spec, id, state, timesOf(spec));
    return await repo.commit({ id, revision, spec, state, fires, nextAtMs });
  }

  async function cancel(id: string, runId: string, timeMs: number): Promise<void> {
    const reason = `schedule ${id} has a later time than ${new Date(timeMs).toISOString()}`;
    try {
      await options.workflows().cancel(runId, { actor: `schedule/${id}`, reason });
    } catch (error) {
      // It has ended by itself, or is cancelled at the next look.
      log.debug("schedules: cannot cancel a run now", { schedule: id, error: rootMessage(error) });
    }
  }

  return {
    wake,
    work: async (id) => {
      const waitMs = await workOn(id);
      // The timer may be set for a later time than this schedule's.
      if (waitMs < lookMs) wake();
    },
    runEnded: (runId) => {
      const id = awaited.get(runId);
      if (id === undefined || stopped) return;
      awaited.delete(runId);
      void workOn(id).then((waitMs) => {
        if (waitMs < lookMs) wake();
      });
    },
    stop: async () => {
      stopped = true;
      clearTimeout(timer);
      await looking;
      await queue.idle();
    },
  };
}

function reasonOf(error: unknown): string {
  if (!(error instanceof RequestError)) return rootMessage(error);
  const fields = error.fields.map(({ pointer, detail }) => `${pointer} ${detail}`);
  return [error.message, ...fields].join("; ");
}

/** Trying again would fail in the same way. */
function isFinal(error: unknown): boolean {
  if (error instanceof RequestError) return error.code !== "UNAVAILABLE";
  return !toErrorRecord(error).retryable;
}
