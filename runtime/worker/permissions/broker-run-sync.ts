/**
 * `spawnSync`, `execFileSync` and `execSync` on top of one function that runs a program to its end.
 *
 * @module
 */

import type { SpawnSyncReturns } from "node:child_process";
import { replaceMethod } from "./replace-method.ts";

export interface SyncOptions {
  readonly cwd?: string | URL | null;
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly input?: Uint8Array;
  readonly timeout?: number;
  readonly maxBuffer?: number;
  readonly killSignal?: NodeJS.Signals | number;
  readonly shell?: boolean | string;
  readonly encoding?: string | null;
}

export type RunSync = (
  syscall: string,
  file: string,
  args: readonly string[],
  options: SyncOptions,
) => SpawnSyncReturns<Buffer>;

export function installSyncRun(childProcess: object, run: RunSync): void {
  const spawn = (file: string, rest: readonly unknown[]): SpawnSyncReturns<Buffer> => {
    const args = (Array.isArray(rest[0]) ? (rest[0] as unknown[]) : []).map(String);
    const given = (Array.isArray(rest[0]) ? rest[1] : (rest[0] ?? rest[1])) as
      | (SyncOptions & { readonly input?: unknown })
      | undefined;
    const options = { ...given, ...inputOf(given?.input) };
    const shell = options.shell === true ? "/bin/sh" : options.shell;
    if (!shell) return encoded(run("spawnSync", file, args, options), options.encoding);
    const command = ["-c", [file, ...args].join(" ")];
    return encoded(run("spawnSync", shell, command, options), options.encoding);
  };
  replaceMethod(
    childProcess,
    "spawnSync",
    () =>
      (_self, [file, ...rest]) =>
        spawn(String(file), rest),
  );
  replaceMethod(
    childProcess,
    "execFileSync",
    () =>
      (_self, [file, ...rest]) =>
        outputOf(spawn(String(file), rest), String(file)),
  );
  replaceMethod(
    childProcess,
    "execSync",
    () =>
      (_self, [command, options]) =>
        outputOf(
          spawn(String(command), [{ shell: true, ...(options as object | undefined) }]),
          String(command),
        ),
  );
}

function inputOf(input: unknown): { input?: Uint8Array } {
  if (input === undefined || input === null) return {};
  if (typeof input === "string") return { input: Buffer.from(input) };
  if (!ArrayBuffer.isView(input)) throw new TypeError("input must be a string or bytes");
  // A copy of its own: cloning a view would clone all of its buffer.
  return { input: new Uint8Array(Buffer.from(input.buffer, input.byteOffset, input.byteLength)) };
}

function encoded(
  result: SpawnSyncReturns<Buffer>,
  encoding: string | null | undefined,
): SpawnSyncReturns<Buffer> {
  if (!encoding || encoding === "buffer" || result.error?.message.includes("ENOENT") === true)
    return result;
  const text = (bytes: Buffer | null): unknown =>
    bytes?.toString(encoding as BufferEncoding) ?? null;
  const [stdout, stderr] = [text(result.stdout), text(result.stderr)];
  return { ...result, stdout, stderr, output: [null, stdout, stderr] } as never;
}

/** As `execFileSync`: what a program that failed has written is told by the error. */
function outputOf(result: SpawnSyncReturns<Buffer>, command: string): Buffer {
  if (result.error !== undefined) throw Object.assign(result.error, result);
  if (result.status === 0) return result.stdout;
  const told = String(result.stderr);
  const message = `Command failed: ${command}${told === "" ? "" : `\n${told}`}`;
  throw Object.assign(new Error(message), result);
}
