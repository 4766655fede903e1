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

import type { Clock, Log } from "../../actors/ports.ts";
import { nodeLeaseMs, type NodeRepo } from "../../db/node-repo.ts";
import type { RunRepo } from "../../db/run-repo.ts";
import { OwnershipLostError, type PendingEvent, type TurnRepo } from "../../db/turn-repo.ts";
import { admit, type Candidate, type Hold } from "../../machines/admission.ts";
import { backoffDelayMs } from "../../machines/backoff-delay.ts";
import type { Json } from "../../machines/error-code.ts";
import {
  beginTurn,
  type JournalDraft,
  type RunEffect,
  type RunEvent,
  type Turn,
} from "../../machines/run-turn.ts";
import { isTerminal, type OwnedRun, ownRun, reindex } from "./owned-run.ts";

/** Renew, claim, and look for mail that another node posted. A third of the lease at most. */
const tickMs = Math.floor(nodeLeaseMs / 3.4);
const mailPerTurn = 500;
const claimsPerTick = 100;
/** After a failed turn (the database is away) the next one waits this long, doubling to the limit. */
const firstPauseMs = 100;
const longestPauseMs = 2_000;

export interface EngineLimits {
  /** Tasks of an agent at once, now: 0 while it is paused or draining. */
  readonly agent: (name: string) => number;
  /** Database connections that an action needs. */
  readonly actionConnections: (agent: string, action: string) => number;
  /** Database connections for all agents of this node together. */
  readonly connections: number;
}

export interface Dispatch {
  readonly outboxId: number | null;
  readonly workflowId: string;
  readonly taskKey: string;
  readonly attempt: number;
  readonly priority: number;
}

export interface EngineOptions {
  readonly incarnation: string;
  readonly runs: RunRepo;
  readonly turns: TurnRepo;
  readonly nodes: NodeRepo;
  readonly limits: EngineLimits;
  readonly clock: Clock;
  readonly log: Log;
  /** From 0 to 1, for the jitter of retries. */
  readonly random: () => number;
  /** Performs dispatches; called after their commit, must be idempotent, must not throw. */
  dispatch(dispatches: readonly Dispatch[]): void;
  abort(workflowId: string, taskKey: string, attempt: number): void;
  /** After each committed turn of a run, with the keys and outputs of the tasks that changed. */
  onTurn(
    run: OwnedRun,
    changed: ReadonlyMap<string, Json | undefined>,
    journal: readonly JournalDraft[],
  ): void;
}

export interface Engine {
  start(): Promise<void>;
  /** Takes a turn soon; call it after posting mail. */
  wake(): void;
  /** Runs that this node owns and that are not finished. */
  owned(): ReadonlyMap<string, OwnedRun>;
  /** Why a ready task was not dispatched in the newest turn. */
  heldBy(workflowId: string, taskKey: string): Hold | undefined;
  /** Resolves once the event with this `commandId` was applied by this node. */
  applied(commandId: string): Promise<void>;
  /** Tasks in flight on nodes that are dead are lost; resolves after the mail was posted. */
  stop(): Promise<void>;
}

