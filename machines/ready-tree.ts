/**
 * The tree that ready tasks wait in: each level is a heap of what is below it.
 *
 * ```
 * agent ─ tenant ─ class (same demands) ─ lane (same run) ─ entry (task)
 * ```
 *
 * @module
 */

import { createTurns, type Turns } from "./fair-turns.ts";
import { createIndexedHeap, type IndexedHeap } from "./indexed-heap.ts";
import { type Demand, workflowPool } from "./pools.ts";

export interface TaskRef {
  readonly workflowId: string;
  readonly taskKey: string;
}

export interface Candidate extends TaskRef {
  /** Whom the run counts for; empty for nobody in particular. */
  readonly tenant: string;
  readonly agent: string;
  /** 1 to 5, higher first. */
  readonly priority: number;
  /** Epoch ms since when the task is ready; older first. */
  readonly readySinceMs: number;
  /** An operator wants it now: it comes first, and nothing but the agent's capacity holds it. */
  readonly urgent?: boolean;
  /** What every task of the agent takes: the same object for all of them. */
  readonly agentDemands: readonly Demand[];
  /** What this task takes besides; its run's pool comes by itself. */
  readonly demands: readonly Demand[];
}

export interface Entry {
  readonly candidate: Candidate;
  readonly rank: number;
  readonly seq: number;
  lane: Lane | undefined;
}

/** Tasks of one run with the same demands. */
export interface Lane {
  readonly pool: string;
  readonly entries: IndexedHeap<Entry>;
  readonly class: Class;
  parkedOn: string | undefined;
}

export interface Class {
  readonly demands: readonly Demand[];
  readonly lanes: Map<string, Lane>;
  readonly open: IndexedHeap<Lane>;
  readonly tenant: TenantNode;
  readonly key: string;
  parkedOn: string | undefined;
}

export interface TenantNode {
  readonly name: string;
  readonly agent: AgentNode;
  readonly classes: Map<string, Class>;
  readonly open: IndexedHeap<Class>;
  virtual: number;
}

export interface AgentNode {
  readonly key: string;
  /** Of all its tasks, or of none. */
  readonly urgent: boolean;
  demands: readonly Demand[];
  readonly tenants: Map<string, TenantNode>;
  readonly open: IndexedHeap<TenantNode>;
  readonly turns: Turns;
}

export function newAgent(key: string, urgent: boolean): AgentNode {
  const open = createIndexedHeap<TenantNode>((a, b) =>
    a.virtual === b.virtual ? isEntryBefore(firstEntry(a), firstEntry(b)) : a.virtual < b.virtual,
  );
  return { key, urgent, demands: [], tenants: new Map(), open, turns: createTurns() };
}

export function newTenant(name: string, agent: AgentNode): TenantNode {
  const open = createIndexedHeap<Class>((a, b) =>
    isEntryBefore(a.open.peek()?.entries.peek(), b.open.peek()?.entries.peek()),
  );
  return { name, agent, classes: new Map(), open, virtual: 0 };
}

export function newClass(key: string, demands: readonly Demand[], tenant: TenantNode): Class {
  const open = createIndexedHeap<Lane>((a, b) => isEntryBefore(a.entries.peek(), b.entries.peek()));
  return { key, demands, lanes: new Map(), open, tenant, parkedOn: undefined };
}

export function newLane(workflowId: string, group: Class): Lane {
  const entries = createIndexedHeap<Entry>(isBefore);
  return { pool: workflowPool(workflowId), entries, class: group, parkedOn: undefined };
}

export function firstEntry(tenant: TenantNode | undefined): Entry | undefined {
  return tenant?.open.peek()?.open.peek()?.entries.peek();
}

export function isBefore(a: Entry, b: Entry): boolean {
  return a.rank === b.rank ? a.seq < b.seq : a.rank < b.rank;
}

function isEntryBefore(a: Entry | undefined, b: Entry | undefined): boolean {
  return a !== undefined && (b === undefined || isBefore(a, b));
}
