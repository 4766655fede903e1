/**
 * One agent on the main thread: its lifecycle, its current thread, and the calls into it.
 * Threads come and go; the slot stays.
 *
 * When a thread dies and there is a warm spare, the spare takes over at once; the supervisor, which
 * may have to wait for its backoff, then finds the agent running. A spare that dies before that is no new chance.
 *
 * @module
 */

import { createActor, type SnapshotFrom, waitFor } from "xstate";
import type {
  AgentCall,
  AgentCallHooks,
  AgentOutcome,
  AgentState,
  Incident,
} from "../../../actors/ports.ts";
import { type AgentStatus, agentLifecycleMachine } from "../../../machines/agent-lifecycle.ts";
import { AgentError, type ErrorRecord, toErrorRecord } from "../../../machines/error-code.ts";
import { isDeath } from "../../../machines/poison.ts";
import { bounded } from "../call/calls.ts";
import type { End } from "./death.ts";
import { createQuarantine } from "./quarantine.ts";
import type { Spares } from "./spares.ts";
import type { AgentThread, AgentThreadOptions } from "./start-agent-thread.ts";
import { rightsOf, startAgentThread } from "./start-agent-thread.ts";
import type { AttemptRequest } from "./thread-protocol.ts";
import { createWard } from "./ward.ts";

/** How long a call waits for an agent that starts or restarts. */
const availableTimeoutMs = 10_000;

export interface AgentSlot {
  readonly name: string;
  state(): AgentState;
  /** Starts a thread; for the supervisor. The slot follows its life. */
  startThread(): Promise<AgentThread>;
  run(
    operation: AttemptRequest["operation"],
    call: AgentCall,
    hooks: AgentCallHooks,
  ): Promise<AgentOutcome>;
  pause(): void;
  resume(): void;
  /** Takes no more calls; resolves when the running ones have ended. @throws {AgentError} `CALL_TIMEOUT`. */
  drain(timeoutMs: number): Promise<void>;
  /** Terminates the thread as a crash would; the supervisor starts another. */
  kill(): Promise<void>;
  wantSpare(): void;
  /** The thread is about to be replaced on purpose. Forgets which requests are poison. */
  restarting(): void;
  gaveUp(error: ErrorRecord): void;
  /** Resolves when no thread is left. */
  stopped(): Promise<void>;
  /** Resolves when the agent takes calls. @throws {AgentError} `AGENT_UNAVAILABLE` when it does not in time. */
  whenAvailable(timeoutMs: number, signal?: AbortSignal): Promise<void>;
}

export interface AgentSlotOptions extends AgentThreadOptions {
  readonly spares: Spares;
  onChange(state: AgentState): void;
}

