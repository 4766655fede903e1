/**
 * Starts an agent in a worker and drives it from the main thread.
 *
 * Owns the worker: whatever happens inside, every call settles and `ended` resolves once.
 *
 * @module
 */

import type { AgentCard, Grant } from "../../../actors/define-agent.ts";
import type {
  AgentCall,
  AgentCallHooks,
  AgentFigures,
  AgentOutcome,
  Clock,
  HostFacts,
} from "../../../actors/ports.ts";
import type { RunningChild } from "../../../actors/tree/child-spec.ts";
import type { DatabaseTarget } from "../../../db/client.ts";
import { AgentError, toErrorRecord } from "../../../machines/error-code.ts";
import { cpuShare } from "../../../native/cpu-share.ts";
import { bounded } from "../call/calls.ts";
import { permissionsOf } from "../permissions/agent-permissions.ts";
import { runAttemptOver } from "./attempt-over.ts";
import type { Death } from "./death.ts";
import type { AgentPorts } from "./host-methods.ts";
import { limitsOf, type ThreadLimits } from "./limits.ts";
import { type Liveness, watchLiveness } from "./liveness.ts";
import { type Env, type OpenWorker, openWorker, type WorkerRights } from "./open-worker.ts";
import type { AttemptRequest } from "./thread-protocol.ts";

const defaultStartTimeoutMs = 30_000;
const defaultShutdownMs = 5_000;

/** What the main thread needs to know of an agent. */
export type AgentSummary = Pick<
  AgentCard,
  "name" | "concurrency" | "permissions" | "resources" | "isolation" | "limits" | "capabilities"
>;

export interface AgentThreadOptions {
  readonly agent: AgentSummary;
  /** Compiled module that exports the agent's definition. */
  readonly moduleUrl: string;
  readonly database: DatabaseTarget;
  readonly host: HostFacts;
  readonly ports: AgentPorts;
  readonly clock: Clock;
  /** Environment to grant from; the thread sees only what its permissions name. Default: nothing. */
  readonly env?: Env;
  readonly startTimeoutMs?: number;
  /** `stop` lets running attempts finish for this long. */
  readonly shutdownMs?: number;
  /** For agents that declare no limit of their own. Default 30 s. */
  readonly unresponsiveMs?: number;
  onHealth?(healthy: boolean): void;
}

export interface AgentThread extends RunningChild {
  /** Or the id of its process. */
  readonly threadId: number;
  readonly ended: Death["ended"];
  /** Runs or undoes one attempt. Never rejects, always settles. */
  run(
    operation: AttemptRequest["operation"],
    call: AgentCall,
    hooks: AgentCallHooks,
  ): Promise<AgentOutcome>;
  kill(): Promise<void>;
  lastSeenAt(): Date;
  isHealthy(): boolean;
  figures(): AgentFigures;
}

/** What is fixed for the life of the agent's worker; a spare must have been opened with the same. */
export function rightsOf(options: AgentThreadOptions): WorkerRights {
  const { agent, env, unresponsiveMs } = options;
  return {
    isolation: agent.isolation ?? "thread",
    permissions: permissionsOf(agent, options),
    heapMb: limitsOf(agent, unresponsiveMs).heapMb,
    env: grantedEnv(agent.permissions.env, env ?? {}),
  };
}

/** The variables that `grant` gives from `env`; none without a grant. */
function grantedEnv(grant: Grant | undefined, env: Env): Env {
  if (grant === undefined || grant === false) return {};
  const isGranted = (name: string): boolean =>
    grant === true || grant === "inherit" || grant.includes(name);
  return Object.fromEntries(Object.entries(env).filter(([name]) => isGranted(name)));
}

/**
 * @param spare A worker with the agent's rights that serves nobody yet. Default: a new one.
 * @throws {AgentError} `START_TIMEOUT` when the agent is not ready in time, `AGENT_START_FAILED` when it dies before.
 */
