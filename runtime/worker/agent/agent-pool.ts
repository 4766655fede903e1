/**
 * Runs all agents of a node, each in a supervised thread of its own.
 *
 *     agents (one_for_one, parallel)
 *       └─ DIRECTOR (one_for_one, own restart intensity) ── thread
 *
 * An agent that keeps crashing makes only its own supervisor give up; it is then `failed`.
 *
 * @module
 */

import type { AgentCard } from "../../../actors/define-agent.ts";
import type {
  AgentCall,
  AgentCallHooks,
  AgentOutcome,
  AgentState,
  Clock,
  HostFacts,
} from "../../../actors/ports.ts";
import type { ChildPlace, RunningChild } from "../../../actors/tree/child-spec.ts";
import { type Supervisor, startSupervisor } from "../../../actors/tree/supervisor.ts";
import type { DatabaseTarget } from "../../../db/client.ts";
import { AgentError, toErrorRecord } from "../../../machines/error-code.ts";
import type { Intensity } from "../../../machines/restart-policy.ts";
import { agentModuleUrl, compiledUrl } from "../thread-url.ts";
import { type AgentSlot, createAgentSlot } from "./agent-slot.ts";
import type { AgentPorts } from "./host-methods.ts";
import { type Env, openWorker } from "./open-worker.ts";
import { createSpares, type Spares } from "./spares.ts";

/** With the backoff below, an agent that cannot live gives up after about 15 s. */
const defaultIntensity: Intensity = { maxRestarts: 10, periodMs: 60_000 };
export const defaultBackoff = { initialMs: 50, maxMs: 5_000 };
/** Each takes the memory of an idle thread; see `docs/benchmarks.md`. */
const defaultSpares = 1;
const defaultDrainTimeoutMs = 600_000;
const restartTimeoutMs = 60_000;
const defaultShutdownMs = 5_000;
/** What a thread may need beyond its own shutdown time, to be terminated. */
const shutdownMarginMs = 6_000;

export interface AgentsOptions {
  readonly definitions: readonly AgentCard[];
  /** Module that exports an agent's definition; sources map to their build. Default: by convention. */
  readonly moduleUrl?: (name: string) => string;
  readonly database: DatabaseTarget;
  readonly host: HostFacts;
  readonly ports: AgentPorts;
  readonly clock: Clock;
  /** Where the pool stands in the tree, and what it shares with it. Default: on its own. */
  readonly place?: ChildPlace;
  /** Environment to grant from, by each agent's `env` permission. Default: nothing. */
  readonly env?: Env;
  /** Called at each change of an agent; must not throw. */
  onChange?(state: AgentState): void;
  /** Of each agent. Default 10 restarts in 60 s. */
  readonly intensity?: Intensity;
  readonly backoff?: { readonly initialMs: number; readonly maxMs: number };
  readonly startTimeoutMs?: number;
  /** How long running attempts may go on when an agent is stopped. Default 5 s. */
  readonly shutdownMs?: number;
  readonly unresponsiveMs?: number;
  /** Warm spare workers, or those that several pools share and somebody else closes. Default 1. */
  readonly spares?: number | Spares;
}

/** As a child of the root: `exited`, `stop` and `view` are those of the agents' supervisor. */
export interface AgentsHandle extends RunningChild {
  readonly supervisor: Supervisor;
  /** Resolves when every agent has run; rejects when one gave up before. */
  readonly allHealthy: Promise<void>;
  states(): readonly AgentState[];
  state(name: string): AgentState | undefined;
  /** Never rejects. Waits 10 s for an agent that restarts; an agent at its concurrency refuses with `AGENT_BUSY`. */
  run(call: AgentCall, hooks: AgentCallHooks): Promise<AgentOutcome>;
  /** Like `run`, for the capability's `compensate`; the output is null. */
  compensate(call: AgentCall, hooks: AgentCallHooks): Promise<AgentOutcome>;
  /** Replaces the thread; running attempts get `shutdownMs`. Resolves when the agent takes calls again. */
  restart(name: string): Promise<void>;
  /** Terminates the thread at once, as a crash would: running attempts end with `AGENT_DIED`. */
  killThread(name: string): Promise<void>;
  /** Takes no more calls, waits for the running ones (10 minutes at most), then stops the thread. */
  drain(name: string, timeoutMs?: number): Promise<void>;
  /** Takes no more calls; the thread and running attempts stay. */
  pause(name: string): void;
  /** Ends a pause; starts an agent that was drained or has failed. */
  resume(name: string): Promise<void>;
  stop(): Promise<void>;
}

