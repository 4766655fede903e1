/**
 * Carries a worker in another process, whatever program that runs: the parent's end.
 *
 * @module
 */

import { AgentError, toErrorRecord } from "../../../../machines/error-code.ts";
import type { PermissionSet } from "../../../../machines/permissions.ts";
import type { Carrier, CarrierListener, CarrierOptions, LoopFigures } from "../carrier.ts";
import { faultOf } from "../fault.ts";
import { createFrameSender } from "./frame-sender.ts";
import { encodeFrame, type Frame, frameKinds, frameReader, numberAt } from "./frames.ts";
import { type HostProgram, startHost } from "./host-process.ts";
import type { HostBoot, PrepareAnswer, PrepareCall } from "./host-protocol.ts";
import { createPortBridge } from "./port-bridge.ts";
import {
  decodePlain,
  decodeValue,
  encodePlain,
  encodeValue,
  takeValue,
  writesCauseFirst,
} from "./values.ts";

export function openHost(
  program: HostProgram,
  options: CarrierOptions,
  listener: CarrierListener,
): Carrier {
  const host = startHost(program, options, listener);
  const sender = createFrameSender(host.channel);
  const causesApart = program.isolation === "deno" && writesCauseFirst;
  const bridge = createPortBridge({
    firstId: 1,
    causesApart,
    send: (frame) => {
      if (!host.hasEnded()) sender.send(frame);
    },
    onMessageError: (error) => {
      // Nobody stands behind a port who could be told that it is too much.
      if (error instanceof AgentError) host.fail(faultOf(error, "out-of-memory"));
      else host.tell(() => listener.messageerror(error));
    },
  });
  let figures: LoopFigures = { turns: 0, lagMs: 0, cpuMs: 0, heapBytes: 0, arrayBufferBytes: 0 };

  const answer = (told: PrepareAnswer): void => {
    if (!host.hasEnded()) sender.send(encodeFrame(frameKinds.prepared, 0, encodePlain(told)));
  };
  const receive = (frame: Frame): void => {
    const { kind, port, payload } = frame;
    if (kind === frameKinds.figures) figures = figuresFrom(payload);
    else if (kind === frameKinds.consumed) sender.consumed(numberAt(payload, 0));
    else if (kind === frameKinds.portClosed) bridge.closed(port);
    else if (kind === frameKinds.message && port !== 0) bridge.receive(port, payload);
    else if (kind === frameKinds.message) {
      host.tell(() => {
        const { data, ports } = decodeValue(payload, bridge.open);
        listener.message(data, ports as unknown as Parameters<CarrierListener["message"]>[1]);
      });
    } else if (kind === frameKinds.messageError) {
      host.tell(() => listener.messageerror(new Error(String(decodePlain(payload)))));
    } else if (kind === frameKinds.narrowed) {
      host.tell(() => listener.narrowed?.(decodePlain(payload) as PermissionSet));
    } else if (kind === frameKinds.prepare) void answerPrepare(program, payload, answer);
    else host.told(frame);
  };
  const turns = takeTurns(receive, (error) => {
    // Code in the worker wrote to the channel: nothing that comes from it can be trusted any more.
    host.fail(faultOf(error, "uncaught"));
  });
  const read = frameReader(turns.add);
  host.channel.on("data", (chunk: Buffer) => {
    try {
      read(chunk);
    } catch (error) {
      host.fail(faultOf(error, "uncaught"));
    }
  });
  // A process that dies is told by its exit.
  host.channel.on("error", () => undefined);
  void host.gone.then(() => {
    bridge.closeAll();
    sender.close();
  });
  boot(
    program,
    options,
    (payload) => sender.boot(payload),
    (error) => host.fail(faultOf(error, "load")),
  );

  return {
    isolation: program.isolation,
    id: host.pid,
    figures: () => figures,
    post: (data, transfer) => {
      if (host.hasEnded()) return;
      const value = takeValue(data, transfer as readonly object[], causesApart);
      sender.send(
        encodeFrame(frameKinds.message, 0, encodeValue(value, bridge.adopt, causesApart)),
      );
    },
    terminate: () => {
      host.silence();
      host.kill();
      return host.gone;
    },
    ref: host.ref,
    unref: host.unref,
  };
}

function boot(
  { deno }: HostProgram,
  {
    url,
    root,
    name,
    permissions,
    shared = false,
    env,
    heapLimitMb,
    execArgv,
    code,
  }: CarrierOptions,
  send: (payload: Buffer) => void,
  fail: (error: unknown) => void,
): void {
  const sendWith = (rootUrl?: string): void =>
    send(
      encodePlain({
        url,
        name,
        permissions,
        shared,
        env,
        ...(rootUrl === undefined ? {} : { root: rootUrl }),
        ...(heapLimitMb === undefined ? {} : { heapLimitMb }),
        ...(execArgv === undefined ? {} : { execArgv }),
        ...(code === undefined ? {} : { code }),
        ...(deno === undefined ? {} : { deno }),
      } satisfies HostBoot),
    );
  if (root === undefined) sendWith();
  else root.then(sendWith, fail);
}

async function answerPrepare(
  { prepare }: HostProgram,
  payload: Buffer,
  answer: (told: PrepareAnswer) => void,
): Promise<void> {
  const { id, wish } = decodePlain(payload) as PrepareCall;
  try {
    if (prepare === undefined) throw new Error("Cannot prepare a thread for this kind of process");
    answer({ id, thread: await prepare(wish) });
  } catch (error) {
    answer({ id, error: toErrorRecord(error) });
  }
}

function figuresFrom(payload: Buffer): LoopFigures {
  const at = (index: number): number => numberAt(payload, index);
  return { turns: at(0), lagMs: at(1), cpuMs: at(2), heapBytes: at(3), arrayBufferBytes: at(4) };
}

/**
 * Handles frames in order, with all microtasks run between two of them, as between two messages of
 * a port. All are handled before the loop goes on, so what waits is at most one chunk of the channel.
 */
function takeTurns(handle: (frame: Frame) => void, fail: (error: unknown) => void) {
  let waiting: Frame[] = [];
  let next = 0;
  let isRunning = false;
  const step = (): void => {
    const frame = waiting[next];
    if (frame === undefined) {
      waiting = [];
      next = 0;
      isRunning = false;
      return;
    }
    next += 1;
    try {
      handle(frame);
    } catch (error) {
      fail(error);
    }
    // Microtasks run before the next tick, those that they start too.
    queueMicrotask(() => process.nextTick(step));
  };
  return {
    add: (frame: Frame): void => {
      waiting.push(frame);
      if (isRunning) return;
      isRunning = true;
      process.nextTick(step);
    },
  };
}
