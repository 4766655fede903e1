/**
 * Programs that the maker runs for a restricted worker.
 *
 * The program is one of the list, at its absolute path, without a shell. Of its environment, `PATH` is the
 * maker's, other variables are those that the worker may use, and none tells a loader what to load.
 * It ends with its worker, and all that it has started in its process group.
 *
 * @module
 */

import { type ChildProcess, type SpawnOptions, spawn } from "node:child_process";
import { realpathSync } from "node:fs";
import { constants } from "node:os";
import { basename } from "node:path";
import { MessagePort } from "node:worker_threads";
import { absolutePath } from "../../../machines/permission-item.ts";
import {
  NotCapable,
  type PermissionSet,
  permits,
  requirePermission,
  requires,
} from "../../../machines/permissions.ts";
import { type CapabilityChannel, type CapabilityService, refusalOf } from "./broker-host.ts";
import { collect, type SyncLimits } from "./broker-run-collect.ts";
import { openPortStream } from "./broker-stream.ts";

/** What a worker asks for; all of it may be forged. */
export interface RunRequest {
  readonly file: string;
  readonly args: readonly string[];
  readonly cwd?: string;
  readonly env: Readonly<Record<string, string>>;
  /** Of stdin, stdout and stderr: the worker's end of a pipe, or nothing. */
  readonly streams?: readonly (MessagePort | null)[];
  /** Run to the end, and answer once. */
  readonly sync?: SyncLimits & { readonly input?: Uint8Array };
}

export type RunAnswer =
  | { readonly type: "spawned"; readonly pid: number }
  | { readonly type: "exit"; readonly code: number | null; readonly signal: string | null };

const maxArguments = 4_096;

/** A group of its own, to end it with all that it has started; a worker's process is ended as a group itself. */
const hasOwnGroup = process.permission === undefined;

/** Tell the loader, the shell or an interpreter what to load or to run. */
const loaderVariable =
  /^(?:LD_|DYLD_|NODE_|BASH_|PYTHON|PERL|RUBY|JAVA_|_JAVA_|JDK_|GCONV_|MALLOC_|GLIBC_|ENV$|IFS$|PS4$|PATH$|SHELLOPTS$)/i;

export const runService: CapabilityService = (request, channel, held) => {
  if (!isRunRequest(request)) throw new TypeError("Cannot run a program: malformed request");
  const file = grantedProgram(held(), request.file, request.cwd ?? process.cwd());
  const options: SpawnOptions = {
    cwd: grantedFolder(held(), request.cwd),
    env: filteredEnv(held(), request.env),
    shell: false,
    windowsHide: true,
    detached: hasOwnGroup,
  };
  if (request.sync === undefined) runLive(file, request, options, channel);
  else {
    const child = spawn(file, [...request.args], { ...options, stdio: "pipe" });
    endWith(channel, child);
    collect(child, request.sync, () => killGroup(child, request.sync?.killSignal), channel.post);
  }
};

function runLive(
  file: string,
  { args, streams = [] }: RunRequest,
  options: SpawnOptions,
  channel: CapabilityChannel,
): void {
  const stdio = [0, 1, 2].map((index) => (streams[index] ? "pipe" : "ignore")) as "pipe"[];
  const child = spawn(file, [...args], { ...options, stdio });
  endWith(channel, child);
  child.once("error", (error) => {
    channel.post(refusalOf(error));
    channel.close();
  });
  child.once("spawn", () =>
    channel.post({ type: "spawned", pid: child.pid ?? 0 } satisfies RunAnswer),
  );
  child.once("exit", (code, signal) =>
    channel.post({ type: "exit", code, signal } satisfies RunAnswer),
  );
  const pipes = [child.stdin, child.stdout, child.stderr];
  for (const [index, port] of streams.entries()) {
    const pipe = pipes[index];
    if (port === null || !pipe) continue;
    const stream = openPortStream(port);
    port.unref();
    // A pipe that breaks is told by the end of both.
    for (const [one, other] of [
      [stream, pipe],
      [pipe, stream],
    ] as const) {
      one.on("error", () => other.destroy());
      one.on("close", () => other.destroy());
    }
    if (index === 0) stream.pipe(pipe as NodeJS.WritableStream);
    else {
      (pipe as NodeJS.ReadableStream).pipe(stream);
      stream.resume();
    }
  }
  channel.port.on("message", (message: unknown) => {
    const signal = (message as { signal?: unknown } | null)?.signal;
    // 0 asks only whether it lives.
    if (isSignal(signal)) child.kill(signal as NodeJS.Signals);
  });
  channel.port.unref();
}

