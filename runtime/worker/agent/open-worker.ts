/**
 * Opens a worker that may become any agent with the same rights: entry loaded, ports connected.
 *
 * @module
 */

import { MessageChannel } from "node:worker_threads";
import { toErrorRecord } from "../../../machines/error-code.ts";
import type { PermissionSet } from "../../../machines/permissions.ts";
import { type Calls, openCalls } from "../call/calls.ts";
import { optionOf } from "../permissions/agent-permissions.ts";
import { type EventFrame, openEventChannel } from "../remote/event-channel.ts";
import { threadEntryUrl } from "../thread-url.ts";
import type { Isolation, LoopFigures } from "../web/carrier.ts";
import { Worker } from "../web/worker.ts";
import { type Death, watchDeath } from "./death.ts";
import { type AgentPorts, hostMethods, type OpenAttempts } from "./host-methods.ts";
import type { ThreadLimits } from "./limits.ts";
import {
  isHeartbeat,
  isLogEntry,
  isSpending,
  type WorkerApi,
  type WorkerSeed,
} from "./thread-protocol.ts";

/** What an attempt reported has this long to arrive after its outcome. */
const reportTimeoutMs = 1_000;

/** From the end of a worker's port to its own end. */
const closedTimeoutMs = 5_000;

export type Env = Readonly<Record<string, string | undefined>>;

/** What is fixed when a worker starts. */
export interface WorkerRights {
  readonly isolation: Isolation;
  readonly permissions: PermissionSet;
  readonly heapMb: ThreadLimits["heapMb"];
  /** To grant from; the worker sees only what its permissions name. */
  readonly env: Env;
}

export interface OpenWorker {
  readonly worker: Worker;
  readonly calls: Calls<WorkerApi>;
  readonly death: Death;
  /** Hooks of the attempts that run, by id. */
  readonly open: OpenAttempts;
  figures(): LoopFigures;
  /** Heartbeats so far, also while the loop is blocked. */
  pulse(): number;
  /** Resolves when the worker's report `seq` has been applied, or did not come in time. */
  applied(seq: number): Promise<void>;
  /** From now on logs and errors name this agent. */
  name(agent: string): void;
}

let opened = 0;

export function openWorker(rights: WorkerRights, ports: AgentPorts, agent = "SPARE"): OpenWorker {
  const { isolation, permissions, heapMb, env } = rights;
  let name = agent;
  const worker = new Worker(threadEntryUrl(), {
    type: "module",
    name,
    deno: { permissions: optionOf(permissions) },
    spectra: {
      isolation,
      env,
      heapLimitMb: heapMb,
      // What an agent prints must not tear the console's progress bars.
      print: (text) => ports.log.info("agent.printed", { agent: name, text: text.trimEnd() }),
    },
  });
  const control = new MessageChannel();
  const events = new MessageChannel();
  const pulse = isolation === "thread" ? new SharedArrayBuffer(4) : undefined;
  const counter = new Int32Array(pulse ?? new ArrayBuffer(4));
  const open: OpenAttempts = new Map();
  opened += 1;
  const inspector = ports.inspection?.openThread();
  const seed: WorkerSeed = {
    control: control.port2,
    events: events.port2,
    incarnation: opened,
    ...(pulse === undefined ? {} : { pulse }),
    ...(inspector === undefined ? {} : { inspector: inspector.seed }),
  };
  const ownPorts = inspector === undefined ? [] : [inspector.seed.port];
  worker.postMessage(seed, [control.port2, events.port2, ...ownPorts]);
  const calls = openCalls<WorkerApi>(control.port1, hostMethods(ports, open), () => {
    // Its exit is on the way, and tells why; or nobody can reach it any more.
    setTimeout(() => {
      const why = "its control port is closed";
      void death.terminate({ why, code: "AGENT_STOPPED", kind: "crash" });
    }, closedTimeoutMs).unref();
  });
  const waiting = new Map<() => void, number>();
  let applied = 0;
  const channel = openEventChannel({
    port: events.port1,
    incarnation: opened,
    onFrame: (frame) => {
      apply(frame, name, open, ports);
      applied = frame.seq;
      for (const [go, seq] of waiting) if (seq <= applied) go();
    },
  });
  const death = watchDeath(worker, () => name);
  void death.ended.then(() => {
    calls.die(death.record());
    channel.close();
    inspector?.close();
    for (const go of waiting.keys()) go();
  });
  return {
    worker,
    calls,
    death,
    open,
    figures: () => worker.figures(),
    pulse: () => Atomics.load(counter, 0),
    applied: async (seq) => {
      if (seq <= applied) return;
      await new Promise<void>((resolve) => {
        const go = (): void => {
          clearTimeout(timer);
          waiting.delete(go);
          resolve();
        };
        const timer = setTimeout(go, reportTimeoutMs);
        waiting.set(go, seq);
      });
    },
    name: (given) => {
      name = given;
    },
  };
}

function apply(
  { kind, body }: EventFrame,
  agent: string,
  open: OpenAttempts,
  { log }: AgentPorts,
): void {
  try {
    if (isHeartbeat(kind, body)) open.get(body.attemptId)?.onHeartbeat(body.progress);
    else if (isSpending(kind, body)) open.get(body.attemptId)?.onSpend?.(body.totals);
    else if (isLogEntry(kind, body)) log[body.level](body.message, { agent, ...body.fields });
  } catch (error) {
    // A hook that throws must not end the process.
    log.error("agent.hook-failed", { agent, error: toErrorRecord(error) });
  }
}
