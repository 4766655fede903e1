/**
 * The main loop of a worker's process: between the channel to the parent and the real worker
 * inside, a thread of Node or a `Worker` of Deno. No code of the worker runs on this loop, so it
 * hears the parent's end while the worker spins, and tells how the worker ended.
 *
 * Runs in Node and in Deno.
 *
 * @module
 */

import type { Buffer } from "node:buffer";
import { Socket } from "node:net";
import { createDeferred, type Deferred } from "../../../../machines/deferred.ts";
import type { PermissionSet } from "../../../../machines/permissions.ts";
import type { LoopFigures, WorkerFault } from "../carrier.ts";
import type { PreparedThread, PrepareThread, ThreadWish } from "../prepare-thread.ts";
import { encodeFrame, encodeNumbers, type Frame, frameKinds, frameReader } from "./frames.ts";
import {
  channelFd,
  type HostBoot,
  maximumBacklogBytes,
  type PrepareAnswer,
  type PrepareCall,
} from "./host-protocol.ts";
import { createPortBridge } from "./port-bridge.ts";
import { decodePlain, decodeValue, encodePlain, encodeValue, type PortedValue } from "./values.ts";

const figuresIntervalMs = 50;

/** The worker inside. */
export interface InnerWorker {
  post(value: PortedValue): void;
  figures(): LoopFigures;
}

export interface InnerListener {
  message(value: PortedValue): void;
  messageerror(error: unknown): void;
  narrowed(permissions: PermissionSet): void;
  fault(fault: WorkerFault): void;
  exit(code: number): void;
}

export interface HostPlatform {
  /** @param prepare Asks the parent what a thread for the worker needs. */
  open(boot: HostBoot, listener: InnerListener, prepare: PrepareThread): InnerWorker;
  /** Ends this process and what it has started, at once. */
  end(code: number): void;
  /** See `PortBridgeOptions.closeMark`. */
  closeMarkOf?(boot: HostBoot): string;
}

export function serveHost({ open, end, closeMarkOf }: HostPlatform): void {
  const socket = new Socket({ fd: channelFd, readable: true, writable: true });
  let ended = false;
  let inner: InnerWorker | undefined;
  let closeMark: string | undefined;
  const send = (frame: Buffer): void => {
    if (ended) return;
    socket.write(frame);
    if (socket.writableLength > maximumBacklogBytes) fail(backlogFault());
  };
  const finish = (code: number): void => {
    if (ended) return;
    ended = true;
    const exit = encodeFrame(frameKinds.exit, 0, encodeNumbers(code));
    socket.end(exit, () => end(0));
  };
  const fail = (fault: WorkerFault): void => {
    if (ended) return;
    socket.write(encodeFrame(frameKinds.fault, 0, encodePlain(fault)));
    finish(1);
  };
  const onMessageError = (error: unknown): void => {
    const message = error instanceof Error ? error.message : String(error);
    send(encodeFrame(frameKinds.messageError, 0, encodePlain(message)));
  };
  const bridge = createPortBridge({
    firstId: 2,
    send,
    onMessageError,
    closeMark: () => closeMark,
  });
  const consumption = watchConsumption((bytes) =>
    send(encodeFrame(frameKinds.consumed, 0, encodeNumbers(bytes))),
  );

  const listener: InnerListener = {
    message: (value) => {
      try {
        send(encodeFrame(frameKinds.message, 0, encodeValue(value, bridge.adopt)));
      } catch (error) {
        // Shared memory, or a kind of object that only threads can hand over.
        onMessageError(error);
      }
    },
    messageerror: onMessageError,
    narrowed: (left) => send(encodeFrame(frameKinds.narrowed, 0, encodePlain(left))),
    fault: (fault) => send(encodeFrame(frameKinds.fault, 0, encodePlain(fault))),
    exit: finish,
  };

  const calls = prepareCalls((call) => send(encodeFrame(frameKinds.prepare, 0, encodePlain(call))));
  const receive = ({ kind, port, payload }: Frame): void => {
    if (kind === frameKinds.boot) {
      const boot = decodePlain(payload) as HostBoot;
      closeMark = closeMarkOf?.(boot);
      inner = open(boot, listener, calls.prepare);
    } else if (kind === frameKinds.prepared) {
      calls.answered(decodePlain(payload) as PrepareAnswer);
    } else if (kind === frameKinds.message) {
      consumption.delivered(payload.length);
      if (port !== 0) return bridge.receive(port, payload);
      try {
        inner?.post(decodeValue(payload, bridge.open));
      } catch (error) {
        onMessageError(error);
      }
    } else if (kind === frameKinds.portClosed) {
      bridge.closed(port);
    }
  };
  socket.on("data", frameReader(receive));
  // Whatever happened to the parent, nobody waits for this worker any more.
  const orphaned = (): void => {
    if (!ended) end(1);
  };
  socket.on("end", orphaned);
  socket.on("error", orphaned);
  socket.on("close", orphaned);

  let told = -1;
  setInterval(() => {
    const figures = inner?.figures();
    if (figures === undefined || figures.turns === told) return;
    told = figures.turns;
    const { turns, lagMs, cpuMs, heapBytes, arrayBufferBytes } = figures;
    const payload = encodeNumbers(turns, lagMs, cpuMs, heapBytes, arrayBufferBytes);
    send(encodeFrame(frameKinds.figures, 0, payload));
    consumption.turned();
  }, figuresIntervalMs);
}

/**
 * Values count as consumed when the worker's loop has turned twice since they were handed to it:
 * a loop that has come round has read the queue of its port.
 */
function watchConsumption(tell: (bytes: number) => void) {
  let beforeLast = 0;
  let sinceLast = 0;
  return {
    delivered: (bytes: number): void => {
      sinceLast += bytes;
    },
    turned: (): void => {
      if (beforeLast > 0) tell(beforeLast);
      beforeLast = sinceLast;
      sinceLast = 0;
    },
  };
}

/** At most as many are open as nested workers may live. */
function prepareCalls(send: (call: PrepareCall) => void) {
  const open = new Map<string, Deferred<PreparedThread>>();
  return {
    prepare: (wish: ThreadWish): Promise<PreparedThread> => {
      const id = crypto.randomUUID();
      const answer = createDeferred<PreparedThread>();
      open.set(id, answer);
      send({ id, wish });
      return answer.promise;
    },
    answered: (answer: PrepareAnswer): void => {
      const call = open.get(answer.id);
      open.delete(answer.id);
      if ("thread" in answer) call?.resolve(answer.thread);
      else call?.reject(Object.assign(new Error(answer.error.message), answer.error));
    },
  };
}

function backlogFault(): WorkerFault {
  const message = `Cannot go on: ${maximumBacklogBytes} bytes of the worker's messages wait for its parent`;
  return {
    message,
    filename: "",
    lineno: 0,
    colno: 0,
    error: { name: "AgentError", message, code: "WORKER_BACKLOG_FULL", retryable: true },
    kind: "out-of-memory",
  };
}
