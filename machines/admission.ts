/**
 * Which ready tasks may be dispatched now: an incremental queue of all that is ready, and books of
 * all that is in flight. A decision costs the logarithm of what waits; what cannot go now is put
 * aside under the pool that it lacks, and is looked at again when that pool has room.
 *
 * The order, from the outside in:
 * 1. Between tenants turns are taken by virtual time (start-time fair queueing): a tenant of weight
 *    2 gets twice the dispatches of one of weight 1, and who waited idle saves up nothing. There is
 *    one account per tenant and agent, and one per tenant over all agents for what agents share.
 * 2. Within a tenant the priority decides, with ageing: each level is worth `ageingMs` of waiting,
 *    so that a task that waits is overtaken for a bounded time only. `readyAt - priority * ageingMs`
 *    does not change while a task waits, so ageing costs nothing.
 *
 * ```
 * agent ─ tenant ─ class (same demands) ─ lane (same run) ─ entry (task)
 * ```
 *
 * @module
 */

import {
  allDemands,
  classKey,
  holding,
  isAlike,
  isSameHolder,
  leastOf,
  refOf,
} from "./candidate.ts";
import { createTurns } from "./fair-turns.ts";
import {
  createLedger,
  type Demand,
  kindOf,
  type PoolKind,
  type PoolView,
  workflowPool,
} from "./pools.ts";
import {
  type AgentNode,
  type Candidate,
  type Class,
  type Entry,
  firstEntry,
  isBefore,
  type Lane,
  newAgent,
  newClass,
  newLane,
  newTenant,
  type TaskRef,
  type TenantNode,
} from "./ready-tree.ts";

/** One level of priority is worth this much waiting: 1 outranks any new 5 after four minutes. */
export const defaultAgeingMs = 60_000;

/** Why a ready task is not dispatched, as data. `turn`: nothing is lacking, it comes after others. */
export interface Hold {
  readonly by: PoolKind | "turn";
  /** The pool that has no room; empty for `turn`. */
  readonly pool: string;
  /** By tasks of runs that this node owns. */
  readonly used: number;
  /** By other nodes. */
  readonly elsewhere: number;
  readonly limit: number;
  /** Tasks of the same tenant and agent that come before it. */
  readonly ahead: number;
}

export interface Admission {
  /** The task is ready: it waits for its turn. Again with other figures: it changes its place. */
  ready(candidate: Candidate): void;
  /** The task is in flight and holds its demands. */
  inFlight(candidate: Candidate): void;
  /** The task is neither. */
  gone(task: TaskRef): void;
  /** All tasks of the run are gone. */
  forget(workflowId: string): void;
  /** Takes all that fits, in order; from then on they are in flight in the books. */
  admit(view: PoolView): readonly Candidate[];
  /** Why a ready task waits; undefined when it is not ready. */
  hold(task: TaskRef, view: PoolView): Hold | undefined;
  /** Pools that hold tasks up now, each with one task that would go first if it had room. */
  lacks(view: PoolView): ReadonlyMap<string, TaskRef>;
  /** Tasks of this node that hold a share of the pool. */
  holders(pool: string): readonly TaskRef[];
  /** What tasks of this node use of the pool. */
  used(pool: string): number;
  /** Pools that ready tasks ask for. */
  asked(): Iterable<string>;
  readonly waiting: number;
  clear(): void;
}

export interface AdmissionOptions {
  readonly ageingMs?: number;
  /** Of a tenant, above 0; 1 for most. */
  readonly weight?: (tenant: string) => number;
}

