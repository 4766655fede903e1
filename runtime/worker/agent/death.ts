/**
 * How an agent's worker ended, and why: for its supervisor, for who called it, and for the incident log.
 *
 * @module
 */

import type { Incident } from "../../../actors/ports.ts";
import type { ChildExit } from "../../../machines/child-table.ts";
import { createDeferred } from "../../../machines/deferred.ts";
import type { ErrorRecord } from "../../../machines/error-code.ts";
import type { WorkerFault } from "../web/carrier.ts";
import type { Worker, WorkerExit } from "../web/worker.ts";

/** A worker that is stuck in native code may outlive `terminate`; it is left behind after this. */
const terminateTimeoutMs = 5_000;

/** Why a worker is ended from outside. */
export interface Verdict {
  /** `its loop is blocked`. */
  readonly why: string;
  /** `AGENT_KILLED` and `AGENT_STOPPED` say nothing against the attempts that ran. */
  readonly code: "AGENT_KILLED" | "AGENT_STOPPED" | "LOOP_BLOCKED" | "MEMORY_EXCEEDED";
  /** Absent: it is no incident. */
  readonly kind?: Incident["kind"];
}

export interface End {
  readonly exit: ChildExit;
  /** Absent for an end that was wanted. */
  readonly kind?: Incident["kind"];
}

export interface Death {
  /** Resolves once, when the worker is gone. */
  readonly ended: Promise<End>;
  /** Why calls fail: `AGENT_DIED`. */
  record(): ErrorRecord;
  /** From now on an exit with code 0 is normal. */
  expect(): void;
  /** Only the first verdict counts. Resolves when the worker is gone. */
  terminate(verdict: Verdict): Promise<void>;
}

const kinds: Readonly<Record<WorkerFault["kind"], Incident["kind"]>> = {
  uncaught: "crash",
  "unhandled-rejection": "unhandled-rejection",
  load: "start-failed",
  "out-of-memory": "out-of-memory",
};

/** @param name The agent's, as far as it is known. */
export function watchDeath(worker: Worker, name: () => string): Death {
  const ended = createDeferred<End>();
  let exit: WorkerExit | undefined;
  let verdict: Verdict | undefined;
  let expected = false;
  const record = (): ErrorRecord => {
    const how = verdict?.why ?? `its ${worker.isolation} exited with code ${exit?.code ?? "?"}`;
    const message = `Cannot go on with agent ${name()}: ${how}`;
    const cause = verdict === undefined ? exit?.fault?.error : causeOf(verdict);
    return {
      name: "AgentError",
      message,
      code: "AGENT_DIED",
      retryable: true,
      ...(cause === undefined ? {} : { cause }),
    };
  };
  const kindOf = (): Incident["kind"] | undefined => {
    if (verdict !== undefined) return verdict.kind;
    return exit?.fault === undefined ? "exit" : kinds[exit.fault.kind];
  };
  const settle = (): void => {
    const isClean = verdict === undefined && exit?.fault === undefined && exit?.code === 0;
    if (expected && isClean) return ended.resolve({ exit: { type: "normal" } });
    const kind = kindOf();
    ended.resolve({
      exit: { type: "abnormal", error: record() },
      ...(kind === undefined ? {} : { kind }),
    });
  };
  // Without a handler an error of the worker would be one of this thread.
  worker.addEventListener("error", (event) => event.preventDefault());
  void worker.exited.then((how) => {
    exit = how;
    // The last answers of the worker may still be on their way in.
    setImmediate(settle);
  });
  return {
    ended: ended.promise,
    record,
    expect: () => {
      expected = true;
    },
    terminate: async (given) => {
      if (exit === undefined) verdict ??= given;
      worker.terminate();
      const timer = setTimeout(settle, terminateTimeoutMs);
      await ended.promise;
      clearTimeout(timer);
    },
  };
}

function causeOf({ why, code }: Verdict): ErrorRecord {
  return { name: "AgentError", code, message: why, retryable: true };
}
