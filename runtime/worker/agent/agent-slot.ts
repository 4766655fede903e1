/**
 * One agent on the main thread: its lifecycle, its current thread, and the calls into it.
 * Threads come and go; the slot stays.
 *
 * @module
 */

import { createActor, waitFor } from "xstate";
import type { AgentCall, AgentCallHooks, AgentOutcome, AgentState } from "../../../actors/ports.ts";
import { type AgentStatus, agentLifecycleMachine } from "../../../machines/agent-lifecycle.ts";
import { AgentError, type ErrorRecord, toErrorRecord } from "../../../machines/error-code.ts";
import { bounded } from "../call/calls.ts";
import type { AgentThread, AgentThreadOptions } from "./start-agent-thread.ts";
import { startAgentThread } from "./start-agent-thread.ts";
import type { AttemptRequest } from "./thread-protocol.ts";

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
  /** The thread is about to be replaced on purpose. */
  restarting(): void;
  gaveUp(error: ErrorRecord): void;
  stopped(): void;
  /** Resolves when the agent takes calls. @throws {AgentError} `AGENT_UNAVAILABLE` when it does not in time. */
  whenAvailable(timeoutMs: number, signal?: AbortSignal): Promise<void>;
}

export function createAgentSlot(
  options: AgentThreadOptions,
  onChange: (state: AgentState) => void,
): AgentSlot {
  const { agent, clock } = options;
  const actor = createActor(agentLifecycleMachine, { id: agent.name });
  let thread: AgentThread | undefined;
  const state = (): AgentState => stateOf(agent.name, actor.getSnapshot(), thread);
  actor.subscribe(() => onChange(state()));
  actor.start();

  const status = (): AgentStatus => actor.getSnapshot().value;
  const startThread = async (): Promise<AgentThread> => {
    let started: AgentThread;
    try {
      started = await startAgentThread({ ...options, onHealth: () => onChange(state()) });
    } catch (error) {
      actor.send({ type: "thread.died", error: toErrorRecord(error) });
      throw error;
    }
    thread = started;
    actor.send({ type: "thread.ready" });
    void started.exited.then((exit) => {
      if (thread === started) thread = undefined;
      if (exit.type === "abnormal") actor.send({ type: "thread.died", error: exit.error });
    });
    return started;
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

  return {
    name: agent.name,
    state,
    startThread,
    whenAvailable,
    run: async (operation, call, hooks) => {
      if (actor.getSnapshot().context.inFlight >= agent.concurrency) {
        const message = `Cannot run on ${agent.name}: all ${agent.concurrency} places are taken`;
        return failed(new AgentError("AGENT_BUSY", message, { retryable: true }));
      }
      actor.send({ type: "attempt.accepted" });
      let startedMs = clock.monotonicMs();
      let outcome: AgentOutcome;
      try {
        await whenAvailable(availableTimeoutMs, hooks.signal);
        if (thread === undefined) throw unavailable(agent.name, status());
        startedMs = clock.monotonicMs();
        outcome = await thread.run(operation, call, hooks);
      } catch (error) {
        outcome = failed(hooks.signal.aborted ? abortedWaiting(agent.name, hooks.signal) : error);
      }
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
      await thread?.kill();
    },
    restarting: () => actor.send({ type: "agent.restart" }),
    gaveUp: (error) => actor.send({ type: "agent.gave-up", error }),
    stopped: () => actor.send({ type: "agent.stopped" }),
  };
}

function stateOf(
  name: string,
  snapshot: ReturnType<ReturnType<typeof createActor<typeof agentLifecycleMachine>>["getSnapshot"]>,
  thread: AgentThread | undefined,
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

function abortedWaiting(name: string, signal: AbortSignal): AgentError {
  const message = `Cannot run on ${name}: aborted while it was not available`;
  return new AgentError("ABORTED", message, { cause: signal.reason });
}

function failed(error: unknown): AgentOutcome {
  return { type: "failed", error: toErrorRecord(error) };
}