export function createAdmission(options: AdmissionOptions = {}): Admission {
  const ageingMs = options.ageingMs ?? defaultAgeingMs;
  const weight = options.weight ?? (() => 1);
  const agents = new Map<string, AgentNode>();
  const byRun = new Map<string, Map<string, Entry>>();
  const parked = new Map<string, Set<Lane | Class>>();
  /** How many ready tasks ask for a pool. */
  const asked = new Map<string, number>();
  const ledger = createLedger();
  const turns = createTurns();
  let lastSeq = 0;
  let waiting = 0;

  function entryOf({ workflowId, taskKey }: TaskRef): Entry | undefined {
    return byRun.get(workflowId)?.get(taskKey);
  }

  function store(entry: Entry): void {
    const { workflowId, taskKey } = entry.candidate;
    const run = byRun.get(workflowId) ?? new Map<string, Entry>();
    byRun.set(workflowId, run.set(taskKey, entry));
  }

  /** Takes the task out of queue or books. */
  function drop(entry: Entry): void {
    const { workflowId, taskKey } = entry.candidate;
    if (entry.lane === undefined) ledger.give(allDemands(entry.candidate));
    else leaveQueue(entry, entry.lane);
    const run = byRun.get(workflowId);
    run?.delete(taskKey);
    if (run?.size === 0) byRun.delete(workflowId);
  }

  function leaveQueue(entry: Entry, lane: Lane): void {
    waiting -= 1;
    ask(entry.candidate, -1);
    lane.entries.remove(entry);
    entry.lane = undefined;
    settleLane(lane);
  }

  function ask(candidate: Candidate, change: number): void {
    for (const { pool } of [...candidate.agentDemands, ...candidate.demands]) {
      const count = (asked.get(pool) ?? 0) + change;
      if (count === 0) asked.delete(pool);
      else asked.set(pool, count);
    }
  }

  function ready(candidate: Candidate): void {
    const known = entryOf(candidate);
    const isQueued = known?.lane !== undefined;
    if (known !== undefined && isQueued && isAlike(known.candidate, candidate)) return;
    if (known !== undefined) drop(known);
    lastSeq += 1;
    const rank =
      candidate.urgent === true
        ? Number.NEGATIVE_INFINITY
        : candidate.readySinceMs - candidate.priority * ageingMs;
    const lane = laneFor(candidate);
    // What merely changed its priority stays where it was among equals.
    const seq = isQueued ? known.seq : lastSeq;
    const entry: Entry = { candidate, rank, seq, lane };
    store(entry);
    waiting += 1;
    ask(candidate, 1);
    lane.entries.update(entry);
    settleLane(lane);
  }

  function inFlight(candidate: Candidate): void {
    const known = entryOf(candidate);
    if (known !== undefined) {
      if (known.lane === undefined && isSameHolder(known.candidate, candidate)) return;
      drop(known);
    }
    lastSeq += 1;
    store({ candidate, rank: 0, seq: lastSeq, lane: undefined });
    ledger.take(allDemands(candidate).filter(({ pool }) => kindOf(pool) !== "rate"));
  }

  function laneFor(candidate: Candidate): Lane {
    const urgent = candidate.urgent === true;
    // What is urgent queues apart: it must not wait behind what a limit holds.
    const agentKey = urgent ? `${candidate.agent} now` : candidate.agent;
    const agent = agents.get(agentKey) ?? newAgent(agentKey, urgent);
    agents.set(agentKey, agent);
    agent.demands = candidate.agentDemands;
    const tenant = agent.tenants.get(candidate.tenant) ?? newTenant(candidate.tenant, agent);
    agent.tenants.set(tenant.name, tenant);
    const key = classKey(candidate.demands);
    const group = tenant.classes.get(key) ?? newClass(key, candidate.demands, tenant);
    tenant.classes.set(key, group);
    const lane = group.lanes.get(candidate.workflowId) ?? newLane(candidate.workflowId, group);
    group.lanes.set(candidate.workflowId, lane);
    return lane;
  }

  // Each `settle` brings one level of the tree in line with the one below it.

  function settleLane(lane: Lane): void {
    const group = lane.class;
    if (lane.entries.size === 0) {
      group.lanes.delete(lane.pool.slice(workflowPool("").length));
      group.open.remove(lane);
      unpark(lane);
    } else if (lane.parkedOn === undefined) group.open.update(lane);
    else group.open.remove(lane);
    settleClass(group);
  }

  function settleClass(group: Class): void {
    const { tenant } = group;
    if (group.lanes.size === 0) {
      tenant.classes.delete(group.key);
      tenant.open.remove(group);
      unpark(group);
    } else if (group.parkedOn === undefined && group.open.size > 0) tenant.open.update(group);
    else tenant.open.remove(group);
    settleTenant(tenant);
  }

  function settleTenant(tenant: TenantNode): void {
    const { agent } = tenant;
    if (tenant.classes.size === 0) agent.tenants.delete(tenant.name);
    if (tenant.open.size === 0) agent.open.remove(tenant);
    else {
      if (!agent.open.has(tenant)) tenant.virtual = agent.turns.of(tenant.name);
      agent.open.update(tenant);
    }
    if (agent.tenants.size === 0) agents.delete(agent.key);
  }

  function park(what: Lane | Class, pool: string): void {
    what.parkedOn = pool;
    parked.set(pool, (parked.get(pool) ?? new Set()).add(what));
    if ("entries" in what) settleLane(what);
    else settleClass(what);
  }

  function unpark(what: Lane | Class): void {
    if (what.parkedOn === undefined) return;
    const others = parked.get(what.parkedOn);
    others?.delete(what);
    if (others?.size === 0) parked.delete(what.parkedOn);
    what.parkedOn = undefined;
  }

  /** What lacked a pool that has room again is looked at again. */
  function wake(view: PoolView): void {
    for (const [pool, group] of parked) {
      if (!ledger.fits({ pool, amount: leastOf(pool, group) }, view)) continue;
      for (const what of group) {
        unpark(what);
        if ("entries" in what) settleLane(what);
        else settleClass(what);
      }
    }
  }

  function lacking(demands: readonly Demand[], view: PoolView): Demand | undefined {
    return demands.find((demand) => !ledger.fits(demand, view));
  }

  /** The agent whose turn it is: of the tenant that had least, then of the task that ranks first. */
  function nextAgent(view: PoolView): AgentNode | undefined {
    let best: { agent: AgentNode; virtual: number; entry: Entry } | undefined;
    for (const agent of agents.values()) {
      const tenant = agent.open.peek();
      const entry = firstEntry(tenant);
      if (tenant === undefined || entry === undefined) continue;
      if (lacking(holding(entry.candidate, agent.demands), view) !== undefined) continue;
      const virtual = agent.urgent ? Number.NEGATIVE_INFINITY : turns.of(tenant.name);
      const isBetter =
        best === undefined ||
        virtual < best.virtual ||
        (virtual === best.virtual && isBefore(entry, best.entry));
      if (isBetter) best = { agent, virtual, entry };
    }
    return best?.agent;
  }

  function admit(view: PoolView): readonly Candidate[] {
    const admitted: Candidate[] = [];
    ledger.refill();
    wake(view);
    for (let agent = nextAgent(view); agent !== undefined; agent = nextAgent(view)) {
      const tenant = agent.open.peek();
      const group = tenant?.open.peek();
      const lane = group?.open.peek();
      const entry = lane?.entries.peek();
      if (!tenant || !group || !lane || !entry) break;
      const lacks = lacking(holding(entry.candidate, group.demands), view);
      if (lacks !== undefined) park(group, lacks.pool);
      else if (!agent.urgent && !ledger.fits({ pool: lane.pool, amount: 1 }, view))
        park(lane, lane.pool);
      else {
        const cost = 1 / weight(tenant.name);
        tenant.virtual = agent.turns.serve(tenant.name, cost);
        turns.serve(tenant.name, cost);
        leaveQueue(entry, lane);
        ledger.take(allDemands(entry.candidate));
        admitted.push(entry.candidate);
      }
    }
    return admitted;
  }

  function hold(task: TaskRef, view: PoolView): Hold | undefined {
    const entry = entryOf(task);
    if (entry?.lane === undefined) return undefined;
    const lacks = lacking(holding(entry.candidate, allDemands(entry.candidate)), view);
    const ahead = countAhead(entry, entry.lane.class.tenant);
    if (lacks === undefined) {
      return { by: "turn", pool: "", used: 0, elsewhere: 0, limit: 0, ahead };
    }
    return { by: kindOf(lacks.pool), pool: lacks.pool, ...ledger.use(lacks.pool, view), ahead };
  }

  function lacks(view: PoolView): Map<string, TaskRef> {
    const found = new Map<string, TaskRef>();
    for (const agent of agents.values()) {
      const entry = firstEntry(agent.open.peek());
      const demand = entry && lacking(holding(entry.candidate, agent.demands), view);
      if (entry !== undefined && demand !== undefined) found.set(demand.pool, refOf(entry));
    }
    for (const [pool, group] of parked) {
      const [first] = group;
      const lane = first && ("entries" in first ? first : first.open.peek());
      const entry = lane?.entries.peek();
      if (entry !== undefined) found.set(pool, refOf(entry));
    }
    return found;
  }

  /** Walks over all that waits; only for who asks. */
  function countAhead(entry: Entry, tenant: TenantNode): number {
    let ahead = 0;
    for (const run of byRun.values()) {
      for (const other of run.values()) {
        const isRival = other.lane?.class.tenant === tenant;
        if (isRival && isBefore(other, entry)) ahead += 1;
      }
    }
    return ahead;
  }

  return {
    ready,
    inFlight,
    gone: (task) => {
      const known = entryOf(task);
      if (known !== undefined) drop(known);
    },
    forget: (workflowId) => {
      for (const entry of byRun.get(workflowId)?.values() ?? []) drop(entry);
    },
    admit,
    hold,
    lacks,
    holders: (pool) =>
      [...byRun.values()].flatMap((run) =>
        [...run.values()].flatMap(({ candidate, lane }) =>
          lane === undefined && allDemands(candidate).some((demand) => demand.pool === pool)
            ? [refOf({ candidate })]
            : [],
        ),
      ),
    used: (pool) => ledger.use(pool, nothingKnown).used,
    asked: () => asked.keys(),
    get waiting() {
      return waiting;
    },
    clear: () => {
      for (const map of [agents, byRun, parked, asked]) map.clear();
      ledger.clear();
      waiting = 0;
    },
  };
}

const nothingKnown: PoolView = { limit: () => Number.POSITIVE_INFINITY, elsewhere: () => 0 };
