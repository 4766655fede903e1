/**
 * Carries a worker of a restricted thread, which may start no thread itself: its nursery, outside,
 * starts it with no more than this thread's rights. Messages and figures go between the two directly.
 *
 * @module
 */

import { MessageChannel, type MessagePort } from "node:worker_threads";
import { AgentError } from "../../../machines/error-code.ts";
import type { OpenCarrier } from "./carrier.ts";
import { faultOf } from "./fault.ts";
import type { NestedFrame, NestedOrder, SpawnRequest } from "./nursery-protocol.ts";
import type { ThreadEnd, ThreadSeed } from "./thread.ts";
import { carryFrames, type RemoteThread } from "./thread-carrier.ts";

type Options = Parameters<OpenCarrier>[0];

/** @param nursery The port that this thread was started with. */
export function nestedOpener(nursery: MessagePort): OpenCarrier {
  return (options, listener) =>
    carryFrames(listener, (seed, onEnd) => askFor(nursery, options, seed, onEnd));
}

/** @throws {AgentError} `ISOLATION_UNAVAILABLE` */
export function refuseProcess(isolation: string, url: string): never {
  throw new AgentError(
    "ISOLATION_UNAVAILABLE",
    `Cannot start worker "${url}" as ${isolation}: its maker is a restricted thread, which gets threads only`,
  );
}

function askFor(
  nursery: MessagePort,
  options: Options,
  { frames, meter }: ThreadSeed,
  onEnd: ThreadEnd,
): RemoteThread {
  const { port1: control, port2 } = new MessageChannel();
  let id = 0;
  let over = false;
  const end: ThreadEnd = (code, fault) => {
    if (over) return;
    over = true;
    control.close();
    onEnd(code, fault);
  };
  control.on("message", (frame: NestedFrame) => {
    if (frame.type === "started") id = frame.id;
    else if (frame.type === "printed") options.print?.(frame.text, frame.stream);
    else end(frame.code, frame.fault);
  });
  // The nursery lives longer than this thread, so this is the thread's own end.
  control.on("close", () => end(1));
  const { url, name, permissions, shared = false, env, heapLimitMb, print } = options;
  const ask = (root: string): void => {
    if (over) return;
    const request: SpawnRequest = {
      type: "spawn",
      control: port2,
      frames,
      meter,
      url,
      root,
      name,
      permissions,
      shared,
      env,
      heapLimitMb,
      prints: print !== undefined,
    };
    nursery.postMessage(request, [port2, frames]);
  };
  if (options.root === undefined) ask(url);
  else options.root.then(ask, (error: unknown) => end(1, faultOf(error, "load")));
  return {
    get id() {
      return id;
    },
    endSoon: () => control.postMessage({ type: "end" } satisfies NestedOrder),
    ref: () => control.ref(),
    unref: () => control.unref(),
  };
}
