/**
 * Starts an agent's worker thread and drives it from the main thread.
 *
 * Owns the thread: whatever happens inside, every call settles and `exited` resolves once.
 *
 * @module
 */

import { totalmem } from "node:os";
import { MessageChannel, Worker } from "node:worker_threads";
import type { AgentDefinition } from "../../../actors/define-agent.ts";
import type {
  AgentCall,
  AgentCallHooks,
  AgentOutcome,
  Clock,
  HostFacts,
} from "../../../actors/ports.ts";
import type { RunningChild } from "../../../actors/tree/child-spec.ts";
import type { DatabaseTarget } from "../../../db/client.ts";
import type { ChildExit } from "../../../machines/child-table.ts";
import { createDeferred } from "../../../machines/deferred.ts";
import { AgentError, type ErrorRecord, toErrorRecord } from "../../../machines/error-code.ts";
import { bounded, openCalls } from "../call/calls.ts";
import { threadEntryUrl } from "../thread-url.ts";
import { type AgentPorts, hostMethods } from "./host-methods.ts";
import { type Liveness, watchLiveness } from "./liveness.ts";
import { type Env, grantedEnv, heapLimitMb } from "./permissions.ts";
import {
  type AttemptRequest,
  isThreadFrame,
  type ThreadApi,
  type ThreadData,
  type ThreadFrame,
} from "./thread-protocol.ts";

const defaultStartTimeoutMs = 30_000;
const defaultShutdownMs = 5_000;
const defaultUnresponsiveMs = 30_000;
/** A thread that is stuck in native code may outlive `terminate`; it is left behind after this. */
const terminateTimeoutMs = 5_000;

/** What the main thread needs to know of an agent. */
export type AgentSummary = Pick<
  AgentDefinition,
  "name" | "concurrency" | "permissions" | "resources"
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
  /** A thread whose loop has not turned for this long is terminated. Default 30 s. */
  readonly unresponsiveMs?: number;
  onHealth?(healthy: boolean): void;
}

export interface AgentThread extends RunningChild {
  readonly threadId: number;
  /** Runs or undoes one attempt. Never rejects, always settles. */
  run(
    operation: AttemptRequest["operation"],
    call: AgentCall,
    hooks: AgentCallHooks,
  ): Promise<AgentOutcome>;
  kill(): Promise<void>;
  lastSeenAt(): Date;
  isHealthy(): boolean;
}

/** @throws {AgentError} `START_TIMEOUT` when the thread is not ready in time, `AGENT_START_FAILED` when it dies before. */
export async function startAgentThread(options: AgentThreadOptions): Promise<AgentThread> {
  const { agent } = options;
  const { port1, port2 } = new MessageChannel();
  const turns = new SharedArrayBuffer(4);
  const worker = openWorker(options, {
    moduleUrl: options.moduleUrl,
    agentName: agent.name,
    database: options.database,
    host: options.host,
    control: port2,
    turns,
  });
  const threadId = worker.threadId;
  const open = new Map<string, AgentCallHooks>();
  const calls = openCalls<ThreadApi>(port1, hostMethods(options.ports, open));
  const death = watchDeath(worker, agent.name);
  void death.exited.then(() => calls.die(death.record()));

  const ready = createDeferred<void>();
  port1.on("message", (frame: unknown) => {
    if (!isThreadFrame(frame)) return;
    try {
      receive(frame, ready.resolve, open, options);
    } catch (error) {
      // A hook that throws must not end the process.
      options.ports.log.error("agent.hook-failed", {
        agent: agent.name,
        error: toErrorRecord(error),
      });
    }
  });
  void death.exited.then(() => ready.reject(death.record()));
  try {
    const timeoutMs = options.startTimeoutMs ?? defaultStartTimeoutMs;
    await bounded(ready.promise, { what: "its thread to report ready", timeoutMs });
  } catch (error) {
    await death.terminate("its start failed");
    const reason = toErrorRecord(error);
    throw new AgentError(
      reason.code === "CALL_TIMEOUT" ? "START_TIMEOUT" : "AGENT_START_FAILED",
      `Cannot start agent ${agent.name}: ${reason.cause?.message ?? reason.message}`,
      { retryable: true, cause: reason },
    );
  }
  const liveness = watchLiveness({
    turns,
    clock: options.clock,
    unresponsiveMs: options.unresponsiveMs ?? defaultUnresponsiveMs,
    onHealth: (healthy) => options.onHealth?.(healthy),
    onUnresponsive: () => void death.terminate("its loop is blocked"),
  });
  void death.exited.then(() => liveness.stop());
  return createHandle({ options, threadId, calls, death, liveness, open });
}

function openWorker(options: AgentThreadOptions, data: ThreadData): Worker {
  const { agent } = options;
  const machineMemoryMb = totalmem() / 1_048_576;
  const worker = new Worker(threadEntryUrl(), {
    name: agent.name,
    workerData: data,
    transferList: [data.control],
    env: grantedEnv(agent.permissions.env, options.env ?? {}),
    execArgv: [],
    resourceLimits: {
      maxOldGenerationSizeMb: heapLimitMb(agent.resources.memoryMb, machineMemoryMb),
    },
    stdout: true,
    stderr: true,
  });
  // What an agent prints must not tear the console's progress bars.
  for (const stream of [worker.stdout, worker.stderr]) {
    stream.setEncoding("utf8");
    stream.on("data", (text: string) => {
      options.ports.log.info("agent.printed", { agent: agent.name, text: text.trimEnd() });
    });
  }
  return worker;
}

