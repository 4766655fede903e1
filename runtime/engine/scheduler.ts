/**
 * Turns ready tasks of owned runs into dispatch events, within the limits of the node and of all nodes.
 *
 * The queue and the books live in `machines/admission` and follow each turn; pools of all nodes are
 * looked at before the decision and taken in the transaction of the turn (`db/slot-repo`), which may
 * find that another node was faster: then the turn is taken again without them.
 *
 * @module
 */

import type { PoolsView, RateClaim, SlotClaim, SlotRepo } from "../../db/slot-repo.ts";
import { createAdmission, type Hold } from "../../machines/admission.ts";
import { isRatePool, type PoolView } from "../../machines/pools.ts";
import { burstOf, type RateLimit, readyAtMs } from "../../machines/rate-limit.ts";
import type { Candidate, TaskRef } from "../../machines/ready-tree.ts";
import { defaultPriority } from "../../machines/run/plan.ts";
import { isAtWork, type RunFields, type TaskState } from "../../machines/run/state.ts";
import { beginTurn, type Turn } from "../../machines/run/turn.ts";
import type { OwnedRun } from "./owned-run.ts";
import { createPoolLimits, type EngineLimits, isShared } from "./pool-limits.ts";

export type { EngineLimits } from "./pool-limits.ts";

/** Pools of all nodes that one turn looks at; of the others the commit decides alone. */
const viewLimit = 1_000;
/** How soon a pool that other nodes fill is looked at again; doubles to the limit. */
const firstLookMs = 20;
const longestLookMs = 250;

export interface SchedulerOptions {
  readonly incarnation: string;
  readonly owned: ReadonlyMap<string, OwnedRun>;
  readonly slots: Pick<SlotRepo, "view" | "queue">;
  readonly limits: EngineLimits;
  readonly random: () => number;
}

/** The rules threw for a task that was to be dispatched: a mistake of ours, and this run's alone. */
export class DispatchFault extends Error {
  override readonly name = "DispatchFault";
  readonly workflowId: string;

  constructor(workflowId: string, cause: unknown) {
    super(`Cannot dispatch a task of run ${workflowId}: the rules threw`, { cause });
    this.workflowId = workflowId;
  }
}

/** What a run's turn takes of the pools of all nodes. */
export interface Claims {
  readonly slots: readonly SlotClaim[];
  readonly rates: readonly RateClaim[];
}

export const noClaims: Claims = { slots: [], rates: [] };

export interface Scheduler {
  /** A run is in memory now, or what is in memory counts again after its turn was given up. */
  follow(run: OwnedRun): void;
  forget(workflowId: string): void;
  clear(): void;
  /**
   * Applies a dispatch event for each task that fits, opening turns where there is none yet: `open` grows.
   * @throws {DispatchFault} Then the turns are worth nothing, and the books are to be cleared.
   */
  dispatch(open: Map<string, Turn>, nowMs: number): Promise<ReadonlyMap<string, Claims>>;
  /** Leaves tickets in pools that other nodes fill; after the commit. Returns when to look again, if at all. */
  queueUp(nowMs: number): Promise<number | undefined>;
  /** The commit found these pools full: the turns are given up, and the next decision leaves the pools out. */
  giveUp(open: ReadonlyMap<string, Turn>, pools: readonly string[]): void;
  /** Why a ready task is not dispatched. */
  hold(workflowId: string, taskKey: string): Hold | undefined;
  /** Tasks of this node's runs that hold a share of the pool. */
  holders(pool: string): readonly TaskRef[];
}

const nothingShared: PoolsView = { elsewhere: new Map(), tokens: new Map(), ticketed: new Set() };

