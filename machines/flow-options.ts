/**
 * What people write to control the flow of work: limits by configuration, keys in definitions.
 *
 * @module
 */

import type { Json } from "./error-code.ts";
import { agentPool, globalPool, keyPool } from "./pools.ts";
import type { RateLimit } from "./rate-limit.ts";

/** What a start does when as many runs of its key are open as may be. */
export const whenFullPolicies = ["queue", "skip", "reject", "replace"] as const;

/**
 * `queue`: the run is stored and starts when one of the others ends, first come first served.
 * `skip`: no run is made; the answer is the newest run that is open.
 * `reject`: the start fails with `CONFLICT`, naming the runs that are open.
 * `replace`: the oldest open run is cancelled, runs that queue are too, and this one starts after them.
 */
export type WhenFull = (typeof whenFullPolicies)[number];

/** Of a definition: how many of its runs may be open at once. */
export interface RunConcurrency {
  /**
   * Runs count together when this gives the same value: constants and references to inputs, as in
   * `param("customer")`; the parts of a list are joined by slashes. Default: all runs count together.
   */
  readonly key?: unknown;
  /** From 1. Default 1. */
  readonly limit?: number;
  /** Default `queue`. */
  readonly whenFull?: WhenFull;
}

export interface PoolLimit {
  /** Attempts in flight at once, over all nodes. */
  readonly limit?: number;
  readonly rate?: RateLimit;
}

/** The part `limits` of the configuration. All of it is optional, and holds over all nodes. */
export interface FlowLimits {
  readonly global?: PoolLimit;
  readonly agents?: Readonly<Record<string, PoolLimit>>;
  /** By key, or by its beginning and a star: `"customer/*"`. The longest that fits counts. */
  readonly keys?: Readonly<Record<string, PoolLimit>>;
  readonly tenants?: Readonly<Record<string, { readonly weight: number }>>;
  /** How much waiting one level of priority is worth. Default one minute. */
  readonly ageingMs?: number;
}

/** A key of a task that says no limit, and of which the configuration says none: one at a time. */
const defaultKeyLimit = 1;
/** Longer keys are cut: an index row of the database has its size. */
const maxKeyLength = 500;

/** The limits of a pool that all nodes share; `named` is what a definition says of a key. */
export function limitOf(pool: string, limits: FlowLimits, named: number | undefined): PoolLimit {
  if (pool === globalPool) return limits.global ?? {};
  const agent = pool.startsWith(agentPool("")) ? pool.slice(agentPool("").length) : undefined;
  if (agent !== undefined) return limits.agents?.[agent] ?? {};
  const configured = configuredKey(pool.slice(keyPool("").length), limits.keys ?? {});
  const limit = smaller(configured?.limit, named) ?? defaultKeyLimit;
  const rate = configured?.rate;
  return rate === undefined ? { limit } : { limit, rate };
}

function smaller(a: number | undefined, b: number | undefined): number | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return Math.min(a, b);
}

function configuredKey(
  key: string,
  keys: Readonly<Record<string, PoolLimit>>,
): PoolLimit | undefined {
  const exact = keys[key];
  if (exact !== undefined) return exact;
  const [longest] = Object.keys(keys)
    .filter((name) => name.endsWith("*") && key.startsWith(name.slice(0, -1)))
    .sort((a, b) => b.length - a.length);
  return longest === undefined ? undefined : keys[longest];
}

/** The text of a key whose references are filled in; a list gives its parts with slashes between. */
export function keyText(value: Json): string {
  const parts = Array.isArray(value) ? value : [value];
  const text = parts
    .map((part) => (typeof part === "string" ? part : JSON.stringify(part)))
    .join("/");
  return text.slice(0, maxKeyLength);
}
