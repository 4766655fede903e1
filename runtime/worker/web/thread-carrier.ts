/**
 * Carries a worker in a thread of this process.
 *
 * Frames have a port of their own, which the worker's code cannot reach. A thread that is restricted
 * may start no other: it gets a port to a nursery (`nursery.ts`) beside, which does it on request.
 *
 * @module
 */

import {
  MessageChannel,
  type MessagePort,
  receiveMessageOnPort,
  type Transferable,
} from "node:worker_threads";
import { createDeferred } from "../../../machines/deferred.ts";
import { isEverything } from "../permissions/enforcement.ts";
import { codeRootsOf, threadExecArgv } from "../permissions/exec-argv.ts";
import type { Carrier, CarrierListener, CarrierOptions, WorkerFault } from "./carrier.ts";
import { faultOf } from "./fault.ts";
import type { ParentFrame, ScopeFrame } from "./frames.ts";
import { meterBytes, readFigures } from "./meter.ts";
import { newFamily, openNursery } from "./nursery.ts";
import { type PrepareThread, prepareThread } from "./prepare-thread.ts";
import { startThread, type Thread, type ThreadEnd, type ThreadSeed } from "./thread.ts";
import { portsOf } from "./transfer.ts";

/** @param prepare What nested workers need to start; where this process is restricted, another has to say. */
export function openThread(
  options: CarrierOptions,
  listener: CarrierListener,
  prepare: PrepareThread = prepareThread,
): Carrier {
  return carryFrames(listener, (seed, onEnd) => startHere(options, prepare, seed, onEnd));
}

type Start = (seed: ThreadSeed, onEnd: ThreadEnd) => Thread | RemoteThread;

/** A thread that another one has started for us: it is loaded there. */
export type RemoteThread = Omit<Thread, "load" | "fail">;

/** This side of the frames, however the thread is started. */
export function carryFrames(listener: CarrierListener, start: Start): Carrier {
  const { port1, port2 } = new MessageChannel();
  const meter = new SharedArrayBuffer(meterBytes);
  const figures = new Float64Array(meter);
  const gone = createDeferred<void>();
  const told = tellFrames(port1, listener, gone.resolve);
  const thread = start({ frames: port2, meter }, told.ended);
  return {
    isolation: "thread",
    get id() {
      return thread.id;
    },
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
      told.silence();
      port1.postMessage({ type: "exit" } satisfies ParentFrame);
      thread.endSoon();
      return gone.promise;
    },
    ref: () => thread.ref(),
    unref: () => thread.unref(),
  };
}

function startHere(
  options: CarrierOptions,
  prepare: PrepareThread,
  seed: ThreadSeed,
  onEnd: ThreadEnd,
): Thread {
  const { url, name, permissions, env, heapLimitMb, print, shared = false } = options;
  const code = options.code ?? codeRootsOf(url, permissions);
  const execArgv = options.execArgv ?? threadExecArgv(permissions, code);
  const limits = {
    ...(heapLimitMb === undefined ? {} : { heapLimitMb }),
    ...(print === undefined ? {} : { print }),
  };
  const nursery = isEverything(permissions)
    ? undefined
    : openNursery({ permissions, code, prepare, family: newFamily(), depth: 1, ...limits });
  const whole = nursery === undefined ? seed : { ...seed, nursery: nursery.port };
  const thread = startThread(
    { name, permissions, env, execArgv, ...limits },
    whole,
    (exitCode, fault) => {
      nursery?.close();
      onEnd(exitCode, fault);
    },
  );
  const load = (root: string): void =>
    thread.load({ type: "load", root, location: url, name, permissions, shared });
  if (options.root === undefined) load(url);
  else options.root.then(load, (error: unknown) => thread.fail(faultOf(error, "load")));
  return thread;
}

interface Told {
  readonly ended: ThreadEnd;
  /** From now on only `exit` is told. */
  silence(): void;
}

function tellFrames(port: MessagePort, listener: CarrierListener, onGone: () => void): Told {
  let silent = false;
  let ended = false;
  let fault: WorkerFault | undefined;
  const receive = (frame: ScopeFrame): void => {
    if (silent) return;
    if (frame.type === "message") listener.message(frame.data, frame.ports ?? []);
    else if (frame.type === "narrowed") listener.narrowed?.(frame.permissions);
    else if (frame.type === "fault") fault ??= frame.fault;
  };
  port.on("message", (frame: ScopeFrame) => {
    // Once the thread is gone, what is left is read by `drain`.
    if (!ended) receive(frame);
  });
  port.on("messageerror", (error) => {
    if (!silent) listener.messageerror(error);
  });
  // The thread keeps the process alive, not its port.
  port.unref();
  return {
    silence: () => {
      silent = true;
    },
    ended: (code, reason) => {
      if (ended) return;
      ended = true;
      void drain(port, receive).then(() => {
        port.close();
        const last = reason?.kind === "load" ? reason : (fault ?? reason);
        if (last !== undefined && !silent) listener.fault(last);
        onGone();
        listener.exit(code);
      });
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
