/**
 * The life of a worker's process, from its start until it is gone for sure.
 *
 * @module
 */

import { type ChildProcess, spawn } from "node:child_process";
import type { Socket } from "node:net";
import { createDeferred } from "../../../../machines/deferred.ts";
import type { CarrierListener, CarrierOptions, Isolation, WorkerFault } from "../carrier.ts";
import type { PrepareThread } from "../prepare-thread.ts";
import { type Frame, frameKinds, numberAt } from "./frames.ts";
import { channelFd, type DenoBoot } from "./host-protocol.ts";
import { deathFault, exitCodeOf } from "./process-death.ts";
import { decodePlain } from "./values.ts";

/** What is kept of the end of a process's error output, to tell why it died. */
const errorTailCharacters = 16_384;
/** A grandchild that has inherited the channel may hold it open after the process's end. */
const channelDrainMs = 2_000;

export interface HostProgram {
  readonly isolation: Isolation;
  readonly program: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  readonly deno?: DenoBoot;
  /** Says what a nested worker in it needs. */
  readonly prepare?: PrepareThread;
  /** Called once, when the process is gone. */
  onGone?(): void;
}

export interface HostProcess {
  readonly pid: number;
  readonly channel: Socket;
  /** Resolves when the process is gone and all that it sent has been told. */
  readonly gone: Promise<void>;
  readonly hasEnded: () => boolean;
  /** Runs `event` unless nothing may be told any more. */
  tell(event: () => void): void;
  /** The process tells its end itself. */
  told(frame: Frame): void;
  /** Ends it because of `fault`. */
  fail(fault: WorkerFault): void;
  /** From now on only `exit` is told. */
  silence(): void;
  /** Ends it and all that it has started. */
  kill(): void;
  ref(): void;
  unref(): void;
}

export function startHost(
  { program, args, env, cwd, onGone }: HostProgram,
  { print }: CarrierOptions,
  listener: CarrierListener,
): HostProcess {
  const child = spawn(program, args, {
    cwd,
    env: { ...env },
    stdio: ["ignore", "pipe", "pipe", "pipe"],
    // A group of its own: it ends with all that it has started, and Ctrl-C reaches only us.
    detached: true,
  });
  const errorTail = forwardOutput(child, print);
  const channel = child.stdio[channelFd] as Socket;
  const gone = createDeferred<void>();
  let silent = false;
  let ended = false;
  let hadStarted = false;
  let fault: WorkerFault | undefined;
  let ownCode: number | undefined;
  const kill = (): void => {
    if (child.pid !== undefined) killGroup(child.pid);
  };
  const settle = (code: number | null, signal: NodeJS.Signals | null): void => {
    if (ended) return;
    ended = true;
    channel.destroy();
    const death = { code, signal, errorTail: errorTail(), hadStarted };
    if (ownCode === undefined) fault ??= deathFault(program, death);
    // What a dead worker has started is nobody's any more.
    kill();
    onGone?.();
    if (fault !== undefined && !silent) listener.fault(fault);
    gone.resolve();
    listener.exit(ownCode ?? exitCodeOf(death));
  };
  channel.once("data", () => {
    hadStarted = true;
  });
  child.once("error", (error) => {
    errorTail.add(error.message);
    // Where the program could not be started, no exit follows.
    if (child.pid === undefined) settle(127, null);
  });
  child.once("exit", (code, signal) => {
    // What it sent before it died is still on its way in.
    if (channel.closed) return settle(code, signal);
    const limit = setTimeout(() => settle(code, signal), channelDrainMs);
    channel.once("close", () => {
      clearTimeout(limit);
      settle(code, signal);
    });
  });
  const referable = [child, channel, child.stdout, child.stderr] as readonly Referable[];
  return {
    pid: child.pid ?? 0,
    channel,
    gone: gone.promise,
    hasEnded: () => ended,
    tell: (event) => {
      if (!silent && !ended) event();
    },
    told: ({ kind, payload }) => {
      if (kind === frameKinds.fault) fault ??= decodePlain(payload) as WorkerFault;
      else if (kind === frameKinds.exit) ownCode = numberAt(payload, 0);
    },
    fail: (reason) => {
      fault ??= reason;
      kill();
    },
    silence: () => {
      silent = true;
    },
    kill,
    ref: () => {
      for (const one of referable) one.ref();
    },
    unref: () => {
      for (const one of referable) one.unref();
    },
  };
}

interface Referable {
  ref(): unknown;
  unref(): unknown;
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, "SIGKILL");
  } catch (error) {
    // Everyone in it has ended already (EPERM: only zombies are left, on macOS).
    const { code } = error as NodeJS.ErrnoException;
    if (code !== "ESRCH" && code !== "EPERM") throw error;
  }
}

interface ErrorTail {
  (): string;
  add(text: string): void;
}

function forwardOutput(child: ChildProcess, print: CarrierOptions["print"]): ErrorTail {
  let tail = "";
  const add = (text: string): void => {
    tail = (tail + text).slice(-errorTailCharacters);
  };
  const show =
    print ?? ((text: string, stream: "stdout" | "stderr") => void process[stream].write(text));
  for (const stream of ["stdout", "stderr"] as const) {
    child[stream]?.setEncoding("utf8").on("data", (text: string) => {
      if (stream === "stderr") add(text);
      show(text, stream);
    });
  }
  return Object.assign(() => tail, { add });
}
