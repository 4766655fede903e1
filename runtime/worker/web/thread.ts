/**
 * One `worker_threads` thread that boots a worker's scope, as who started it sees it.
 *
 * @module
 */

import {
  MessageChannel,
  type MessagePort,
  Worker as NodeWorker,
  type WorkerOptions as NodeWorkerOptions,
} from "node:worker_threads";
import { openBroker } from "../permissions/broker-host.ts";
import { brokerServices } from "../permissions/broker-services.ts";
import { isEverything } from "../permissions/enforcement.ts";
import { compiledUrl } from "../thread-url.ts";
import type { CarrierOptions, WorkerFault } from "./carrier.ts";
import { faultOf } from "./fault.ts";
import type { LoadFrame } from "./frames.ts";
import { isInterruptible } from "./meter.ts";

/** For how long a thread that is to end may do so by itself, before it is interrupted. */
const selfExitMs = 20;
/**
 * The same while one of its modules may be in the one state in which V8 of Node 22, 24 and 26 ends the
 * whole process when a thread is interrupted (`AsyncModuleExecutionFulfilled`: "Check failed"): a module
 * without a top-level await runs, after it has waited for an import that has one. Node 20 does the same
 * while a module that has one runs up to its first await.
 * From Node 22 on the root module and ours are given an await at their end (`import-hooks.ts`, `scope.ts`), so only
 * modules between the root and an await of what they import are left. Whoever blocks there for longer
 * is interrupted all the same.
 */
const loadingExitMs = 5_000;

/** `workerData` of a thread. */
export interface ThreadSeed {
  /** To who made the worker. */
  readonly frames: MessagePort;
  readonly meter: SharedArrayBuffer;
  /** To who starts threads for this one, which may not start any itself. */
  readonly nursery?: MessagePort;
  /** Of a restricted worker: where it asks for what Node denies it. */
  readonly broker?: MessagePort;
}

export interface Thread {
  readonly id: number;
  /** Once its root is known. */
  load(frame: LoadFrame): void;
  /** Ends it now, whatever it does, because of `fault`. */
  fail(fault: WorkerFault): void;
  /** Ends it, when it has not ended by itself after a while. Who calls this has told it to, or closed its port. */
  endSoon(): void;
  ref(): void;
  unref(): void;
}

/** Told once, when the thread is gone. */
export type ThreadEnd = (code: number, fault?: WorkerFault) => void;

export type ThreadOptions = Required<
  Pick<CarrierOptions, "name" | "permissions" | "env" | "execArgv">
> &
  Pick<CarrierOptions, "heapLimitMb" | "print">;

/** @throws {Error} When this thread may not start others. */
export function startThread(options: ThreadOptions, seed: ThreadSeed, onEnd: ThreadEnd): Thread {
  const { permissions } = options;
  const capabilities = isEverything(permissions) ? undefined : new MessageChannel();
  const whole = capabilities === undefined ? seed : { ...seed, broker: capabilities.port2 };
  const worker = new NodeWorker(new URL(compiledUrl(entry)), nodeOptions(options, whole));
  const broker = capabilities && openBroker(capabilities.port1, permissions, brokerServices);
  // Node forgets it when the thread ends.
  const { threadId } = worker;
  const meter = new Float64Array(seed.meter);
  let fault: WorkerFault | undefined;
  let timer: NodeJS.Timeout | undefined;
  let ended = false;
  if (options.print !== undefined) forward(worker, options.print);
  worker.on("error", (error: unknown) => {
    fault ??= faultOf(error, isOutOfMemory(error) ? "out-of-memory" : "uncaught");
  });
  worker.on("exit", (code) => {
    ended = true;
    clearTimeout(timer);
    broker?.close();
    onEnd(code, fault);
  });
  return {
    id: threadId,
    load: (frame) => worker.postMessage(frame),
    fail: (reason) => {
      fault ??= reason;
      void worker.terminate();
    },
    endSoon: () => {
      if (ended) return;
      timer ??= setTimeout(
        () => void worker.terminate(),
        isInterruptible(meter) ? selfExitMs : loadingExitMs,
      );
    },
    ref: () => worker.ref(),
    unref: () => worker.unref(),
  };
}

const entry = new URL(
  import.meta.url.endsWith(".ts") ? "./thread-boot.ts" : "./thread-boot.js",
  import.meta.url,
);

function nodeOptions(
  { name, env, execArgv, heapLimitMb, print }: ThreadOptions,
  seed: ThreadSeed,
): NodeWorkerOptions {
  return {
    name,
    env: execArgv.length === 0 ? { ...env } : withoutNodeOptions(env),
    // Never those of the parent: a test runner's hooks, say, are none of the worker's.
    execArgv: [...execArgv],
    workerData: seed,
    transferList: [seed.frames, seed.nursery, seed.broker].filter((port) => port !== undefined),
    ...(heapLimitMb === undefined
      ? {}
      : { resourceLimits: { maxOldGenerationSizeMb: heapLimitMb } }),
    ...(print === undefined ? {} : { stdout: true, stderr: true }),
  };
}

/** Node reads flags from it for each thread, those that grant too: whoever names it gives itself anything. */
function withoutNodeOptions(env: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(env).filter(([name]) => name !== "NODE_OPTIONS"));
}

function forward(worker: NodeWorker, print: NonNullable<CarrierOptions["print"]>): void {
  for (const stream of ["stdout", "stderr"] as const) {
    worker[stream].setEncoding("utf8").on("data", (text: string) => print(text, stream));
  }
}

function isOutOfMemory(error: unknown): boolean {
  return (error as { code?: unknown } | null)?.code === "ERR_WORKER_OUT_OF_MEMORY";
}
