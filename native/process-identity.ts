/**
 * Tells processes apart although the system uses their numbers again: number plus start time.
 *
 * @module
 */

import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { promisify } from "node:util";
import { systemCode } from "./native-error.ts";

const run = promisify(execFile);
/** Bound for `ps`, which is asked only where /proc is missing. */
const PS_LIMIT_MS = 2_000;

export interface ProcessIdentity {
  readonly pid: number;
  /** Opaque: clock ticks since boot on Linux, the text of `ps -o lstart` elsewhere, "" if unknown. */
  readonly startedTicks: string;
  /** Changes with every boot of the machine; "" where the system does not tell. */
  readonly bootId: string;
}

/** This process, as another process would see it. */
export async function ownIdentity(): Promise<ProcessIdentity> {
  return {
    pid: process.pid,
    startedTicks: (await startTicks(process.pid)) ?? "",
    bootId: await bootId(),
  };
}

/**
 * True if that very process still runs. A zombie has ended. Where the start time cannot be read,
 * a process of that number counts as the same: refusing is safer than sharing.
 */
export async function isSameProcessAlive(identity: ProcessIdentity): Promise<boolean> {
  if (identity.bootId !== (await bootId())) return false;
  if (!isPidInUse(identity.pid)) return false;
  const ticks = await startTicks(identity.pid);
  if (ticks === undefined || identity.startedTicks === "") return isPidInUse(identity.pid);
  return ticks === identity.startedTicks;
}

/** True if any process, of any user, has this number; also a zombie. */
export function isPidInUse(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return systemCode(error) === "EPERM";
  }
}

/** Program and arguments of a live process; undefined if it has ended, is a zombie or is hidden. */
export async function commandLine(pid: number): Promise<string[] | undefined> {
  if (process.platform === "linux") {
    try {
      const words = (await readFile(`/proc/${pid}/cmdline`, "utf8")).split("\0").filter(Boolean);
      return words.length === 0 ? undefined : words;
    } catch {
      // Gone between two looks, or hidden by hidepid: both mean that there is nothing to tell.
      return undefined;
    }
  }
  const line = await askPs(pid, "command=");
  return line?.split(" ").filter(Boolean);
}

/** Start time of a process; undefined if it has ended, is a zombie or is hidden. */
async function startTicks(pid: number): Promise<string | undefined> {
  if (process.platform !== "linux") return askPs(pid, "lstart=");
  try {
    const stat = await readFile(`/proc/${pid}/stat`, "utf8");
    // The program name stands in parentheses and may hold anything, so count from the last one.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    // proc(5): field 3 is the state, field 22 the start time.
    return fields[0] === "Z" || fields[0] === "X" ? "ended" : fields[19];
  } catch {
    return undefined;
  }
}

async function bootId(): Promise<string> {
  try {
    return (await readFile("/proc/sys/kernel/random/boot_id", "utf8")).trim();
  } catch {
    return "";
  }
}

async function askPs(pid: number, column: string): Promise<string | undefined> {
  try {
    const { stdout } = await run("ps", ["-o", column, "-p", String(pid)], { timeout: PS_LIMIT_MS });
    return stdout.trim() || undefined;
  } catch {
    return undefined;
  }
}