export function createEngine(options: EngineOptions): Engine {
  const { incarnation, runs, turns, nodes, limits, log } = options;
  const owned = new Map<string, OwnedRun>();
  const waiters = new Map<string, () => void>();
  let held = new Map<string, Hold>();
  let stopped = false;
  let turning: Promise<void> | undefined;
  let again = false;
  let pauseMs = 0;
  let tick: NodeJS.Timeout | undefined;
  let dueTimer: NodeJS.Timeout | undefined;

  async function load(ids: readonly string[]): Promise<void> {
    const missing = ids.filter((id) => !owned.has(id));
    for (const loaded of await runs.load(incarnation, missing)) {
      owned.set(loaded.run.id, ownRun(loaded));
    }
  }

  /** After taking a run over: attempts on dead nodes are lost, dispatches are made again. */
  async function recover(ids: readonly string[]): Promise<void> {
    const redispatch: Dispatch[] = [];
    for (const id of ids) {
      const run = owned.get(id);
      if (run === undefined) continue;
      for (const key of run.inFlight) {
        const task = run.state.tasks.get(key);
        if (task?.status !== "dispatched") continue;
        const priority = priorityOf(run, key);
        redispatch.push({
          outboxId: null,
          workflowId: id,
          taskKey: key,
          attempt: task.attempt,
          priority,
        });
      }
    }
    await loseOrphans();
    if (redispatch.length > 0) options.dispatch(redispatch);
  }

  function runningElsewhere(): { run: OwnedRun; key: string; attempt: number; node: string }[] {
    return [...owned.values()].flatMap((run) =>
      [...run.inFlight].flatMap((key) => {
        const task = run.state.tasks.get(key);
        if (task?.status !== "running" || task.node === null || task.node === incarnation)
          return [];
        return [{ run, key, attempt: task.attempt, node: task.node }];
      }),
    );
  }

  async function loseOrphans(): Promise<void> {
    const elsewhere = runningElsewhere();
    if (elsewhere.length === 0) return;
    const alive = await nodes.alive();
    for (const { run, key, attempt, node } of elsewhere) {
      if (alive.has(node)) continue;
      const event = {
        type: "task.lost",
        taskKey: key,
        attempt,
        reason: `node ${node} died`,
        by: incarnation,
      };
      await turns.post(run.id, event, `${run.id}/${key}/${attempt}/lost`);
    }
  }

  function priorityOf(run: OwnedRun, key: string): number {
    return run.plan.tasks.get(key)?.priority ?? 3;
  }

  /** Opens a turn for each run that has events; unknown runs are loaded first. */
  async function apply(events: readonly PendingEvent[]): Promise<Map<string, Turn>> {
    await load([...new Set(events.map(({ workflowId }) => workflowId))]);
    const open = new Map<string, Turn>();
    for (const { workflowId, event, atMs } of events) {
      const run = owned.get(workflowId);
      if (run === undefined) continue;
      const turn = open.get(workflowId) ?? beginTurn(run.state, run.plan);
      open.set(workflowId, turn);
      try {
        turn.apply({ ...(event as object), atMs } as RunEvent);
      } catch (error) {
        // A malformed event must not hold up the runs that share the batch.
        log.error("workflow engine: dropped an event that cannot be applied", {
          workflowId,
          event,
          error: String(error),
        });
      }
    }
    return open;
  }

  function candidates(open: ReadonlyMap<string, Turn>): {
    ready: Candidate[];
    byAgent: Map<string, number>;
    byWorkflow: Map<string, number>;
    connections: number;
  } {
    const ready: Candidate[] = [];
    const byAgent = new Map<string, number>();
    const byWorkflow = new Map<string, number>();
    let connections = 0;
    for (const run of owned.values()) {
      const turn = open.get(run.id);
      const state = turn?.state() ?? run.state;
      const keys = new Set([...run.ready, ...run.inFlight, ...(turn?.changed().keys() ?? [])]);
      for (const key of keys) {
        const task = state.tasks.get(key);
        const planned = run.plan.tasks.get(key);
        if (task === undefined || planned === undefined) continue;
        const need = limits.actionConnections(planned.agent, planned.action);
        if (task.status === "dispatched" || task.status === "running") {
          byAgent.set(planned.agent, (byAgent.get(planned.agent) ?? 0) + 1);
          byWorkflow.set(run.id, (byWorkflow.get(run.id) ?? 0) + 1);
          connections += need;
        } else if (task.status === "ready" && state.status === "running") {
          const priority = Math.max(planned.priority, Math.min(5, state.priority));
          const readySinceMs = task.readyAtMs ?? 0;
          ready.push({
            workflowId: run.id,
            taskKey: key,
            agent: planned.agent,
            priority,
            readySinceMs,
            connections: need,
          });
        }
      }
    }
    return { ready, byAgent, byWorkflow, connections };
  }

  /** Dispatches what fits, as events of the same turn. */
  function dispatchReady(open: Map<string, Turn>, atMs: number): void {
    const { ready, ...usage } = candidates(open);
    const decision = admit(ready, usage, {
      agent: limits.agent,
      workflow: (id) => owned.get(id)?.plan.maxParallel ?? 0,
      connections: limits.connections,
    });
    held = new Map(
      decision.held.map(({ candidate, by }) => [
        `${candidate.workflowId}/${candidate.taskKey}`,
        by,
      ]),
    );
    for (const { workflowId, taskKey } of decision.admitted) {
      const run = owned.get(workflowId);
      if (run === undefined) continue;
      const turn = open.get(workflowId) ?? beginTurn(run.state, run.plan);
      open.set(workflowId, turn);
      turn.apply({ type: "task.dispatch", taskKey, by: "scheduler", atMs });
    }
  }

  function timersOf(run: OwnedRun, effects: readonly RunEffect[], atMs: number) {
    return effects.flatMap((effect) => {
      if (effect.type !== "retry-timer") return [];
      const { taskKey, attempt, failures } = effect;
      const policy = run.plan.tasks.get(taskKey)?.backoff ?? {
        kind: "fixed",
        initialMs: 1_000,
        maxMs: 1_000,
      };
      const dueAtMs = atMs + backoffDelayMs(policy, failures, options.random());
      return [
        {
          key: `retry/${taskKey}`,
          event: { type: "retry.due", taskKey, attempt, by: "timer" },
          dueAtMs,
        },
      ];
    });
  }

  async function turn(): Promise<void> {
    const { nowMs, events, nextDueMs } = await turns.pending(incarnation, mailPerTurn);
    const open = await apply(events);
    dispatchReady(open, nowMs);
    let nextMs = nextDueMs;
    if (open.size > 0 || events.length > 0) {
      const batch = [...open].flatMap(([id, turned]) => {
        const run = owned.get(id);
        return run === undefined
          ? []
          : [{ run, turned, timers: timersOf(run, turned.effects(), nowMs) }];
      });
      const outgoing = await turns.commit(
        incarnation,
        batch.map(({ run, turned, timers }) => {
          const state = turned.state();
          return {
            state,
            epoch: run.epoch,
            journal: turned.journal(),
            timers,
            effects: turned
              .effects()
              .filter(({ type }) => type === "dispatch") as unknown as Json[],
            tasks: [...turned.changed()].flatMap(([key, output]) => {
              const task = state.tasks.get(key);
              return task === undefined ? [] : [{ state: task, output }];
            }),
          };
        }),
        events,
      );
      for (const { timers } of batch) {
        for (const { dueAtMs } of timers) nextMs = Math.min(nextMs ?? dueAtMs, dueAtMs);
      }
      perform(batch, outgoing);
      settle(events);
    }
    if (events.length >= mailPerTurn) again = true;
    armTimer(nextMs === null ? null : nextMs - nowMs);
  }

  function perform(
    batch: readonly { run: OwnedRun; turned: Turn }[],
    outgoing: Awaited<ReturnType<TurnRepo["commit"]>>,
  ): void {
    for (const { run, turned } of batch) {
      run.state = turned.state();
      reindex(run, turned.changed().keys());
      for (const effect of turned.effects()) {
        if (effect.type === "abort") options.abort(run.id, effect.taskKey, effect.attempt);
      }
      options.onTurn(run, turned.changed(), turned.journal());
      if (isTerminal(run.state.status) && run.inFlight.size === 0) owned.delete(run.id);
    }
    const dispatches = outgoing.map(({ outboxId, workflowId, effect }) =>
      toDispatch(outboxId, workflowId, effect),
    );
    if (dispatches.length > 0) options.dispatch(dispatches);
  }

  function toDispatch(outboxId: number, workflowId: string, effect: Json): Dispatch {
    const { taskKey, attempt } = effect as unknown as { taskKey: string; attempt: number };
    const run = owned.get(workflowId);
    return {
      outboxId,
      workflowId,
      taskKey,
      attempt,
      priority: run === undefined ? 3 : priorityOf(run, taskKey),
    };
  }

  /** Tells who waits for a command that it was applied. */
  function settle(events: readonly PendingEvent[]): void {
    for (const { event } of events) {
      const { commandId } = event as { commandId?: string };
      if (commandId === undefined) continue;
      waiters.get(commandId)?.();
      waiters.delete(commandId);
    }
  }

  function armTimer(inMs: number | null): void {
    clearTimeout(dueTimer);
    if (inMs !== null && !stopped)
      dueTimer = setTimeout(wake, Math.min(Math.max(inMs, 0) + 1, 60_000));
  }

  function wake(): void {
    if (stopped) return;
    again = true;
    turning ??= loop().finally(() => {
      turning = undefined;
      // A wake between the loop's last look and this line must not be lost.
      if (again && !stopped) wake();
    });
  }

  async function loop(): Promise<void> {
    while (again && !stopped) {
      again = false;
      try {
        await turn();
        if (pauseMs > 0) log.info("workflow engine: the database answers again");
        pauseMs = 0;
      } catch (error) {
        await afterFailure(error);
      }
    }
  }

  async function afterFailure(error: unknown): Promise<void> {
    if (error instanceof OwnershipLostError) {
      for (const id of error.workflowIds) dropRun(id);
      again = true;
      return;
    }
    // The commit may or may not have happened: forget what memory says and read again.
    owned.clear();
    if (pauseMs === 0) {
      log.warn("workflow engine: cannot reach the database, waiting", { error: String(error) });
    }
    pauseMs = Math.min(Math.max(pauseMs * 2, firstPauseMs), longestPauseMs);
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
    await reload().catch(() => {
      again = true;
    });
    again = true;
  }

  function dropRun(id: string): void {
    const run = owned.get(id);
    owned.delete(id);
    for (const key of run?.inFlight ?? []) {
      options.abort(id, key, run?.state.tasks.get(key)?.attempt ?? 0);
    }
    log.warn("workflow run was taken over by another node", { workflowId: id });
  }

  async function reload(): Promise<void> {
    await takeOver(await runs.openIds(incarnation));
  }

  async function takeOver(ids: readonly string[]): Promise<void> {
    await load(ids);
    await recover(ids);
    const taken = new Set(ids);
    const outgoing = await turns.outgoing(incarnation);
    options.dispatch(
      outgoing
        .filter(({ workflowId }) => taken.has(workflowId))
        .map((row) => toDispatch(row.outboxId, row.workflowId, row.effect)),
    );
  }

  async function maintain(): Promise<void> {
    try {
      await nodes.renew(incarnation);
      const claimed = await runs.claim(incarnation, claimsPerTick);
      if (claimed.length > 0) {
        await takeOver(claimed);
      } else {
        await loseOrphans();
      }
    } catch (error) {
      log.debug("workflow engine: tick failed", { error: String(error) });
    }
    wake();
    if (!stopped) tick = setTimeout(() => void maintain(), tickMs);
  }

  return {
    start: () => maintain(),
    wake,
    owned: () => owned,
    heldBy: (workflowId, taskKey) => held.get(`${workflowId}/${taskKey}`),
    applied: (commandId) =>
      new Promise((resolve) => {
        waiters.set(commandId, resolve);
      }),
    stop: async () => {
      stopped = true;
      clearTimeout(tick);
      clearTimeout(dueTimer);
      await turning;
    },
  };
}
