/**
 * How much of a core a busy thread gets on this machine now.
 *
 * @module
 */

import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";

/** However crowded a machine is, a limit is not stretched beyond 10 times. */
const leastShare = 0.1;

/** 1 on a calm machine, ¼ where four threads want each core. 1 too where the system does not tell (all but Linux). */
export function cpuShare(): number {
  try {
    return shareIn(readFileSync("/proc/loadavg", "utf8"), availableParallelism());
  } catch {
    return 1;
  }
}

/** @param loadavg `0.42 0.30 0.21 3/412 8123`: the fourth is threads that want to run, and all of them. */
export function shareIn(loadavg: string, cores: number): number {
  const running = Number(/^(?:\S+ ){3}(\d+)\//.exec(loadavg)?.[1]);
  if (!(running > cores)) return 1;
  return Math.max(leastShare, cores / running);
}
