/**
 * The agents of a node as one pool whose members may come and go while it runs.
 *
 * Each agent of a folder has a small pool of its own: its supervisor and thread. New code is a new
 * one, which takes all calls from the moment when it is healthy, while the old one ends what it has begun.
 *
 * @module
 */

import type { AgentCard } from "../../actors/define-agent.ts";
import type { AgentOutcome, AgentState, Log } from "../../actors/ports.ts";
import { AgentError, toErrorRecord } from "../../machines/error-code.ts";
import type { AgentsHandle } from "../worker/agent/agent-pool.ts";

/** Longest time limit that a task can have: attempts on old code end by their own limits before. */
const retireLimitMs = 7 * 86_400_000;

export interface OpenPool extends AgentsHandle {
  /**
   * Adds the agent, or gives the one of this name new code; the same code again changes nothing.
   * Resolves when the agent takes tasks. Not to be called twice at once for one name.
   * @throws {AgentError} When it cannot start; then all is as before.
   */
  provideAgent(card: AgentCard, moduleUrl: string): Promise<void>;
  /** Modules that an agent here runs, or may run again: also those of old code that ends what it has begun. */
  modulesInUse(): ReadonlySet<string>;
  /** Takes no more calls of it, waits for those that run, then ends its thread. */
  removeAgent(name: string): Promise<void>;
}

export interface OpenPoolOptions {
  /** The agents that come with SPECTRA. */
  readonly builtIn: AgentsHandle;
  /** Starts a pool with one agent; `onChange` hears of it. */
  startPool(
    card: AgentCard,
    moduleUrl: string,
    onChange: (state: AgentState) => void,
  ): Promise<AgentsHandle>;
  onChange(state: AgentState): void;
  readonly log: Log;
}

interface Member {
  readonly moduleUrl: string;
  readonly pool: AgentsHandle;
}

export function createOpenPool(options: OpenPoolOptions): OpenPool {
  const { builtIn, log } = options;
  const members = new Map<string, Member>();
  /** Everything of ours that runs, also what is being started or ends its last attempts, with its module. */
  const alive = new Map<AgentsHandle, string>();
  /** Agents that were here: their code is gone, or going. */
  const removed = new Set<string>();
  let stopping = false;
  const poolOf = (name: string): AgentsHandle => members.get(name)?.pool ?? builtIn;
  const end = async (pool: AgentsHandle): Promise<void> => {
    await pool.stop();
    alive.delete(pool);
  };

  const run =
    (operation: "run" | "compensate"): AgentsHandle["run"] =>
    async (call, hooks) => {
      const { agent } = call;
      if (removed.has(agent)) return gone(agent);
      const outcome = await poolOf(agent)[operation](call, hooks);
      const hasBegun = outcome.type === "succeeded" || outcome.error.code !== "AGENT_UNAVAILABLE";
      // It waited for a thread when its agent was removed.
      return removed.has(agent) && !hasBegun ? gone(agent) : outcome;
    };

  async function startMember(card: AgentCard, moduleUrl: string): Promise<Member> {
    const member: { pool?: AgentsHandle } = {};
    const pool = await options.startPool(card, moduleUrl, (state) => {
      // Of two versions people see the one that takes calls.
      if (member.pool !== undefined && members.get(card.name)?.pool === member.pool) {
        options.onChange(state);
      }
    });
    member.pool = pool;
    alive.set(pool, moduleUrl);
    try {
      if (stopping) throw new Error(`Cannot start agent ${card.name}: the node is stopping`);
      await pool.allHealthy;
    } catch (error) {
      const { lastError } = pool.state(card.name) ?? {};
      await end(pool);
      throw lastError == null ? error : new Error(lastError.message, { cause: error });
    }
    return { moduleUrl, pool };
  }

  async function retire(name: string, pool: AgentsHandle): Promise<void> {
    try {
      await pool.drain(name, retireLimitMs);
    } catch (error) {
      log.warn("an agent's old code did not end in time", {
        agent: name,
        error: toErrorRecord(error),
      });
    }
    await end(pool);
  }

  return {
    ...builtIn,
    view: () => {
      const view = builtIn.supervisor.view();
      const own = [...members.values()].flatMap(({ pool }) => pool.supervisor.view().children);
      return { ...view, children: [...view.children, ...own] };
    },
    states: () => [
      ...builtIn.states(),
      ...[...members.values()].flatMap(({ pool }) => pool.states()),
    ],
    state: (name) => poolOf(name).state(name),
    run: run("run"),
    compensate: run("compensate"),
    restart: (name) => poolOf(name).restart(name),
    killThread: (name) => poolOf(name).killThread(name),
    drain: (name, timeoutMs) => poolOf(name).drain(name, timeoutMs),
    pause: (name) => poolOf(name).pause(name),
    resume: (name) => poolOf(name).resume(name),
    provideAgent: async (card, moduleUrl) => {
      const { name } = card;
      const old = members.get(name);
      if (old?.moduleUrl === moduleUrl) return;
      const member = await startMember(card, moduleUrl);
      // Who paused the agent did not mean only its code of that time.
      if (old?.pool.state(name)?.status === "paused") member.pool.pause(name);
      members.set(name, member);
      removed.delete(name);
      const state = member.pool.state(name);
      if (state !== undefined) options.onChange(state);
      if (old !== undefined) void retire(name, old.pool);
    },
    modulesInUse: () => new Set(alive.values()),
    removeAgent: async (name) => {
      const member = members.get(name);
      if (member === undefined) return;
      removed.add(name);
      await retire(name, member.pool);
      members.delete(name);
    },
    stop: async () => {
      stopping = true;
      await Promise.all([...alive.keys()].map(end));
      await builtIn.stop();
    },
  };
}

/** Nothing has begun: the task waits for the agent, rather than use up its attempts. */
function gone(name: string): AgentOutcome {
  const message = `Cannot run on ${name}: no module of the folders defines it any more; restore its file, or cancel the task`;
  const error = new AgentError("AGENT_GONE", message, { retryable: true });
  return { type: "failed", error: toErrorRecord(error) };
}
