/**
 * Carries a worker in a thread of this process.
 *
 * Frames have a port of their own, which the worker's code cannot reach.
 *
 * @module
 */

import {
  MessageChannel,
  type MessagePort,
  Worker as NodeWorker,
  receiveMessageOnPort,
  type Transferable,
} from "node:worker_threads";
import { createDeferred } from "../../../machines/deferred.ts";
import { openBroker } from "../permissions/broker-host.ts";
import { brokerServices } from "../permissions/broker-services.ts";
import { isEverything } from "../permissions/enforcement.ts";
import { codeRootsOf, threadExecArgv } from "../permissions/exec-argv.ts";
import { compiledUrl } from "../thread-url.ts";
import type { Carrier, CarrierListener, CarrierOptions, WorkerFault } from "./carrier.ts";
import { faultOf } from "./fault.ts";
import type { ParentFrame, ScopeFrame } from "./frames.ts";
import { isLoaded, meterBytes, readFigures } from "./meter.ts";
import { portsOf } from "./transfer.ts";

/** For how long a thread that is to end may do so by itself, before it is interrupted. */
const selfExitMs = 20;
/**
 * The same while its root module is loading. Node 24.21 and 26.10 end the whole process (V8: "Check
 * failed") when a thread is interrupted in some top-level awaits. Measured with 300 threads whose
 * awaits blocked the loop: interrupted after 20 ms both did, after 250 ms neither; on a loaded machine
 * 22 did once after a second. Whoever blocks for longer than this is interrupted all the same.
 */
const loadingExitMs = 5_000;

/** `workerData` of a thread. */
export interface ThreadSeed {
  readonly frames: MessagePort;
  readonly meter: SharedArrayBuffer;
  /** Of a restricted worker: where it asks for what Node denies it. */
  readonly broker?: MessagePort;
}

export function openThread(options: CarrierOptions, listener: CarrierListener): Carrier {
  const { port1, port2 } = new MessageChannel();
  const meter = new SharedArrayBuffer(meterBytes);
  const capabilities = isEverything(options.permissions) ? undefined : new MessageChannel();
  const worker = startThread(options, {
    frames: port2,
    meter,
    ...(capabilities === undefined ? {} : { broker: capabilities.port2 }),
  });
  const broker =
    capabilities && openBroker(capabilities.port1, options.permissions, brokerServices);
  const figures = new Float64Array(meter);
  const { threadId } = worker;
  const gone = createDeferred<void>();
  const life = watchLife(worker, port1, listener, () => {
    broker?.close();
    gone.resolve();
  });
  send(port1, options, life.fail);
  return {
    isolation: "thread",
    id: threadId,
    figures: () => readFigures(figures),
    post: (data, transfer) => {
      const ports = portsOf(transfer);
      const frame: ParentFrame = {
        type: "message",
        data,
        ...(ports.length === 0 ? {} : { ports }),
      };
      port1.postMessage(frame, transfer as Transferable[]);
    },
    terminate: () => {
      life.silence();
      port1.postMessage({ type: "exit" } satisfies ParentFrame);
      const patienceMs = isLoaded(figures) ? selfExitMs : loadingExitMs;
      const timer = setTimeout(() => void worker.terminate(), patienceMs);
      void gone.promise.then(() => clearTimeout(timer));
      return gone.promise;
    },
    ref: () => worker.ref(),
    unref: () => worker.unref(),
  };
}

function startThread(
  { url, name, permissions, env, heapLimitMb, execArgv, print }: CarrierOptions,
  seed: ThreadSeed,
): NodeWorker {
  const entry = new URL(
    import.meta.url.endsWith(".ts") ? "./thread-boot.ts" : "./thread-boot.js",
    import.meta.url,
  );
  const worker = new NodeWorker(new URL(compiledUrl(entry)), {
    name,
    env: { ...env },
    // Never those of the parent: a test runner's hooks, say, are none of the worker's.
    execArgv: [...(execArgv ?? threadExecArgv(permissions, codeRootsOf(url, permissions)))],
    workerData: seed,
    transferList: [seed.frames, ...(seed.broker === undefined ? [] : [seed.broker])],
    ...(heapLimitMb === undefined
      ? {}
      : { resourceLimits: { maxOldGenerationSizeMb: heapLimitMb } }),
    ...(print === undefined ? {} : { stdout: true, stderr: true }),
  });
  if (print !== undefined) {
    for (const stream of ["stdout", "stderr"] as const) {
      worker[stream].setEncoding("utf8").on("data", (text: string) => print(text, stream));
    }
  }
  return worker;
}

/** Tells the worker what to load, as soon as that is known. */
function send(
  port: MessagePort,
  options: CarrierOptions,
  fail: (fault: WorkerFault) => void,
): void {
  const { url, name, permissions, shared = false } = options;
  const load = (root: string): void => {
    port.postMessage({
      type: "load",
      root,
      location: url,
      name,
      permissions,
      shared,
    } satisfies ParentFrame);
  };
  if (options.root === undefined) load(url);
  else options.root.then(load, (error: unknown) => fail(faultOf(error, "load")));
}

interface Life {
  /** Ends a worker that cannot begin. */
  fail(fault: WorkerFault): void;
  /** From now on only `exit` is told. */
  silence(): void;
}

function watchLife(
  worker: NodeWorker,
  port: MessagePort,
  listener: CarrierListener,
  onGone: () => void,
): Life {
  let silent = false;
  let ended = false;
  let fault: WorkerFault | undefined;
  const receive = (frame: ScopeFrame): void => {
    if (silent) return;
    if (frame.type === "message") listener.message(frame.data, frame.ports ?? []);
    else if (frame.type === "narrowed") listener.narrowed?.(frame.permissions);
    else if (frame.type === "fault") fault ??= frame.fault;
  };
  const onMessage = (frame: ScopeFrame): void => {
    // Once the thread is gone, what is left is read by `drain`.
    if (!ended) receive(frame);
  };
  port.on("message", onMessage);
  port.on("messageerror", (error) => {
    if (!silent) listener.messageerror(error);
  });
  // The thread keeps the process alive, not its port.
  port.unref();
  worker.on("error", (error: unknown) => {
    fault ??= faultOf(error, isOutOfMemory(error) ? "out-of-memory" : "uncaught");
  });
  worker.on("exit", (code) => {
    ended = true;
    void drain(port, receive).then(() => {
      port.close();
      if (fault !== undefined && !silent) listener.fault(fault);
      onGone();
      listener.exit(code);
    });
  });
  return {
    fail: (reason) => {
      fault ??= reason;
      void worker.terminate();
    },
    silence: () => {
      silent = true;
    },
  };
}

/** What the thread posted before it ended, each with a microtask turn of its own. */
async function drain(port: MessagePort, receive: (frame: ScopeFrame) => void): Promise<void> {
  for (;;) {
    const received: { message: ScopeFrame } | undefined = receiveMessageOnPort(port);
    if (received === undefined) return;
    receive(received.message);
    await Promise.resolve();
  }
}

function isOutOfMemory(error: unknown): boolean {
  return (error as { code?: unknown } | null)?.code === "ERR_WORKER_OUT_OF_MEMORY";
}
