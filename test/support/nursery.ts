/**
 * Children that live until they are crashed or stopped, on simulated time, and a diary of what
 * happened to them.
 *
 * @module
 */

import { SimulatedClock } from "xstate";
import type { ChildSpec, RunningChild } from "../../actors/tree/child-spec.ts";
import {
  type Supervisor,
  type SupervisorOptions,
  startSupervisor,
} from "../../actors/tree/supervisor.ts";
import type { ChildExit } from "../../machines/child-table.ts";
import { createDeferred } from "../../machines/deferred.ts";
import { AgentError, type ErrorRecord } from "../../machines/error-code.ts";

export const quietLog = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};

export const normal: ChildExit = { type: "normal" };
export const shutdown: ChildExit = { type: "shutdown" };
export const movedAway: ChildExit = { type: "shutdown", detail: "moved" };
export const killed: ChildExit = abnormal("killed");

export function abnormal(message: string, code = "BOOM"): ChildExit {
  const error: ErrorRecord = { name: "Error", message, code, retryable: true };
  return { type: "abnormal", error };
}

/** Long enough for everything that is not a timer: the event loop has gone round some times. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 3; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

export interface NurseryChild extends Partial<ChildSpec> {
  /** Ignores a stop. */
  readonly deaf?: boolean;
  /** Starts that throw, beginning with this one, from 1; asked at each start. */
  readonly failsFrom?: () => number;
  /** What it says at a stop. Default `normal`. */
  readonly lastWord?: ChildExit;
}

export function nursery() {
  const diary: string[] = [];
  const events: string[] = [];
  const starts = new Map<string, number>();
  const live = new Map<string, (exit: ChildExit) => void>();
  const timers = new SimulatedClock();

  function spec(id: string, options: NurseryChild = {}): ChildSpec {
    const { deaf, failsFrom, lastWord, ...rest } = options;
    return {
      id,
      start: async (): Promise<RunningChild> => {
        const start = (starts.get(id) ?? 0) + 1;
        starts.set(id, start);
        if (start >= (failsFrom?.() ?? Number.POSITIVE_INFINITY)) {
          diary.push(`fail ${id}`);
          throw new AgentError("NO_START", `${id} cannot start`, { retryable: true });
        }
        diary.push(`start ${id}`);
        const exited = createDeferred<ChildExit>();
        live.set(id, exited.resolve);
        return {
          exited: exited.promise,
          stop: async () => {
            diary.push(`stop ${id}`);
            if (deaf !== true) exited.resolve(lastWord ?? normal);
            await exited.promise;
          },
          kill: async () => {
            diary.push(`kill ${id}`);
            exited.resolve(killed);
          },
          receive: (event) => events.push(`${id} ${String(event)}`),
        };
      },
      ...rest,
    };
  }

  /** A supervisor with one restart in 1 s and no random delays: 100 ms, doubling. */
  async function supervise(
    children: readonly ChildSpec[],
    options: Partial<SupervisorOptions> = {},
  ): Promise<Supervisor> {
    return await startSupervisor({
      id: "root",
      strategy: "one_for_one",
      intensity: { maxRestarts: 1, periodMs: 1_000 },
      backoff: { initialMs: 100, maxMs: 1_000 },
      children,
      clock: { now: () => new Date(timers.now()), monotonicMs: () => timers.now() },
      log: quietLog,
      timers,
      random: () => 0,
      ...options,
    });
  }

  return {
    spec,
    supervise,
    timers,
    events,
    /** What happened since the last call. */
    diary: () => diary.splice(0),
    starts: (id: string) => starts.get(id) ?? 0,
    /** Ends a child by itself, then lets the supervisor react. */
    exit: async (id: string, exit: ChildExit = abnormal(`${id} crashed`)) => {
      live.get(id)?.(exit);
      await settle();
    },
    /** Lets time pass, and what it causes. */
    pass: async (ms: number) => {
      timers.increment(ms);
      await settle();
    },
  };
}

/** `id status` of each child, in start order. */
export function statuses(supervisor: Pick<Supervisor, "whichChildren">): string[] {
  return supervisor.whichChildren().map(({ id, status }) => `${id} ${status}`);
}