export async function startAgentThread(
  options: AgentThreadOptions,
  spare?: OpenWorker,
): Promise<AgentThread> {
  const { agent, moduleUrl, database, host } = options;
  const opened = spare ?? openWorker(rightsOf(options), options.ports, agent.name);
  opened.name(agent.name);
  const adoption = {
    moduleUrl,
    agentName: agent.name,
    host,
    ...(usesDatabase(agent) ? { database } : {}),
  };
  const timeoutMs = options.startTimeoutMs ?? defaultStartTimeoutMs;
  try {
    await opened.calls.within({ timeoutMs }).adopt(adoption);
  } catch (error) {
    await opened.death.terminate({ why: "its start failed", code: "AGENT_STOPPED" });
    throw startFailed(agent.name, timeoutMs, error);
  }
  const limits = limitsOf(agent, options.unresponsiveMs);
  return createHandle(options, opened, watch(options, opened, limits));
}

function usesDatabase({ capabilities }: AgentSummary): boolean {
  return Object.values(capabilities).some(({ connections }) => connections > 0);
}

function startFailed(name: string, timeoutMs: number, error: unknown): AgentError {
  const reason = toErrorRecord(error);
  if (reason.code === "CALL_TIMEOUT") {
    const message = `Cannot start agent ${name}: it was not ready after ${timeoutMs} ms`;
    return new AgentError("START_TIMEOUT", message, { retryable: true, cause: reason });
  }
  const why = reason.code === "AGENT_DIED" ? (reason.cause ?? reason) : reason;
  const message = `Cannot start agent ${name}: ${why.message}`;
  return new AgentError("AGENT_START_FAILED", message, { retryable: true, cause: reason });
}

function watch(options: AgentThreadOptions, opened: OpenWorker, limits: ThreadLimits): Liveness {
  const { death } = opened;
  const liveness = watchLiveness({
    figures: opened.figures,
    pulse: opened.pulse,
    clock: options.clock,
    limits,
    cpuShare,
    onHealth: (healthy) => options.onHealth?.(healthy),
    onUnresponsive: () => {
      void death.terminate({ why: "its loop is blocked", code: "LOOP_BLOCKED", kind: "spin" });
    },
    onOverBudget: (bytes) => {
      const why = `its buffers take ${Math.round(bytes / 1_048_576)} MB, ${limits.bufferMb} are allowed`;
      void death.terminate({ why, code: "MEMORY_EXCEEDED", kind: "out-of-memory" });
    },
  });
  void death.ended.then(() => liveness.stop());
  return liveness;
}

function createHandle(
  options: AgentThreadOptions,
  opened: OpenWorker,
  liveness: Liveness,
): AgentThread {
  const { worker, calls, death, open } = opened;
  const { agent, ports } = options;
  let attempts = 0;
  return {
    threadId: worker.id,
    ended: death.ended,
    exited: death.ended.then(({ exit }) => exit),
    lastSeenAt: () => liveness.lastSeenAt(),
    isHealthy: () => liveness.isHealthy(),
    figures: () => {
      const { lagMs, cpuMs, heapBytes, arrayBufferBytes } = opened.figures();
      return { lagMs, cpuMs, heapBytes, arrayBufferBytes };
    },
    kill: () => death.terminate({ why: "it was killed", code: "AGENT_KILLED", kind: "exit" }),
    run: (operation, call, hooks) => {
      attempts += 1;
      const { graceMs = limitsOf(agent).graceMs } = hooks;
      const request = { id: String(attempts), operation, call, graceMs };
      return runAttemptOver({ agent, opened, ports }, request, hooks);
    },
    stop: async () => {
      death.expect();
      const timeoutMs = options.shutdownMs ?? defaultShutdownMs;
      // A worker that is dead or does not hear is dealt with below.
      void calls
        .within({ timeoutMs })
        .drain()
        .catch(() => undefined);
      try {
        await bounded(death.ended, { what: `the end of ${agent.name}`, timeoutMs });
      } catch {
        const why = `it did not stop within ${timeoutMs} ms, ${open.size} attempts were running`;
        await death.terminate({ why, code: "AGENT_STOPPED" });
      }
    },
  };
}