/** Starts every agent in parallel; resolves when each has started or failed its first start. */
export async function startAgents(options: AgentsOptions): Promise<AgentsHandle> {
  const { spares: given = defaultSpares } = options;
  const own = typeof given === "number" ? openSpares(given, options.ports) : undefined;
  const spares = own ?? (given as Spares);
  const slots = new Map(
    options.definitions.map((definition) => [
      definition.name,
      openSlot(definition, options, spares),
    ]),
  );
  const shutdownMs = (options.shutdownMs ?? defaultShutdownMs) + shutdownMarginMs;
  const supervisor = await startSupervisor({
    ...options.place,
    id: "agents",
    strategy: "one_for_one",
    startMode: "parallel",
    startFailure: "exits",
    clock: options.clock,
    log: options.ports.log,
    children: [...slots.values()].map((slot) => ({
      id: slot.name,
      type: "supervisor",
      // Its own intensity decides; the others never pay for it. When it gives up it ends with
      // `shutdown`, which a transient child is not restarted after, and stays known by name.
      restart: "transient",
      shutdownMs: shutdownMs + shutdownMarginMs,
      start: (place) => superviseAgent(slot, options, shutdownMs, place),
    })),
  });
  const handle = createHandle(slots, supervisor, own);
  // Once all have started, so that a spare takes no time from them; the first agents first.
  handle.allHealthy.then(
    () => [...slots.values()].reverse().forEach((slot) => slot.wantSpare()),
    () => undefined,
  );
  return handle;
}

/** @param limit Spares at once, for all pools that get these. */
export function openSpares(limit: number, ports: AgentPorts): Spares {
  return createSpares(limit, (rights) => openWorker(rights, ports));
}

function openSlot(definition: AgentCard, options: AgentsOptions, spares: Spares): AgentSlot {
  const { database, host, ports, clock, env, startTimeoutMs, shutdownMs, unresponsiveMs } = options;
  const moduleUrl = options.moduleUrl ?? agentModuleUrl;
  return createAgentSlot({
    agent: definition,
    moduleUrl: compiledUrl(moduleUrl(definition.name)),
    database,
    host,
    ports,
    clock,
    spares,
    onChange: (state) => options.onChange?.(state),
    ...(env === undefined ? {} : { env }),
    ...(startTimeoutMs === undefined ? {} : { startTimeoutMs }),
    ...(shutdownMs === undefined ? {} : { shutdownMs }),
    ...(unresponsiveMs === undefined ? {} : { unresponsiveMs }),
  });
}

async function superviseAgent(
  slot: AgentSlot,
  options: AgentsOptions,
  shutdownMs: number,
  place: ChildPlace,
): Promise<Supervisor> {
  try {
    const supervisor = await startSupervisor({
      ...place,
      id: slot.name,
      strategy: "one_for_one",
      intensity: options.intensity ?? defaultIntensity,
      backoff: options.backoff ?? defaultBackoff,
      startFailure: "exits",
      clock: options.clock,
      log: options.ports.log,
      children: [{ id: "thread", shutdownMs, start: () => slot.startThread() }],
    });
    void supervisor.exited.then((exit) => {
      if (exit.type !== "normal" && exit.error !== undefined) slot.gaveUp(exit.error);
    });
    return supervisor;
  } catch (error) {
    slot.gaveUp(toErrorRecord(error));
    throw error;
  }
}

function createHandle(
  slots: ReadonlyMap<string, AgentSlot>,
  supervisor: Supervisor,
  spares: Spares | undefined,
): AgentsHandle {
  const slotOf = (name: string): AgentSlot => {
    const slot = slots.get(name);
    if (slot !== undefined) return slot;
    const names = [...slots.keys()].join(", ");
    const message = `Cannot find agent "${name}": there are ${names}`;
    throw new AgentError("AGENT_UNKNOWN", message);
  };
  const run =
    (operation: "run" | "compensate") =>
    async (call: AgentCall, hooks: AgentCallHooks): Promise<AgentOutcome> => {
      try {
        return await slotOf(call.agent).run(operation, call, hooks);
      } catch (error) {
        return { type: "failed", error: toErrorRecord(error) };
      }
    };
  const restart = async (name: string): Promise<void> => {
    const slot = slotOf(name);
    slot.restarting();
    supervisor.restartChild(name);
    await slot.whenAvailable(restartTimeoutMs);
  };
  const allHealthy = Promise.all(
    [...slots.values()].map((slot) => slot.whenAvailable(restartTimeoutMs)),
  ).then(() => undefined);
  // Who does not wait for it sees the same in the states.
  allHealthy.catch(() => undefined);
  return {
    supervisor,
    allHealthy,
    exited: supervisor.exited,
    view: () => supervisor.view(),
    states: () => [...slots.values()].map((slot) => slot.state()),
    state: (name) => slots.get(name)?.state(),
    run: run("run"),
    compensate: run("compensate"),
    restart,
    killThread: (name) => slotOf(name).kill(),
    drain: async (name, timeoutMs = defaultDrainTimeoutMs) => {
      const slot = slotOf(name);
      await slot.drain(timeoutMs);
      await supervisor.stopChild(name);
      await slot.stopped();
    },
    pause: (name) => slotOf(name).pause(),
    resume: async (name) => {
      const slot = slotOf(name);
      slot.resume();
      const { status } = slot.state();
      if (status === "stopped" || status === "failed" || status === "draining") await restart(name);
    },
    stop: async () => {
      await supervisor.stop();
      await Promise.all([...slots.values()].map((slot) => slot.stopped()));
      await spares?.close();
    },
  };
}