export function createAgentSlot(options: AgentSlotOptions): AgentSlot {
  const { agent, clock, ports, spares } = options;
  const wanted = { ...rightsOf(options), moduleUrl: options.moduleUrl };
  const actor = createActor(agentLifecycleMachine, { id: agent.name });
  const quarantine = createQuarantine();
  let thread: AgentThread | undefined;
  /** A spare that took over, until the supervisor asks for a thread. */
  let successor: Promise<AgentThread> | undefined;
  let incarnation = 0;
  /** Counts how often all starts were called off. */
  let calledOff = 0;
  const state = (): AgentState => stateOf(agent.name, actor.getSnapshot(), thread, incarnation);
  actor.subscribe(() => options.onChange(state()));
  const unwatch = ports.inspection?.local.watch(actor, `/root/agents/${agent.name}/lifecycle`);
  actor.start();
  const status = (): AgentStatus => actor.getSnapshot().value;

  const record = (
    kind: Incident["kind"],
    action: Incident["action"],
    error: ErrorRecord,
    detail: Incident["detail"] = {},
  ): void => {
    const address = `/root/agents/${agent.name}`;
    ports.incidents?.record({ address, incarnation, kind, action, error, detail });
  };

  const open = async (): Promise<AgentThread> => {
    const startedMs = clock.monotonicMs();
    const spare = spares.take(wanted);
    const started = await startAgentThread(
      { ...options, onHealth: () => options.onChange(state()) },
      spare,
    );
    const tookMs = Math.round(clock.monotonicMs() - startedMs);
    ports.log.debug("agent.started", { agent: agent.name, tookMs, spare: spare !== undefined });
    return started;
  };
  const startFollowed = async (): Promise<AgentThread> => {
    incarnation += 1;
    const before = calledOff;
    let started: AgentThread;
    try {
      started = await open();
    } catch (error) {
      const reason = toErrorRecord(error);
      record("start-failed", "restarted", reason);
      actor.send({ type: "thread.died", error: reason });
      throw error;
    }
    // A late successor must not pass for the thread of who is started again by then.
    if (calledOff !== before) {
      await started.stop();
      throw unavailable(agent.name, status());
    }
    thread = started;
    actor.send({ type: "thread.ready" });
    void started.ended.then((end) => follow(started, end));
    return started;
  };
  const follow = (ended: AgentThread, { exit, kind }: End): void => {
    if (thread === ended) thread = undefined;
    if (exit.type !== "abnormal") return;
    if (kind !== undefined) record(kind, "restarted", exit.error);
    actor.send({ type: "thread.died", error: exit.error });
    if (kind === undefined || successor !== undefined || status() !== "restarting") return;
    if (!spares.has(wanted)) return spares.want(wanted);
    successor = startFollowed();
    // The supervisor sees the failure when it asks for its thread.
    successor.catch(() => undefined);
  };
  const startThread = (): Promise<AgentThread> => {
    const waiting = successor;
    successor = undefined;
    return waiting ?? startFollowed();
  };
  const dropSuccessor = async (): Promise<void> => {
    const left = successor;
    successor = undefined;
    calledOff += 1;
    await left?.then(
      (one) => one.stop(),
      () => undefined,
    );
  };

  const whenAvailable = async (timeoutMs: number, signal?: AbortSignal): Promise<void> => {
    if (status() === "running") return;
    const settled = (now: AgentStatus): boolean => now !== "starting" && now !== "restarting";
    await waitFor(actor, (snapshot) => settled(snapshot.value), {
      timeout: timeoutMs,
      ...(signal === undefined ? {} : { signal }),
    }).catch(() => undefined);
    signal?.throwIfAborted();
    if (status() !== "running") throw unavailable(agent.name, status());
  };

  const ward = createWard(open, ({ exit, kind }) => {
    if (exit.type === "abnormal" && kind !== undefined) {
      record(kind, "terminated", exit.error, { ward: true });
    }
  });
  /** The request's own count decides where it runs: who killed a thread gets one of its own. */
  const place = (call: AgentCall, run: (on: AgentThread) => Promise<AgentOutcome>) => {
    const deaths = call.deaths ?? quarantine.deaths(call);
    if (deaths > 0) return ward.run(run);
    if (thread === undefined) throw unavailable(agent.name, status());
    return run(thread);
  };
  /** What an outcome says about the attempt's health. */
  const judge = (call: AgentCall, outcome: AgentOutcome): void => {
    if (outcome.type === "succeeded") return quarantine.ended(call);
    const { error } = outcome;
    const detail = { workflow: call.workflowId, task: call.taskKey, action: call.action };
    if (error.code === "PROGRESS_TIMEOUT" && error.cause?.code !== "AGENT_DIED") {
      record("hang", "terminated", error, detail);
    }
    // Tasks are counted with their run, where every node sees it.
    if (call.deaths === undefined && isDeath(error) && quarantine.died(call, error)) {
      record("poison", "quarantined", error, detail);
    }
  };

  return {
    name: agent.name,
    state,
    startThread,
    whenAvailable,
    run: async (operation, call, hooks) => {
      if (actor.getSnapshot().context.inFlight >= agent.concurrency) {
        return failed(noRoom(agent.name, agent.concurrency, status()));
      }
      const refusal = call.deaths === undefined ? quarantine.refusal(call) : undefined;
      if (refusal !== undefined) return { type: "failed", error: refusal };
      actor.send({ type: "attempt.accepted" });
      let startedMs = clock.monotonicMs();
      let outcome: AgentOutcome;
      try {
        await whenAvailable(availableTimeoutMs, hooks.signal);
        startedMs = clock.monotonicMs();
        outcome = await place(call, (on) => on.run(operation, call, hooks));
      } catch (error) {
        outcome = failed(hooks.signal.aborted ? abortedWaiting(agent.name, hooks.signal) : error);
      }
      judge(call, outcome);
      const busyMs = clock.monotonicMs() - startedMs;
      actor.send({ type: "attempt.ended", succeeded: outcome.type === "succeeded", busyMs });
      return outcome;
    },
    pause: () => actor.send({ type: "agent.pause" }),
    resume: () => actor.send({ type: "agent.resume" }),
    drain: async (timeoutMs) => {
      actor.send({ type: "agent.drain" });
      const idle = waitFor(actor, ({ context }) => context.inFlight === 0);
      await bounded(idle, { what: `the running attempts of ${agent.name}`, timeoutMs });
    },
    kill: async () => {
      await Promise.all([thread?.kill(), ward.thread()?.kill()]);
    },
    wantSpare: () => spares.want(wanted),
    restarting: () => {
      quarantine.reset();
      actor.send({ type: "agent.restart" });
    },
    gaveUp: (error) => {
      record("gave-up", "gave-up", error);
      actor.send({ type: "agent.gave-up", error });
      void dropSuccessor();
    },
    stopped: async () => {
      actor.send({ type: "agent.stopped" });
      unwatch?.();
      await Promise.all([dropSuccessor(), ward.empty()]);
    },
  };
}

