/**
 * The workflow host of one node: takes turns for the runs that the node owns.
 *
 * A turn reads what waits in the mailboxes and what timers are due, runs the pure transitions,
 * commits everything in one transaction, and only then performs the effects. Turns of many runs
 * share a transaction. All state that matters is in Postgres: this module may lose its memory at
 * any line.
 *
 * @module
 */

import type { Log } from "../../actors/ports.ts";
import { type NodeRepo, nodeLeaseMs } from "../../db/node-repo.ts";
import type { RunRepo } from "../../db/run-repo.ts";
import { isDiskFull, isRefusal, rootMessage } from "../../db/server-error.ts";
import { PoolsFullError, type SlotRepo } from "../../db/slot-repo.ts";
import {
  type CommittedRun,
  type Outgoing,
  OwnershipLostError,
  type PendingEvent,
  type TurnRepo,
} from "../../db/turn-repo.ts";
import type { StopNotice } from "../../db/wake-channel.ts";
import type { Hold } from "../../machines/admission.ts";
import { type Json, toErrorRecord } from "../../machines/error-code.ts";
import type { TaskRef } from "../../machines/ready-tree.ts";
import type { TaskChange } from "../../machines/run/draft.ts";
import type { JournalDraft } from "../../machines/run/state.ts";
import type { Turn } from "../../machines/run/turn.ts";
import { type Answers, createAnswers } from "./answers.ts";
import { type AppliedMail, applyMail } from "./apply-mail.ts";
import { actionsOf, isTerminal, type OwnedRun, reindex } from "./owned-run.ts";
import { createOwnership, type Dispatch, type Errand } from "./ownership.ts";
import {
  type Claims,
  createScheduler,
  DispatchFault,
  type EngineLimits,
  noClaims,
} from "./scheduler.ts";

/** Renew the lease, and look for mail that another node posted. A third of the lease. */
const tickMs = Math.floor(nodeLeaseMs / 3);
/** An idle node makes few queries: it looks for mail and for runs of dead nodes at every second tick. */
const ticksPerLook = 2;
const mailPerTurn = 500;
/** After a failed turn (the database is away) the next one waits this long, doubling to the limit. */
const firstPauseMs = 100;
const longestPauseMs = 2_000;
/**
 * A database that is away makes a turn fail at once or within the time limits of its connection; a
 * turn that is still open after this waits for an answer that the driver has lost.
 */
const turnLimitMs = 120_000;
/** Refusals of one run's commit in a row before it is parked. */
const refusalLimit = 3;
/** The longest that Node's timers are trusted with; a later due time is looked at again. */
const longestTimerMs = 60_000;

/** `disk-full`: the database cannot write. `stuck`: a turn neither ended nor failed in its time. */
export type FatalReason = "disk-full" | "stuck";

export interface EngineOptions {
  readonly incarnation: string;
  readonly runs: RunRepo;
  readonly turns: TurnRepo;
  readonly nodes: NodeRepo;
  readonly slots: SlotRepo;
  readonly limits: EngineLimits;
  readonly log: Log;
  /** From 0 to 1, for the jitter of retries. */
  readonly random: () => number;
  /** Performs dispatches; called after their commit, must be idempotent, must not throw. */
  dispatch(dispatches: readonly Dispatch[]): void;
  /** Performs what else was committed; idempotent, must not throw. */
  perform(errands: readonly Errand[]): void;
  /** Stops an attempt, here or on the node that has it; may be lost with its node. */
  abort(stop: StopNotice & { readonly node: string | null }): void;
  /** Hears other nodes; repeated, since connections end. */
  listen(): Promise<void>;
  /** Runs a task that needs no queue on this node; idempotent, must not throw. */
  runLocal(run: OwnedRun, taskKey: string, attempt: number): void;
  /** The node cannot go on by waiting; called at most once for each reason and turn. */
  onFatal(reason: FatalReason, cause?: unknown): void;
  /** After each committed turn of a run, with the keys and outputs of the tasks that changed. */
  onTurn(
    run: OwnedRun,
    changed: ReadonlyMap<string, TaskChange>,
    journal: readonly JournalDraft[],
  ): void;
}

export interface Engine {
  start(): Promise<void>;
  /** Takes a turn soon; call it after posting mail. */
  wake(): void;
  /** Runs that this node owns and that are not finished. */
  owned(): ReadonlyMap<string, OwnedRun>;
  /** Why a ready task is not dispatched. */
  heldBy(workflowId: string, taskKey: string): Hold | undefined;
  /** Tasks of this node's runs that hold a share of the pool. */
  holders(pool: string): readonly TaskRef[];
  /**
   * Gives an owned run events of this node without its mailbox. Resolves with true once the turn
   * that took them is committed, with false when this node does not own the run.
   * @throws {Error} When the outcome of the commit is unknown: post the events then.
   */
  submit(workflowId: string, ...events: readonly Json[]): Promise<boolean>;
  readonly answered: Answers["answered"];
  /** Lets the turn that runs end, and takes no other. */
  stop(): Promise<void>;
}

