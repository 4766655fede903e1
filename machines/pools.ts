/**
 * Pools: what tasks in flight take a share of, and how much of each is in use.
 *
 * What is in use is the sum over the tasks that are in flight now, so it cannot leak: a task that
 * is not in flight any more takes its share along. Pools of rates are different: a token that was
 * spent does not come back when the task ends.
 *
 * @module
 */

/** A share of a pool that a task holds while it is in flight, or a token that its dispatch costs. */
export interface Demand {
  readonly pool: string;
  readonly amount: number;
}

/** What a pool limits. `agent` and `key` and `global` hold over all nodes, the others on this one. */
export type PoolKind =
  | "global"
  | "agent"
  | "key"
  | "capacity"
  | "workflow"
  | "connections"
  | "cpu"
  | "memory"
  | "rate";

export const globalPool = "global";
export const connectionsPool = "connections";
export const cpuPool = "cpu";
export const memoryPool = "memory";

export const agentPool = (name: string): string => `agent/${name}`;
export const keyPool = (key: string): string => `key/${key}`;
/** What an agent's worker on this node takes at once. */
export const capacityPool = (agent: string): string => `capacity/${agent}`;
export const workflowPool = (id: string): string => `workflow/${id}`;
/** Tokens for dispatches into a pool: `rate/agent/NAME`, `rate/key/KEY`, `rate/global`. */
export const ratePool = (pool: string): string => `rate/${pool}`;

const kinds: ReadonlySet<string> = new Set<PoolKind>([
  "global",
  "agent",
  "key",
  "capacity",
  "workflow",
  "connections",
  "cpu",
  "memory",
  "rate",
]);

/** @throws {Error} For a name that none of the functions above made. */
export function kindOf(pool: string): PoolKind {
  const [kind = ""] = pool.split("/", 1);
  if (!kinds.has(kind)) throw new Error(`Cannot tell what the pool "${pool}" limits`);
  return kind as PoolKind;
}

export function isRatePool(pool: string): boolean {
  return pool.startsWith("rate/");
}

/** True for pools whose slots are rows that all nodes see. */
export function isLeasedPool(pool: string): boolean {
  return pool === globalPool || pool.startsWith("agent/") || pool.startsWith("key/");
}

/** What is known of pools beyond the tasks of this node. */
export interface PoolView {
  /** How much there is; of a rate, how many tokens there are now. Infinity for no limit. */
  limit(pool: string): number;
  /** What other nodes hold of it, and what they wait for before us. */
  elsewhere(pool: string): number;
}

export interface PoolUse {
  readonly used: number;
  readonly elsewhere: number;
  readonly limit: number;
}

export interface Ledger {
  /** A task is in flight now. */
  take(demands: readonly Demand[]): void;
  /** A task is not in flight any more. */
  give(demands: readonly Demand[]): void;
  use(pool: string, view: PoolView): PoolUse;
  /** True when `demand` has room. Who alone wants more than there is gets it when nobody else does. */
  fits(demand: Demand, view: PoolView): boolean;
  /** Forgets which tokens were spent: the next view counts them. */
  refill(): void;
  clear(): void;
}

/** Sums of fractions of cores differ in the last digits from what they should be. */
const epsilon = 1e-9;

export function createLedger(): Ledger {
  const held = new Map<string, { holders: number; amount: number }>();
  const spent = new Map<string, number>();

  function use(pool: string, view: PoolView): PoolUse {
    const used = isRatePool(pool) ? (spent.get(pool) ?? 0) : (held.get(pool)?.amount ?? 0);
    return { used, elsewhere: view.elsewhere(pool), limit: view.limit(pool) };
  }

  return {
    use,
    take: (demands) => {
      for (const { pool, amount } of demands) {
        if (isRatePool(pool)) {
          spent.set(pool, (spent.get(pool) ?? 0) + amount);
          continue;
        }
        const entry = held.get(pool);
        if (entry === undefined) held.set(pool, { holders: 1, amount });
        else {
          entry.holders += 1;
          entry.amount += amount;
        }
      }
    },
    give: (demands) => {
      for (const { pool, amount } of demands) {
        const entry = held.get(pool);
        if (entry === undefined) continue;
        entry.holders -= 1;
        entry.amount -= amount;
        if (entry.holders === 0) held.delete(pool);
      }
    },
    fits: ({ pool, amount }, view) => {
      const { used, elsewhere, limit } = use(pool, view);
      if (isRatePool(pool)) return used + amount <= limit;
      if (amount === 0) return true;
      const taken = used + elsewhere;
      return limit > 0 && (taken <= epsilon || taken + amount <= limit + epsilon);
    },
    refill: () => spent.clear(),
    clear: () => {
      held.clear();
      spent.clear();
    },
  };
}
