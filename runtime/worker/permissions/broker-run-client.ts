/**
 * `node:child_process` in a worker that has a list of programs: its maker runs them, see `broker-run.ts`.
 * All that Node builds on `ChildProcess` and `spawnSync` follows.
 *
 * @module
 */

import type { SpawnSyncReturns } from "node:child_process";
import { EventEmitter } from "node:events";
import { createRequire } from "node:module";
import { constants } from "node:os";
import type { Duplex } from "node:stream";
import { fileURLToPath } from "node:url";
import { MessageChannel, type MessagePort } from "node:worker_threads";
import { type Capability, requestCapability } from "./broker-client.ts";
import { isRefusal } from "./broker-protocol.ts";
import type { RunAnswer, RunRequest } from "./broker-run.ts";
import type { CollectedRun } from "./broker-run-collect.ts";
import { installSyncRun, type SyncOptions } from "./broker-run-sync.ts";
import { openPortStream } from "./broker-stream.ts";
import { replaceMethod } from "./replace-method.ts";

const require = createRequire(import.meta.url);

/** The maker starts a program at once, unless its own loop is blocked. */
const spawnTimeoutMs = 30_000;
const longestRunMs = 2_147_483_647;

/** As Node hands it to `ChildProcess.prototype.spawn`. */
interface SpawnInput {
  readonly file: string;
  readonly args?: readonly string[];
  readonly cwd?: string | URL | null;
  readonly envPairs?: readonly string[];
  readonly stdio?: unknown;
  readonly detached?: boolean;
  readonly uid?: number;
  readonly gid?: number;
}

interface Child extends EventEmitter {
  pid: number | undefined;
  exitCode: number | null;
  signalCode: string | null;
  spawnfile: string;
  spawnargs: readonly string[];
  stdin: Duplex | null;
  stdout: Duplex | null;
  stderr: Duplex | null;
  stdio: readonly (Duplex | null)[];
  _handle: unknown;
}

export function brokerRun(): void {
  const childProcess = require("node:child_process") as {
    readonly ChildProcess: { readonly prototype: object };
  };
  replaceMethod(
    childProcess.ChildProcess.prototype,
    "spawn",
    () =>
      (self, [options]) =>
        start(self as Child, options as SpawnInput),
  );
  installSyncRun(childProcess, runSync);
}

/** @throws {NotCapable} As a named error from the maker. */
function start(child: Child, options: SpawnInput): number {
  refuseUnsupported(options);
  const { file, args = [file] } = options;
  const kinds = stdioOf(options.stdio);
  const channels = kinds.map((kind) => (kind === "ignore" ? undefined : new MessageChannel()));
  const streams = channels.map((channel) => channel?.port2 ?? null);
  const request: RunRequest = { ...programOf(options), args: args.slice(1), streams };
  const transfer = streams.filter((port) => port !== null);
  const capability = requestCapability("run", request, transfer);
  child.spawnfile = file;
  child.spawnargs = args;
  const pipes = kinds.map((kind, index) => pipeOf(kind, index, channels[index]?.port1));
  child.stdio = pipes.map((pipe, index) => (kinds[index] === "pipe" ? pipe : null));
  [child.stdin = null, child.stdout = null, child.stderr = null] = child.stdio;
  try {
    const { pid } = capability.receive(spawnTimeoutMs) as Extract<RunAnswer, { type: "spawned" }>;
    child.pid = pid;
  } catch (error) {
    for (const pipe of pipes) pipe?.destroy();
    capability.port.close();
    const { code, name } = error as NodeJS.ErrnoException;
    if (name === "NotCapable" || code === "NOT_CAPABLE" || code === "ERR_ACCESS_DENIED")
      throw error;
    // As Node: a program that cannot be started is told by an event.
    child._handle = null;
    process.nextTick(() => child.emit("error", spawnError("spawn", file, args, error)));
    return 0;
  }
  followLife(
    child,
    capability.port,
    pipes.filter((pipe) => pipe !== null),
  );
  process.nextTick(() => child.emit("spawn"));
  return 0;
}

function followLife(child: Child, port: MessagePort, pipes: readonly Duplex[]): void {
  let open = pipes.length + 1;
  const closed = (): void => {
    open -= 1;
    if (open === 0) child.emit("close", child.exitCode, child.signalCode);
  };
  const ended = ({ code, signal }: { code: number | null; signal: string | null }): void => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.exitCode = code;
    child.signalCode = signal;
    child._handle = null;
    child.emit("exit", code, signal);
    // A pipe that nobody listens to must not hold back `close`, as in Node.
    for (const pipe of pipes) if (pipe.readableFlowing === null) pipe.resume();
    child.stdin?.destroy();
    port.close();
    closed();
  };
  for (const pipe of pipes) pipe.once("close", closed);
  child._handle = {
    kill: (signal: number) => {
      port.postMessage({ signal });
      return 0;
    },
    ref: () => port.ref(),
    unref: () => port.unref(),
  };
  port.on("message", (answer: RunAnswer) => {
    if (answer.type === "exit") ended(answer);
    else if (isRefusal(answer)) ended({ code: null, signal: "SIGKILL" });
  });
  // The maker is gone, or has ended the child.
  port.on("close", () => ended({ code: null, signal: "SIGKILL" }));
}

