/**
 * Which pools a task takes a share of, and how much there is of each.
 *
 * @module
 */

import type { TaskDefinition } from "../../actors/define-workflow.ts";
import { type FlowLimits, keyText, limitOf } from "../../machines/flow-options.ts";
import {
  agentPool,
  capacityPool,
  connectionsPool,
  cpuPool,
  type Demand,
  globalPool,
  isLeasedPool,
  isRatePool,
  keyPool,
  kindOf,
  memoryPool,
  ratePool,
  workflowPool,
} from "../../machines/pools.ts";
import type { RateLimit } from "../../machines/rate-limit.ts";
import type { Resources } from "../../machines/resource-budget.ts";
import type { TaskState } from "../../machines/run/state.ts";
import { resolve } from "../../machines/run/values.ts";
import type { OwnedRun } from "./owned-run.ts";

export interface EngineLimits {
  /** Tasks of an agent at once on this node, now: 0 while it is paused or draining. */
  readonly agent: (name: string) => number;
  /** Database connections that an action needs. */
  readonly actionConnections: (agent: string, action: string) => number;
  /** Database connections for all agents of this node together. */
  readonly connections: number;
  /** Limits over all nodes, as configured. */
  readonly flow?: FlowLimits;
  /** What one task of an agent counts for. */
  readonly resources?: (agent: string) => Resources;
  /** What tasks of this node may take together. Default: no limit. */
  readonly budget?: Partial<Resources>;
}

export interface PoolLimits {
  /** What every task of the agent takes; the same object each time. */
  agentDemands(agent: string): readonly Demand[];
  /** What this task takes besides. */
  taskDemands(run: OwnedRun, task: TaskState): readonly Demand[];
  /** How much there is of a pool that is no rate; Infinity for no limit. */
  limit(pool: string, owned: ReadonlyMap<string, OwnedRun>): number;
  rate(pool: string): RateLimit | undefined;
}

/** Limits that definitions name, by pool; the newest are kept. */
const namedLimit = 50_000;

export function createPoolLimits(limits: EngineLimits): PoolLimits {
  const flow = limits.flow ?? {};
  const ofAgents = new Map<string, readonly Demand[]>();
  const named = new Map<string, number>();

  /** The pool itself where it is limited, and its rate where it has one. */
  function shared(pool: string): Demand[] {
    const { limit, rate } = limitOf(pool, flow, named.get(pool));
    return [
      ...(limit === undefined ? [] : [{ pool, amount: 1 }]),
      ...(rate === undefined ? [] : [{ pool: ratePool(pool), amount: 1 }]),
    ];
  }

  function agentDemands(agent: string): readonly Demand[] {
    const known = ofAgents.get(agent);
    if (known !== undefined) return known;
    const capacity = { pool: capacityPool(agent), amount: 1 };
    const demands = [capacity, ...shared(agentPool(agent)), ...shared(globalPool)];
    ofAgents.set(agent, demands);
    return demands;
  }

  function taskDemands(run: OwnedRun, task: TaskState): readonly Demand[] {
    const planned = run.plan.tasks.get(task.plan);
    if (planned === undefined) return [];
    const { agent, action } = planned;
    const { cpu, memoryMb } = limits.resources?.(agent) ?? { cpu: 0, memoryMb: 0 };
    const key = keyPoolOf(run, task, run.definition.stages[planned.stage]?.tasks[planned.key]);
    const own: Demand[] = [
      { pool: connectionsPool, amount: limits.actionConnections(agent, action) },
      { pool: cpuPool, amount: limits.budget?.cpu === undefined ? 0 : cpu },
      { pool: memoryPool, amount: limits.budget?.memoryMb === undefined ? 0 : memoryMb },
    ];
    return [...own.filter(({ amount }) => amount > 0), ...(key === undefined ? [] : shared(key))];
  }

  function keyPoolOf(
    run: OwnedRun,
    task: TaskState,
    definition: TaskDefinition | undefined,
  ): string | undefined {
    if (definition?.concurrencyKey === undefined) return undefined;
    const pool = keyPool(keyOf(run, task, definition.concurrencyKey));
    if (definition.concurrencyLimit !== undefined) {
      if (named.size >= namedLimit) named.clear();
      named.set(pool, definition.concurrencyLimit);
    }
    return pool;
  }

  return {
    agentDemands,
    taskDemands,
    limit: (pool, owned) => {
      const kind = kindOf(pool);
      switch (kind) {
        case "capacity":
          return limits.agent(pool.slice(capacityPool("").length));
        case "workflow":
          return owned.get(pool.slice(workflowPool("").length))?.plan.maxParallel ?? 0;
        case "connections":
          return limits.connections;
        case "cpu":
          return limits.budget?.cpu ?? Number.POSITIVE_INFINITY;
        case "memory":
          return limits.budget?.memoryMb ?? Number.POSITIVE_INFINITY;
        case "global":
        case "agent":
        case "key":
          return limitOf(pool, flow, named.get(pool)).limit ?? Number.POSITIVE_INFINITY;
        case "rate":
          return Number.POSITIVE_INFINITY;
        default:
          return kind satisfies never;
      }
    },
    rate: (pool) =>
      isRatePool(pool) ? limitOf(pool.slice(ratePool("").length), flow, undefined).rate : undefined,
  };
}

/** A reference that leads nowhere makes a key of its own: the task will fail by itself, and hold up none. */
function keyOf(run: OwnedRun, task: TaskState, template: unknown): string {
  try {
    const scope = {
      input: run.state.input,
      output: (key: string) => run.state.outputs.get(key),
      ...(task.index === null ? {} : { item: task.item, index: task.index }),
    };
    return keyText(resolve(template, scope));
  } catch {
    return `unresolved/${run.id}/${task.key}`;
  }
}

/** Shared by all nodes: slots or tokens are taken with the commit. */
export function isShared(pool: string): boolean {
  return isLeasedPool(pool) || isRatePool(pool);
}