/** Events of this node that wait for a turn, and who waits for its commit. */
interface Submitted {
  readonly workflowId: string;
  readonly events: readonly Json[];
  settle(taken: boolean): void;
  fail(error: unknown): void;
}

interface TurnOfRun {
  readonly run: OwnedRun;
  readonly turn: Turn;
  readonly claims: Claims;
  readonly answers: AppliedMail["answers"];
}

const noAnswers: AppliedMail["answers"] = new Map();

export function createEngine(options: EngineOptions): Engine {
  const { incarnation, turns, nodes, log } = options;
  const ownership = createOwnership({ ...options, onLoaded: (run) => scheduler.follow(run) });
  const { owned } = ownership;
  const scheduler = createScheduler({ ...options, owned });
  const answers = createAnswers();
  const submitted: Submitted[] = [];
  /** Those of the turn under way. */
  let inTurn: readonly Submitted[] = [];
  let stopped = false;
  let turning: Promise<void> | undefined;
  let again = false;
  /** The next turn reads the mailboxes and timers; one for events of this node alone need not. */
  let lookDue = true;
  /** Database clock against this process's, and its newest reading; epoch milliseconds. */
  let clockOffsetMs = 0;
  let newestMs = 0;
  /** When a look found, or a turn set, the next due timer. */
  let nextDueMs = Number.POSITIVE_INFINITY;
  let pauseMs = 0;
  /** Memory may differ from the database: all owned runs are read again before the next turn. */
  let stale = false;
  /** Claims share memory with turns, so the loop makes them between two turns. */
  let claimDue = false;
  /** With each claim: attempts whose runner did not see to their time limit. */
  let overdueDue = false;
  let tick: NodeJS.Timeout | undefined;
  let ticks = 0;
  let dueTimer: NodeJS.Timeout | undefined;

  /** How often in a row the server refused a run's own commit. */
  const refusals = new Map<string, number>();
  /** How often in a row the rules threw for a run's mail, and for a dispatch of its tasks. */
  const failures = new Map<string, number>();
  const dispatchFaults = new Map<string, number>();

  /** Opens a turn for each run that has events; runs that are not in memory are loaded first. */
  async function apply(events: readonly PendingEvent[]): Promise<Map<string, AppliedMail>> {
    await ownership.load([...new Set(events.map(({ workflowId }) => workflowId))]);
    const byRun = new Map<string, PendingEvent[]>();
    for (const event of events) {
      byRun.set(event.workflowId, [...(byRun.get(event.workflowId) ?? []), event]);
    }
    const open = new Map<string, AppliedMail>();
    for (const [id, mail] of byRun) {
      const run = owned.get(id);
      if (run === undefined) continue;
      try {
        open.set(id, applyMail(run, mail, options.random, log));
        failures.delete(id);
      } catch (error) {
        await failTurn(run, error, failures);
      }
    }
    return open;
  }

  /**
   * The rules threw: a mistake of ours. Its mail stays, so that nothing is lost; after the third time
   * in a row the run is parked, and the others go on.
   */
  async function failTurn(
    run: OwnedRun,
    error: unknown,
    faults: Map<string, number>,
  ): Promise<void> {
    const count = (faults.get(run.id) ?? 0) + 1;
    faults.set(run.id, count);
    lookDue = true;
    again = true;
    if (count < refusalLimit) return;
    faults.delete(run.id);
    await parkRun(run, error, "its events cannot be applied");
  }

  async function parkRun(run: OwnedRun, error: unknown, why: string): Promise<void> {
    owned.delete(run.id);
    scheduler.forget(run.id);
    const record = { ...toErrorRecord(error), message: rootMessage(error) };
    await turns.park(incarnation, run.id, run.epoch, record);
    log.error(`workflow run is parked: ${why}`, { workflowId: run.id, error: record.message });
  }

  /** Commits the batch; when the server refuses it, run by run, so that only the offender is held up. */
  async function commit(batch: readonly TurnOfRun[], applied: readonly PendingEvent[]) {
    try {
      return {
        done: batch,
        outgoing: await turns.commit(incarnation, batch.map(toCommit), applied),
      };
    } catch (error) {
      if (!isRefusal(error)) throw error;
      if (batch.length === 1) {
        for (const { run } of batch) await refuse(run, error);
        throw error;
      }
    }
    const done: TurnOfRun[] = [];
    const outgoing: Outgoing[] = [];
    for (const one of batch) {
      const mail = applied.filter(({ workflowId }) => workflowId === one.run.id);
      try {
        outgoing.push(...(await turns.commit(incarnation, [toCommit(one)], mail)));
        done.push(one);
      } catch (error) {
        if (!isRefusal(error) && !(error instanceof PoolsFullError)) throw error;
        // Memory may be behind the database: it is read again before the next try.
        stale = true;
        if (isRefusal(error)) await refuse(one.run, error);
      }
    }
    return { done, outgoing };
  }

  /** After the third refusal in a row the run is parked, where people see it. */
  async function refuse(run: OwnedRun, error: unknown): Promise<void> {
    const count = (refusals.get(run.id) ?? 0) + 1;
    refusals.set(run.id, count);
    if (count < refusalLimit) return;
    refusals.delete(run.id);
    await parkRun(run, error, "its state cannot be stored");
  }

  /** What waits in mailboxes and timers, when it is time to look. */
  async function look(): Promise<readonly PendingEvent[]> {
    if (!lookDue) return [];
    lookDue = false;
    const found = await turns.pending(incarnation, mailPerTurn);
    clockOffsetMs = found.nowMs - performance.now();
    nextDueMs = found.nextDueMs ?? Number.POSITIVE_INFINITY;
    if (found.events.length >= mailPerTurn) {
      lookDue = true;
      again = true;
    }
    return found.events;
  }

  /** Time of the database, as of the last look; it never goes back. Whole milliseconds, as stored. */
  function clockMs(): number {
    newestMs = Math.max(newestMs, Math.floor(clockOffsetMs + performance.now()));
    return newestMs;
  }

  async function takeTurn(): Promise<void> {
    const stored = await look();
    const nowMs = clockMs();
    inTurn = submitted.splice(0, mailPerTurn);
    const events = [...stored, ...inTurn.flatMap((one) => pendingOf(one, nowMs))];
    if (overdueDue) await ownership.loseOverdue(nowMs);
    overdueDue = false;
    const applying = await apply(events);
    const open = new Map([...applying].map(([id, { turn }]) => [id, turn]));
    const claims = await dispatchReady(open, nowMs);
    if (claims === undefined) return takeAgain();
    const batch = [...open].flatMap(([id, turn]): TurnOfRun[] => {
      const run = owned.get(id);
      return run === undefined
        ? []
        : [
            {
              run,
              turn,
              claims: claims.get(id) ?? noClaims,
              answers: applying.get(id)?.answers ?? noAnswers,
            },
          ];
    });
    if (batch.length > 0 || events.length > 0) {
      // Mail of a run that is not ours any more belongs to its new owner.
      const applied = events.filter(({ workflowId }) => open.has(workflowId));
      const committed = await commit(batch, applied).catch((error: unknown) => {
        if (!(error instanceof PoolsFullError)) throw error;
        // Nothing was written: the turns are taken again, and leave those pools out.
        scheduler.giveUp(open, error.pools);
      });
      if (committed === undefined) return takeAgain();
      const { done, outgoing } = committed;
      perform(done);
      ownership.send(outgoing);
      for (const { run, answers: given } of done) answers.settle(run.id, given);
      const written = new Set(done.map(({ run }) => run.id));
      for (const one of inTurn) one.settle(written.has(one.workflowId));
    }
    inTurn = [];
    if (submitted.length > 0) again = true;
    const due = batch.flatMap(({ turn }) =>
      [...turn.timers().values()].flatMap((timer) => timer?.dueAtMs ?? []),
    );
    nextDueMs = Math.min(nextDueMs, ...due);
    const poolsMs = await scheduler.queueUp(nowMs);
    armTimer(Math.min(nextDueMs, poolsMs ?? Number.POSITIVE_INFINITY) - nowMs);
  }

  /** Undefined when the rules threw for one run: the others' turns are taken again without what it did. */
  async function dispatchReady(open: Map<string, Turn>, nowMs: number) {
    try {
      return await scheduler.dispatch(open, nowMs);
    } catch (error) {
      if (!(error instanceof DispatchFault)) throw error;
      const run = owned.get(error.workflowId);
      if (run !== undefined) await failTurn(run, error.cause, dispatchFaults);
      stale = true;
      return undefined;
    }
  }

  /** Nothing was written: what this turn took from memory waits for the next one. */
  function takeAgain(): void {
    submitted.unshift(...inTurn);
    inTurn = [];
    lookDue = true;
    again = true;
  }

  /** After the commit: memory follows, then the effects that are not in the outbox. */
  function perform(batch: readonly TurnOfRun[]): void {
    const dispatches: Dispatch[] = [];
    for (const { run, turn } of batch) {
      refusals.delete(run.id);
      dispatchFaults.delete(run.id);
      turn.advance(run.state);
      reindex(run, turn.changed().keys());
      for (const effect of turn.effects()) {
        if (effect.type === "abort") options.abort({ workflowId: run.id, ...effect });
        if (effect.type !== "dispatch") continue;
        if (effect.local === true) options.runLocal(run, effect.taskKey, effect.attempt);
        else dispatches.push(ownership.dispatchOf(run, effect.taskKey, effect.attempt));
      }
      options.onTurn(run, turn.changed(), turn.journal());
      if (isTerminal(run.state.status) && run.inFlight.size === 0) owned.delete(run.id);
    }
    // All of a turn at once: the queue takes many as fast as one.
    if (dispatches.length > 0) options.dispatch(dispatches);
  }

  function armTimer(inMs: number): void {
    clearTimeout(dueTimer);
    if (!Number.isFinite(inMs) || stopped) return;
    dueTimer = setTimeout(wake, Math.min(Math.max(inMs, 0) + 1, longestTimerMs));
  }

  function wake(): void {
    lookDue = true;
    turnSoon();
  }

  function turnSoon(): void {
    if (stopped) return;
    again = true;
    turning ??= loop().finally(() => {
      turning = undefined;
      // A wake between the loop's last look and this line must not be lost.
      if (again) turnSoon();
    });
  }

  async function loop(): Promise<void> {
    while (again && !stopped) {
      again = false;
      const watchdog = setTimeout(() => options.onFatal("stuck"), turnLimitMs);
      try {
        if (stale) {
          lookDue = true;
          scheduler.clear();
          await ownership.reload();
        }
        stale = false;
        if (claimDue) await ownership.claim();
        overdueDue ||= claimDue;
        claimDue = false;
        await takeTurn();
        if (pauseMs > 0) log.info("workflow engine: the database answers again");
        pauseMs = 0;
      } catch (error) {
        // The commit, or the claim, may or may not have happened.
        again = true;
        stale = true;
        for (const one of inTurn) one.fail(error);
        inTurn = [];
        await recover(error);
      } finally {
        clearTimeout(watchdog);
      }
    }
  }

  async function recover(error: unknown): Promise<void> {
    if (error instanceof OwnershipLostError) {
      for (const id of error.workflowIds) {
        ownership.drop(id);
        scheduler.forget(id);
      }
      return;
    }
    if (isDiskFull(error)) options.onFatal("disk-full", error);
    if (pauseMs === 0) {
      log.warn("workflow engine: cannot reach the database, waiting", {
        error: rootMessage(error),
      });
    }
    pauseMs = Math.min(Math.max(pauseMs * 2, firstPauseMs), longestPauseMs);
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }

  async function maintain(): Promise<void> {
    try {
      await nodes.renew(incarnation);
      await options.listen();
    } catch (error) {
      log.debug("workflow engine: cannot renew the lease", { error: String(error) });
    }
    const isLookDue = ticks % ticksPerLook === 0;
    ticks += 1;
    claimDue ||= isLookDue;
    if (isLookDue || owned.size > 0) wake();
    if (!stopped) tick = setTimeout(() => void maintain(), tickMs);
  }

  return {
    start: async () => {
      await maintain();
      await turning;
    },
    wake,
    owned: () => owned,
    heldBy: scheduler.hold,
    holders: scheduler.holders,
    submit: (workflowId, ...events) => {
      if (stopped || !owned.has(workflowId)) return Promise.resolve(false);
      return new Promise((settle, fail) => {
        submitted.push({ workflowId, events, settle, fail });
        turnSoon();
      });
    },
    answered: answers.answered,
    stop: async () => {
      stopped = true;
      clearTimeout(tick);
      clearTimeout(dueTimer);
      await turning;
      for (const one of submitted.splice(0)) one.settle(false);
    },
  };
}

function pendingOf({ workflowId, events }: Submitted, atMs: number): PendingEvent[] {
  return events.map((event) => ({ mailboxId: null, timerKey: null, workflowId, event, atMs }));
}

function toCommit({ run, turn, claims, answers }: TurnOfRun): CommittedRun {
  return {
    run: turn.run(),
    epoch: run.epoch,
    journal: turn.journal(),
    timers: turn.timers(),
    // An aborted attempt is lost with its node, and the state of a task says that it is dispatched.
    effects: turn
      .effects()
      .filter(({ type }) => type !== "abort" && type !== "dispatch") as unknown as Json[],
    tasks: [...turn.changed().values()],
    actions: actionsOf(run.plan),
    claims,
    answers,
  };
}