type StdioKind = "pipe" | "ignore" | "inherit";

function stdioOf(stdio: unknown): readonly StdioKind[] {
  const list = (Array.isArray(stdio) ? stdio : [stdio, stdio, stdio]) as unknown[];
  if (list.length > 3 && list.slice(3).some((one) => one !== "ignore" && one !== undefined)) {
    throw unsupported("more than three streams, or an IPC channel");
  }
  return [0, 1, 2].map((index) => {
    const one = list[index] ?? "pipe";
    if (one === "pipe" || one === "overlapped") return "pipe";
    if (one === "ignore") return "ignore";
    if (one === "inherit" || one === index) return index === 0 ? "ignore" : "inherit";
    throw unsupported("a descriptor or a stream as stdio; use a pipe");
  });
}

function pipeOf(kind: StdioKind, index: number, port: MessagePort | undefined): Duplex | null {
  if (port === undefined) return null;
  const stream = openPortStream(port);
  // One direction each, as in Node.
  if (index === 0) stream.push(null);
  else stream.end();
  if (index === 0) stream.resume();
  if (kind === "inherit")
    stream.pipe(index === 1 ? process.stdout : process.stderr, { end: false });
  return stream;
}

function refuseUnsupported({ detached, uid, gid }: SpawnInput): void {
  if (detached === true) throw unsupported("detached");
  if (typeof uid === "number" || typeof gid === "number")
    throw unsupported("another user or group");
}

function programOf({
  file,
  cwd,
  envPairs = [],
}: Omit<SpawnInput, "stdio">): Omit<RunRequest, "args"> {
  const env: Record<string, string> = {};
  for (const pair of envPairs) {
    const at = pair.indexOf("=", 1);
    env[pair.slice(0, at)] = pair.slice(at + 1);
  }
  return {
    file,
    env,
    ...(cwd === undefined || cwd === null
      ? {}
      : { cwd: cwd instanceof URL ? fileURLToPath(cwd) : cwd }),
  };
}

function runSync(
  syscall: string,
  file: string,
  args: readonly string[],
  options: SyncOptions,
): SpawnSyncReturns<Buffer> {
  const spawnargs = [file, ...args];
  let capability: Capability | undefined;
  try {
    const { cwd, env = process.env, input, timeout, maxBuffer = 1_048_576, killSignal } = options;
    const envPairs = Object.entries(env).flatMap(([name, value]) =>
      value === undefined ? [] : [`${name}=${value}`],
    );
    capability = requestCapability("run", {
      ...programOf({ file, envPairs, ...(cwd === undefined || cwd === null ? {} : { cwd }) }),
      args: [...args],
      sync: {
        ...(input === undefined ? {} : { input }),
        ...(timeout === undefined ? {} : { timeoutMs: timeout }),
        ...(Number.isFinite(maxBuffer) ? { maxBytes: maxBuffer } : {}),
        ...(killSignal === undefined ? {} : { killSignal }),
      },
    } satisfies RunRequest);
    const done = capability.receive(longestRunMs) as CollectedRun;
    const [stdout, stderr] = [Buffer.from(done.stdout), Buffer.from(done.stderr)];
    const { pid, status, signal, problem } = done;
    return {
      pid,
      status,
      signal,
      stdout,
      stderr,
      output: [null, stdout, stderr],
      ...(problem === undefined ? {} : { error: endedError(syscall, file, args, problem) }),
    };
  } catch (error) {
    const { name, code } = error as NodeJS.ErrnoException;
    if (name === "NotCapable" || name === "TypeError" || code === "ERR_ACCESS_DENIED") throw error;
    const told = spawnError(syscall, file, spawnargs, error);
    const none = null as unknown as Buffer;
    return {
      pid: 0,
      status: null,
      signal: null,
      stdout: none,
      stderr: none,
      output: none as unknown as Buffer[],
      error: told,
    };
  } finally {
    capability?.port.close();
  }
}

function endedError(
  syscall: string,
  file: string,
  args: readonly string[],
  code: "ETIMEDOUT" | "ENOBUFS",
): Error {
  return spawnError(syscall, file, [file, ...args], { code, errno: -constants.errno[code] });
}

/** In Node's words. */
function spawnError(syscall: string, file: string, args: readonly string[], cause: unknown): Error {
  const { code = "UNKNOWN", errno } = cause as NodeJS.ErrnoException;
  const name = `${syscall} ${file}`;
  return Object.assign(new Error(`${name} ${code}`), {
    ...(errno === undefined ? {} : { errno }),
    code,
    syscall: name,
    path: file,
    spawnargs: args.slice(1),
  });
}

function unsupported(what: string): Error {
  const message =
    `Cannot run a program with ${what}: this worker has a list of programs, which its maker runs for it; ` +
    "use pipes, or grant run: true";
  return Object.assign(new Error(message), { code: "ENOTSUP" });
}
