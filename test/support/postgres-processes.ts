/**
 * Looks for server processes of a folder, so that tests can prove that none is left.
 *
 * @module
 */

import { readdirSync, readFileSync } from "node:fs";

const LIMIT_MS = 15_000;

export function isAlive(pid: number): boolean {
  try {
    return !/^State:\tZ/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}

/** Numbers of all processes, guards too, whose command line names the folder. */
export function serversOn(folder: string): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .filter((name) => {
      try {
        const line = readFileSync(`/proc/${name}/cmdline`, "utf8");
        return line.includes(folder) && /postgres\0|initdb\0|spectra-guard/.test(line);
      } catch {
        return false;
      }
    })
    .map(Number);
}

/** Resolves when no server process of this folder is left. */
export async function noServerOn(folder: string): Promise<void> {
  const deadlineMs = performance.now() + LIMIT_MS;
  for (;;) {
    const left = serversOn(folder);
    if (left.length === 0) return;
    if (performance.now() > deadlineMs) throw new Error(`Left behind on ${folder}: ${left.join()}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