const living = new Set<ChildProcess>();

function endWith(channel: CapabilityChannel, child: ChildProcess): void {
  if (living.size === 0) process.once("exit", endAll);
  living.add(child);
  child.once("exit", () => {
    // What it has started is nobody's any more.
    killGroup(child);
    living.delete(child);
    if (living.size === 0) process.removeListener("exit", endAll);
  });
  channel.onClose(() => {
    if (child.exitCode === null && child.signalCode === null) killGroup(child);
  });
}

function endAll(): void {
  for (const child of living) killGroup(child);
}

function killGroup({ pid }: ChildProcess, signal: NodeJS.Signals | number = "SIGKILL"): void {
  if (pid === undefined) return;
  try {
    process.kill(hasOwnGroup ? -pid : pid, signal);
  } catch (error) {
    // Everyone in it has ended already (EPERM: only zombies are left, on macOS).
    const { code } = error as NodeJS.ErrnoException;
    if (code !== "ESRCH" && code !== "EPERM") throw error;
  }
}

/** The absolute path to run. A bare name means the granted program of that name, wherever a `PATH` points. @throws {NotCapable} */
function grantedProgram(set: PermissionSet, program: string, cwd: string): string {
  const { granted } = set.run;
  const path = program.includes("/")
    ? absolutePath(program, cwd)
    : granted === "all"
      ? undefined
      : granted.find((one) => one.startsWith("/") && basename(one) === program);
  if (path === undefined || !permits(set, "run", path)) throw requires("run", program);
  for (const name of [path, realPathOf(path)]) {
    // Who may write everything holds nothing firmly, see `enforcement`.
    if (set.write.granted === "all" || !permits(set, "write", name)) continue;
    throw new NotCapable(
      `Cannot run "${path}": this worker may write "${name}", and so run anything; take it from its write permission`,
    );
  }
  return path;
}

/** Where nothing is, starting it will say so. */
function realPathOf(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}

function grantedFolder(set: PermissionSet, cwd: string | undefined): string | undefined {
  if (cwd === undefined) return undefined;
  const folder = absolutePath(cwd, process.cwd());
  if (folder !== process.cwd()) requirePermission(set, "read", folder);
  return folder;
}

function filteredEnv(
  set: PermissionSet,
  asked: Readonly<Record<string, string>>,
): Record<string, string> {
  const env: Record<string, string> = {};
  for (const [name, value] of Object.entries(asked)) {
    if (!loaderVariable.test(name) && name !== "" && permits(set, "env", name)) env[name] = value;
  }
  const searchPath = process.env["PATH"];
  return searchPath === undefined ? env : { ...env, PATH: searchPath };
}

function isRunRequest(request: unknown): request is RunRequest {
  if (typeof request !== "object" || request === null) return false;
  const { file, args, cwd, env, streams, sync } = request as Readonly<Record<string, unknown>>;
  return (
    isText(file) &&
    Array.isArray(args) &&
    args.length <= maxArguments &&
    args.every(isText) &&
    (cwd === undefined || isText(cwd)) &&
    typeof env === "object" &&
    env !== null &&
    Object.entries(env).every(([name, value]) => isText(name) && isText(value)) &&
    (streams === undefined || (Array.isArray(streams) && streams.every(isPortOrNull))) &&
    (sync === undefined || isSync(sync))
  );
}

const isText = (value: unknown): value is string =>
  typeof value === "string" && !value.includes("\0");

const isSignal = (value: unknown): boolean =>
  Object.entries(constants.signals).some(([name, number]) => value === name || value === number);

const isPortOrNull = (value: unknown): boolean => value === null || value instanceof MessagePort;

function isSync(sync: unknown): boolean {
  if (typeof sync !== "object" || sync === null) return false;
  const { input, timeoutMs, maxBytes, killSignal } = sync as Readonly<Record<string, unknown>>;
  const isLimit = (value: unknown): boolean =>
    value === undefined || (Number.isSafeInteger(value) && Number(value) >= 0);
  return (
    (input === undefined || input instanceof Uint8Array) &&
    isLimit(timeoutMs) &&
    isLimit(maxBytes) &&
    (killSignal === undefined || isSignal(killSignal))
  );
}
