/**
 * Creates and judges folders on behalf of the account that will use them.
 *
 * @module
 */

import { spawn } from "node:child_process";
import { mkdir, stat } from "node:fs/promises";
import { userInfo } from "node:os";
import { dirname } from "node:path";
import { describeSystemError, NativeError, systemCode } from "./native-error.ts";

/** Who a child process runs as; undefined: as this process. */
export type Account = { readonly uid: number; readonly gid: number } | undefined;

/**
 * Creates a folder with its parents. As root it can be passed through by other users (not
 * listed), because PostgreSQL cannot run as root; otherwise it is private.
 *
 * @throws {NativeError} `DATA_DIR_UNWRITABLE`, `DISK_FULL`.
 */
export async function ensureFolder(folder: string): Promise<void> {
  try {
    await createWithParents(folder, isRoot() ? 0o711 : 0o700);
  } catch (error) {
    throw unwritable(folder, error);
  }
}

/** Not `mkdir({ recursive: true })`: below /proc that never returns on Node 20. */
async function createWithParents(folder: string, mode: number): Promise<void> {
  try {
    await mkdir(folder, { mode });
  } catch (error) {
    const code = systemCode(error);
    if (code === "ENOENT" && dirname(folder) !== folder && !(await exists(dirname(folder)))) {
      await createWithParents(dirname(folder), mode);
      await mkdir(folder, { mode });
    } else if (code !== "EEXIST" || !(await stat(folder)).isDirectory()) {
      throw error;
    }
  }
}

async function exists(path: string): Promise<boolean> {
  return await stat(path).then(
    () => true,
    () => false,
  );
}

/** The error for a data folder that a file operation failed in; passes a NativeError on as it is. */
export function unwritable(folder: string, error: unknown): NativeError {
  if (error instanceof NativeError) return error;
  const code = systemCode(error);
  if (code === "ENOSPC" || code === "EDQUOT") return diskFull(folder, error);
  return new NativeError(
    "DATA_DIR_UNWRITABLE",
    `Cannot write to the data folder "${folder}" as user ${userName()}: ` +
      `${describeSystemError(error)}; give that user the folder, or choose another with --data-dir`,
    { cause: error },
  );
}

export function diskFull(folder: string, cause: unknown): NativeError {
  return new NativeError(
    "DISK_FULL",
    `Cannot write to "${folder}": the disk is full; free some space ` +
      `(a new database needs about 100 MB), or choose another folder with --data-dir`,
    { cause },
  );
}

export function isRoot(): boolean {
  return process.getuid?.() === 0;
}

/** Options that make a child of ours harmless: reachable folder, no inherited settings. */
export function childOptions(account: Account) {
  return {
    // The folder that we were started in may be closed to the other account.
    cwd: "/",
    // Not ours: PGDATA, PGOPTIONS and their like would change what the server does.
    env: { PATH: "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", LC_ALL: "C", TZ: "UTC" },
    ...account,
  };
}

/** True if the account can pass through `folder` and every folder above it. */
export async function canEnter(folder: string, account: Account): Promise<boolean> {
  if (account === undefined) return true;
  const { code } = await runChild("/bin/sh", ["-c", 'cd "$1"', "sh", folder], account);
  return code === 0;
}

export interface ChildResult {
  /** Exit code; null if a signal ended it, it ran too long, or it could not be started. */
  readonly code: number | null;
  /** Both streams together, at most `OUTPUT_LIMIT` characters. */
  readonly output: string;
}

const OUTPUT_LIMIT = 16_384;
/** The longest child of ours is initdb, 1 s here; a slow disk may take a hundred times that. */
const CHILD_LIMIT_MS = 180_000;

/** Runs a program to its end. Never throws: what went wrong stands in the result. */
export function runChild(
  program: string,
  args: readonly string[],
  account: Account,
  input = "",
): Promise<ChildResult> {
  return new Promise((resolve) => {
    const child = spawn(program, [...args], {
      ...childOptions(account),
      stdio: ["pipe", "pipe", "pipe"],
      timeout: CHILD_LIMIT_MS,
      killSignal: "SIGKILL",
    });
    let output = "";
    const collect = (chunk: Buffer) => {
      output = (output + chunk.toString()).slice(-OUTPUT_LIMIT);
    };
    child.stdout.on("data", collect);
    child.stderr.on("data", collect);
    // A child that ends early closes its input; its exit code tells the rest.
    child.stdin.on("error", () => undefined);
    child.on("error", (error) => resolve({ code: null, output: error.message }));
    child.on("close", (code) => resolve({ code, output }));
    child.stdin.end(input);
  });
}

function userName(): string {
  try {
    return userInfo().username;
  } catch {
    // Containers often run as a number that has no entry in the user database.
    return String(process.getuid?.() ?? "unknown");
  }
}