function stateOf(
  name: string,
  snapshot: SnapshotFrom<typeof agentLifecycleMachine>,
  thread: AgentThread | undefined,
  incarnation: number,
): AgentState {
  const { restarts, inFlight, succeeded, failed: failures, busyMs, lastError } = snapshot.context;
  return {
    name,
    status: snapshot.value,
    health: healthOf(snapshot.value, thread),
    restarts,
    inFlight,
    succeeded,
    failed: failures,
    busyMs,
    lastSeenAt: thread?.lastSeenAt() ?? null,
    threadId: thread?.threadId ?? null,
    incarnation,
    figures: thread?.figures() ?? null,
    lastError,
  };
}

function healthOf(status: AgentStatus, thread: AgentThread | undefined): AgentState["health"] {
  switch (status) {
    case "starting":
    case "stopped":
      return "unknown";
    case "restarting":
    case "failed":
      return "unhealthy";
    case "running":
    case "draining":
    case "paused":
      return thread?.isHealthy() === true ? "healthy" : "unhealthy";
  }
}

function unavailable(name: string, status: AgentStatus): AgentError {
  const message = `Cannot run on ${name}: it is ${status}`;
  return new AgentError("AGENT_UNAVAILABLE", message, { retryable: true });
}

/** Calls that wait for an agent to come back hold its places: they are its stash. */
function noRoom(name: string, places: number, status: AgentStatus): AgentError {
  const isAway = status === "restarting" || status === "starting";
  const message = isAway
    ? `Cannot run on ${name}: it is ${status}, and ${places} calls wait for it already`
    : `Cannot run on ${name}: all ${places} places are taken`;
  return new AgentError(isAway ? "STASH_FULL" : "AGENT_BUSY", message, { retryable: true });
}

function abortedWaiting(name: string, signal: AbortSignal): AgentError {
  const message = `Cannot run on ${name}: aborted while it was not available`;
  return new AgentError("ABORTED", message, { cause: signal.reason });
}

function failed(error: unknown): AgentOutcome {
  return { type: "failed", error: toErrorRecord(error) };
}