function receive(
  frame: ThreadFrame,
  onReady: () => void,
  open: ReadonlyMap<string, AgentCallHooks>,
  { agent, ports: { log } }: AgentThreadOptions,
): void {
  switch (frame.type) {
    case "ready":
      return onReady();
    case "heartbeat":
      return open.get(frame.attemptId)?.onHeartbeat(frame.progress);
    case "log":
      return log[frame.level](frame.message, { agent: agent.name, ...frame.fields });
  }
}

interface Death {
  /** Resolves once, when the thread is gone. */
  readonly exited: Promise<ChildExit>;
  /** Why calls fail: `AGENT_DIED`. */
  record(): ErrorRecord;
  /** From now on an exit with code 0 is normal. */
  expect(): void;
  terminate(reason: string): Promise<void>;
}

function watchDeath(worker: Worker, name: string): Death {
  const exited = createDeferred<ChildExit>();
  let crash: { readonly value: unknown } | undefined;
  let terminated: string | undefined;
  let expected = false;
  let exitCode: number | undefined;
  const record = (): ErrorRecord => {
    const how = terminated ?? `its thread exited with code ${exitCode ?? "unknown"}`;
    const message = `Cannot go on with agent ${name}: ${how}`;
    // An agent may have thrown null: that is a cause too.
    const cause = crash === undefined ? {} : { cause: toErrorRecord(crash.value) };
    return { name: "AgentError", message, code: "AGENT_DIED", retryable: true, ...cause };
  };
  const settle = (): void => {
    const normal = expected && crash === undefined && terminated === undefined && exitCode === 0;
    exited.resolve(normal ? { type: "normal" } : { type: "abnormal", error: record() });
  };
  worker.once("error", (value: unknown) => {
    crash = { value };
  });
  worker.once("exit", (code) => {
    exitCode = code;
    // The last answers of the thread may still be on their way in.
    setImmediate(settle);
  });
  return {
    exited: exited.promise,
    record,
    expect: () => {
      expected = true;
    },
    terminate: async (reason) => {
      terminated ??= reason;
      void worker.terminate();
      const timer = setTimeout(settle, terminateTimeoutMs);
      await exited.promise;
      clearTimeout(timer);
    },
  };
}

interface HandleParts {
  readonly options: AgentThreadOptions;
  readonly threadId: number;
  readonly calls: ReturnType<typeof openCalls<ThreadApi>>;
  readonly death: Death;
  readonly liveness: Liveness;
  readonly open: Map<string, AgentCallHooks>;
}

function createHandle(parts: HandleParts): AgentThread {
  const { options, threadId, calls, death, liveness, open } = parts;
  let attempts = 0;
  return {
    threadId,
    exited: death.exited,
    lastSeenAt: () => liveness.lastSeenAt(),
    isHealthy: () => liveness.isHealthy(),
    kill: () => death.terminate("it was killed"),
    run: (operation, call, hooks) => {
      attempts += 1;
      return runOver(
        parts,
        { id: String(attempts), operation, call, graceMs: hooks.graceMs },
        hooks,
      );
    },
    stop: async () => {
      death.expect();
      // A thread that is dead or does not hear is dealt with below.
      void calls.api.drain().catch(() => undefined);
      const timeoutMs = options.shutdownMs ?? defaultShutdownMs;
      const timer = setTimeout(() => {
        const left = open.size;
        void death.terminate(
          `it did not stop within ${timeoutMs} ms, ${left} attempts were running`,
        );
      }, timeoutMs);
      await death.exited;
      clearTimeout(timer);
    },
  };
}

async function runOver(
  { options, calls, death, open }: HandleParts,
  request: AttemptRequest,
  hooks: AgentCallHooks,
): Promise<AgentOutcome> {
  const { signal, graceMs } = hooks;
  const what = `${request.call.agent}.${request.call.action}`;
  if (signal.aborted) return aborted(what, signal);
  let graceTimer: NodeJS.Timeout | undefined;
  const abort = (): void => {
    // A dead thread has settled the run already.
    void calls.api.abort(request.id, `${what} was aborted`).catch(() => undefined);
    graceTimer = setTimeout(() => {
      options.ports.log.warn("agent.terminated", {
        agent: options.agent.name,
        action: what,
        graceMs,
      });
      void death.terminate(`${what} did not stop within ${graceMs} ms of its abort`);
    }, graceMs);
  };
  signal.addEventListener("abort", abort, { once: true });
  open.set(request.id, hooks);
  try {
    const outcome: AgentOutcome = await calls.api.run(request);
    return signal.aborted ? aborted(what, signal, outcome) : outcome;
  } catch (error) {
    const outcome: AgentOutcome = { type: "failed", error: toErrorRecord(error) };
    return signal.aborted ? aborted(what, signal, outcome) : outcome;
  } finally {
    open.delete(request.id);
    clearTimeout(graceTimer);
    signal.removeEventListener("abort", abort);
  }
}

/** An aborted attempt has lost its right to report, whatever it did in the end. */
function aborted(what: string, signal: AbortSignal, ended?: AgentOutcome): AgentOutcome {
  const cause = ended?.type === "failed" ? ended.error : signal.reason;
  const error = new AgentError("ABORTED", `Cannot finish ${what}: it was aborted`, { cause });
  return { type: "failed", error: toErrorRecord(error) };
}
