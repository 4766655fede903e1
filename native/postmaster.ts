/**
 * Finds and ends the server process of a database folder, whoever started it.
 *
 * @module
 */

import { readFile, unlink } from "node:fs/promises";
import { basename, join } from "node:path";
import { NativeError, systemCode } from "./native-error.ts";
import { commandLine } from "./process-identity.ts";

/** A fast shutdown writes a checkpoint; a slow disk may take this long. */
export const FAST_SHUTDOWN_LIMIT_MS = 10_000;
/** An immediate shutdown writes nothing. */
const IMMEDIATE_SHUTDOWN_LIMIT_MS = 5_000;
const KILL_LIMIT_MS = 5_000;
const POLL_MS = 15;

export interface Postmaster {
  readonly pid: number;
  /** Accepts connections. */
  readonly ready: boolean;
}

/**
 * The live server of this folder, judged by its command line, so that another process with a
 * re-used number is never mistaken for it; undefined if there is none.
 *
 * @param cluster Real path, as the server was given it.
 */
export async function findPostmaster(cluster: string): Promise<Postmaster | undefined> {
  let lines: string[];
  try {
    lines = (await readFile(join(cluster, "postmaster.pid"), "utf8")).split("\n");
  } catch (error) {
    if (systemCode(error) === "ENOENT") return undefined;
    throw error;
  }
  // Single-user mode writes its number with a minus sign.
  const pid = Math.abs(Number.parseInt(lines[0] ?? "", 10));
  if (!Number.isInteger(pid) || pid === 0) return undefined;
  if (!(await isServerOf(cluster, pid))) return undefined;
  return { pid, ready: (lines[7] ?? "").trim() === "ready" };
}

async function isServerOf(cluster: string, pid: number): Promise<boolean> {
  const words = await commandLine(pid);
  return basename(words?.[0] ?? "") === "postgres" && words?.includes(cluster) === true;
}

/**
 * Ends the server of this folder, if there is one: in order, then at once, then by force.
 *
 * @throws {NativeError} `POSTGRES_START_FAILED` if it survives even that.
 */
export async function stopPostmaster(cluster: string): Promise<void> {
  const steps = [
    { signal: "SIGINT", limitMs: FAST_SHUTDOWN_LIMIT_MS },
    { signal: "SIGQUIT", limitMs: IMMEDIATE_SHUTDOWN_LIMIT_MS },
    { signal: "SIGKILL", limitMs: KILL_LIMIT_MS },
  ] as const;
  const running = await findPostmaster(cluster);
  if (running === undefined) return;
  for (const { signal, limitMs } of steps) {
    sendSignal(running.pid, signal);
    const deadlineMs = performance.now() + limitMs;
    while (performance.now() < deadlineMs) {
      // The process, not its note: the server removes that a moment before it is gone.
      if (!(await isServerOf(cluster, running.pid))) return;
      await pause(POLL_MS);
    }
  }
  throw new NativeError(
    "POSTGRES_START_FAILED",
    `Cannot start the database in "${cluster}": an earlier server (pid ${running.pid}) does not ` +
      `end; end it by hand and start again`,
  );
}

/**
 * Removes the note of a server that is gone. PostgreSQL would do it, but not where its number
 * belongs to another process by now.
 */
export async function removeStalePidFile(cluster: string): Promise<void> {
  try {
    await unlink(join(cluster, "postmaster.pid"));
  } catch (error) {
    if (systemCode(error) !== "ENOENT") throw error;
  }
}

function sendSignal(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    // It ended between the look and the signal.
    if (systemCode(error) !== "ESRCH") throw error;
  }
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
