/**
 * Why a worker's process died without saying so itself.
 *
 * @module
 */

import { constants } from "node:os";
import type { WorkerFault } from "../carrier.ts";

/** What V8 prints before it aborts; Node and Deno word it differently. */
const outOfMemory =
  /JavaScript heap out of memory|Fatal JavaScript out of memory|Reached heap limit|FATAL ERROR: .*(?:Allocation failed|out of memory)/;

export interface ProcessDeath {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** End of what it printed as errors. */
  readonly errorTail: string;
  /** Whether it had said anything over its channel. */
  readonly hadStarted: boolean;
}

/** A shell's convention: 128 plus the signal. */
export function exitCodeOf({ code, signal }: Pick<ProcessDeath, "code" | "signal">): number {
  if (code !== null) return code;
  return signal === null ? 1 : 128 + (constants.signals[signal] ?? 0);
}

/** Undefined where it simply went away, killed from outside say: then the exit code tells all. */
export function deathFault(program: string, death: ProcessDeath): WorkerFault | undefined {
  const how = death.signal === null ? `with code ${death.code ?? 1}` : `by ${death.signal}`;
  if (death.code !== 0 && outOfMemory.test(death.errorTail)) {
    const message = "Worker terminated due to reaching memory limit: JS heap out of memory";
    return faultWith("out-of-memory", message, "ERR_WORKER_OUT_OF_MEMORY");
  }
  if (death.hadStarted) return undefined;
  const said = death.errorTail.trim();
  const message = `Cannot start ${program}: it ended ${how}${said === "" ? "" : `, ${said}`}`;
  return faultWith("load", message, "WORKER_PROCESS_FAILED");
}

function faultWith(kind: WorkerFault["kind"], message: string, code: string): WorkerFault {
  const error = { name: "Error", message, code, retryable: true };
  const how = kind === "load" ? message : `Uncaught Error: ${message}`;
  return { message: how, filename: "", lineno: 0, colno: 0, error, kind };
}