export function createScheduler(options: SchedulerOptions): Scheduler {
  const { incarnation, owned, slots } = options;
  const limits = createPoolLimits(options.limits);
  const tenants = options.limits.flow?.tenants ?? {};
  const ageingMs = options.limits.flow?.ageingMs;
  const admission = createAdmission({
    weight: (tenant) => tenants[tenant]?.weight ?? 1,
    ...(ageingMs === undefined ? {} : { ageingMs }),
  });
  let shared = nothingShared;
  let contested: ReadonlySet<string> = new Set();
  let lookMs = firstLookMs;

  const view: PoolView = {
    limit: (pool) => {
      if (contested.has(pool)) return 0;
      const rate = limits.rate(pool);
      if (rate !== undefined) return shared.tokens.get(pool) ?? burstOf(rate);
      return limits.limit(pool, owned);
    },
    elsewhere: (pool) => shared.elsewhere.get(pool) ?? 0,
  };

  function track(run: OwnedRun, fields: RunFields, task: TaskState): void {
    const planned = run.plan.tasks.get(task.plan);
    const isReady =
      task.status === "ready" && fields.status === "running" && planned?.kind === "action";
    if (planned === undefined || (!isReady && !isAtWork(task, run.plan))) {
      admission.gone({ workflowId: run.id, taskKey: task.key });
      return;
    }
    const candidate: Candidate = {
      workflowId: run.id,
      taskKey: task.key,
      tenant: run.tenant,
      agent: planned.agent,
      priority: priorityOf(task.priority ?? planned.priority, fields.priority),
      readySinceMs: task.readyAtMs ?? 0,
      urgent: task.urgent,
      agentDemands: limits.agentDemands(planned.agent),
      demands: limits.taskDemands(run, task),
    };
    if (isReady) admission.ready(candidate);
    else admission.inFlight(candidate);
  }

  function follow(run: OwnedRun): void {
    for (const key of [...run.ready, ...run.inFlight]) {
      const task = run.state.tasks.get(key);
      if (task !== undefined) track(run, run.state, task);
    }
  }

  /** Brings the books in line with an open turn. */
  function followTurn(run: OwnedRun, turn: Turn): void {
    const fields = turn.run();
    for (const { state } of turn.changed().values()) track(run, fields, state);
    const isAsBefore = fields.status === run.state.status && fields.priority === run.state.priority;
    if (isAsBefore) return;
    for (const key of run.ready) {
      const task = turn.task(key);
      if (task !== undefined) track(run, fields, task);
    }
  }

  /** What other nodes have; no question is asked while no task asks for what all nodes share. */
  async function look(): Promise<PoolsView> {
    const pools: string[] = [];
    const rates = new Map<string, RateLimit>();
    for (const pool of admission.asked()) {
      if (!isShared(pool)) continue;
      if (pools.length + rates.size >= viewLimit) break;
      const rate = limits.rate(pool);
      if (rate !== undefined) rates.set(pool, rate);
      else if (!isRatePool(pool)) pools.push(pool);
    }
    if (pools.length + rates.size === 0) return nothingShared;
    return await slots.view(incarnation, pools, rates);
  }

  function dispatchTask(turn: Turn, { workflowId, taskKey }: TaskRef, atMs: number): void {
    try {
      turn.apply({ type: "task.dispatch", taskKey, node: incarnation, by: "scheduler", atMs });
    } catch (error) {
      throw new DispatchFault(workflowId, error);
    }
  }

  function claimsOf(admitted: readonly Candidate[], open: ReadonlyMap<string, Turn>) {
    const claims = new Map<string, { slots: SlotClaim[]; rates: RateClaim[] }>();
    for (const { workflowId, taskKey, agentDemands, demands, urgent } of admitted) {
      const attempt = open.get(workflowId)?.task(taskKey)?.attempt;
      if (attempt === undefined) continue;
      const ofRun = claims.get(workflowId) ?? { slots: [], rates: [] };
      for (const { pool } of [...agentDemands, ...demands]) {
        const rate = limits.rate(pool);
        if (rate !== undefined && urgent !== true) ofRun.rates.push({ pool, rate, count: 1 });
        else if (rate === undefined && isShared(pool)) {
          const limit = urgent === true ? null : limits.limit(pool, owned);
          ofRun.slots.push({ pool, workflowId, taskKey, attempt, limit });
        }
      }
      if (ofRun.slots.length + ofRun.rates.length > 0) claims.set(workflowId, ofRun);
    }
    return claims;
  }

  return {
    follow,
    forget: admission.forget,
    clear: admission.clear,
    holders: admission.holders,
    hold: (workflowId, taskKey) => admission.hold({ workflowId, taskKey }, view),
    dispatch: async (open, nowMs) => {
      for (const [id, turn] of open) {
        const run = owned.get(id);
        if (run !== undefined) followTurn(run, turn);
      }
      shared = await look();
      const admitted = admission.admit(view);
      for (const { workflowId, taskKey } of admitted) {
        const run = owned.get(workflowId);
        if (run === undefined) continue;
        const turn = open.get(workflowId) ?? beginTurn(run.state, run.plan, options.random);
        open.set(workflowId, turn);
        dispatchTask(turn, { workflowId, taskKey }, nowMs);
        // What the run itself does not let go (its budget is spent) is not in flight after all.
        const task = turn.task(taskKey);
        if (task !== undefined && task.status !== "dispatched") track(run, turn.run(), task);
      }
      const claims = claimsOf(admitted, open);
      if (claims.size > 0) lookMs = firstLookMs;
      return claims;
    },
    queueUp: async (nowMs) => {
      const waiting = [...admission.lacks(view)].filter(([pool]) => isShared(pool));
      const times = waiting.flatMap(([pool]) => {
        const rate = limits.rate(pool);
        if (rate === undefined) return [];
        return [readyAtMs(rate, view.limit(pool) - admission.used(pool), nowMs)];
      });
      const full = waiting.filter(
        ([pool]) => !isRatePool(pool) && (contested.has(pool) || view.elsewhere(pool) > 0),
      );
      const tickets = full.flatMap(([pool, task]) =>
        shared.ticketed.has(pool) ? [] : [{ pool, ...task }],
      );
      contested = new Set();
      await slots.queue(incarnation, tickets);
      lookMs = full.length === 0 ? firstLookMs : Math.min(lookMs * 2, longestLookMs);
      if (full.length > 0) times.push(nowMs + lookMs);
      return times.length === 0 ? undefined : Math.max(Math.min(...times), nowMs + 1);
    },
    giveUp: (open, pools) => {
      contested = new Set([...contested, ...pools]);
      for (const [id, turn] of open) {
        const run = owned.get(id);
        if (run === undefined) continue;
        for (const key of turn.changed().keys()) {
          const task = run.state.tasks.get(key);
          if (task === undefined) admission.gone({ workflowId: id, taskKey: key });
          else track(run, run.state, task);
        }
        follow(run);
      }
    },
  };
}

/** A run of priority 5 lifts its tasks by 2, one of priority 1 lowers them by 2. */
function priorityOf(ofTask: number, ofRun: number): number {
  return Math.min(5, Math.max(1, ofTask + ofRun - defaultPriority));
}
