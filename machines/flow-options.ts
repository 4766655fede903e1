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
  /** Template over the input: `"{customer}"`. Runs count together when it gives the same text. Default: all do. */
  readonly key?: string;
  /** From 1. Default 1. */
  readonly limit?: number;
  /** Default `queue`. */
  readonly whenFull?: WhenFull;
}

/** Of a task: attempts whose key gives the same text count together, over all workflows and nodes. */
export interface KeyLimit {
  /** Template over the run's input, and over `item` in a fan-out: `"customer/{customer.id}"`. */
  readonly key: string;
  /** Attempts in flight at once. Default: what the configuration says of the key, else 1. */
  readonly limit?: number;
  readonly rate?: RateLimit;
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

export function toKeyLimit(key: string | KeyLimit): KeyLimit {
  return typeof key === "string" ? { key } : key;
}

/** The limits of a pool that all nodes share; `named` is what a definition says of the key. */
export function limitOf(pool: string, limits: FlowLimits, named: KeyLimit | undefined): PoolLimit {
  if (pool === globalPool) return limits.global ?? {};
  const agent = pool.startsWith(agentPool("")) ? pool.slice(agentPool("").length) : undefined;
  if (agent !== undefined) return limits.agents?.[agent] ?? {};
  const configured = configuredKey(pool.slice(keyPool("").length), limits.keys ?? {});
  const limit = smaller(configured?.limit, named?.limit) ?? defaultKeyLimit;
  const rate = configured?.rate ?? named?.rate;
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

const placeholder = /\{([^{}]+)\}/g;

/** Names that a template reads, without the paths below them: `"{customer.id}"` reads `customer`. */
export function namesIn(template: string): readonly string[] {
  return [...template.matchAll(placeholder)].map(([, path = ""]) => path.split(".")[0] ?? "");
}

/** Fills a template in; a value that is not there leaves nothing. */
export function renderKey(template: string, values: Readonly<Record<string, Json>>): string {
  const text = template.replaceAll(placeholder, (_, path: string) => {
    const value = valueAt(values, path.split("."));
    if (value === undefined || value === null) return "";
    return typeof value === "object" ? JSON.stringify(value) : String(value);
  });
  return text.slice(0, maxKeyLength);
}

function valueAt(from: Json | undefined, path: readonly string[]): Json | undefined {
  const [name, ...rest] = path;
  if (name === undefined) return from;
  if (typeof from !== "object" || from === null || Array.isArray(from)) return undefined;
  const fields = from as Readonly<Record<string, Json>>;
  return Object.hasOwn(fields, name) ? valueAt(fields[name], rest) : undefined;
}

/** What is wrong with the options of a definition, each with its place; empty when nothing is. */
export function checkRunConcurrency(
  { key, limit, whenFull }: RunConcurrency,
  params: readonly string[],
): readonly { readonly path: string; readonly detail: string }[] {
  const problems: { path: string; detail: string }[] = [];
  for (const name of namesIn(key ?? "")) {
    if (!params.includes(name)) {
      problems.push({ path: "key", detail: `reads "${name}", which is no param of the workflow` });
    }
  }
  if (limit !== undefined && !(Number.isInteger(limit) && limit >= 1)) {
    problems.push({ path: "limit", detail: "must be a whole number from 1" });
  }
  if (whenFull !== undefined && !whenFullPolicies.includes(whenFull)) {
    problems.push({ path: "whenFull", detail: `must be one of ${whenFullPolicies.join(", ")}` });
  }
  return problems;
}
