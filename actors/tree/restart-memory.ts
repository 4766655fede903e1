/**
 * Keeps a supervisor's restarts where they outlive the process: a child that kills the whole
 * process each time would otherwise start with a clean record each time.
 *
 * An orderly stop, giving up, and a restart by hand forget them; so does the period. Nothing is
 * refused because of them: a first start always happens, only the patience after it is shorter.
 *
 * @module
 */

import type { ChildTable } from "../../machines/child-table.ts";
import { toErrorRecord } from "../../machines/error-code.ts";
import type { Clock, Log } from "../ports.ts";

export interface RememberedRestarts {
  /** Epoch milliseconds of the restarts inside the period, oldest first. */
  readonly restartsAt: readonly number[];
  /** Restarts of each child since its supervisor was first started. */
  readonly children: Readonly<Record<string, number>>;
}

/** The store behind it. `save` and `forget` return at once and must not throw; the newest call wins. */
export interface RestartMemory {
  /** May take until the store is up; rejects when there is none. */
  load(address: string): Promise<RememberedRestarts | undefined>;
  save(address: string, restarts: RememberedRestarts): void;
  forget(address: string): void;
}

export interface RestoredRestarts {
  readonly restartsMs: readonly number[];
  readonly children: Readonly<Record<string, number>>;
  readonly nowMs: number;
}

export interface RestartRecord {
  /** Call after each change. */
  note(restartsMs: readonly number[], table: ChildTable): void;
  /** Call when the supervisor begins to stop, while the store still lives; safe to call twice. */
  close(): void;
}

/** Reads what was remembered, in the background, and writes what changes from then on. */
export function openRestartRecord(options: {
  readonly address: string;
  readonly memory: RestartMemory;
  readonly clock: Clock;
  readonly log: Log;
  readonly onRestored: (restarts: RestoredRestarts) => void;
}): RestartRecord {
  const { address, clock, log, memory } = options;
  let isClosed = false;
  let isStored = false;
  let written: readonly number[] = [];
  const offsetMs = (): number => clock.now().getTime() - clock.monotonicMs();
  memory.load(address).then(
    (found) => {
      if (found === undefined) return;
      isStored = true;
      if (isClosed) {
        memory.forget(address);
        return;
      }
      const restartsMs = found.restartsAt.map((at) => at - offsetMs());
      const nowMs = clock.monotonicMs();
      options.onRestored({ restartsMs, children: found.children, nowMs });
    },
    (error: unknown) => {
      log.warn("supervisor.no-memory", { supervisor: address, error: toErrorRecord(error) });
    },
  );
  return {
    note: (restartsMs, table) => {
      if (isClosed || restartsMs === written) return;
      if (restartsMs.length === 0 && written.length === 0) return;
      written = restartsMs;
      if (restartsMs.length === 0) {
        memory.forget(address);
        return;
      }
      isStored = true;
      const counted = table.filter(({ restarts }) => restarts > 0);
      memory.save(address, {
        restartsAt: restartsMs.map((at) => Math.round(at + offsetMs())),
        children: Object.fromEntries(counted.map(({ id, restarts }) => [id, restarts])),
      });
    },
    close: () => {
      if (isClosed) return;
      isClosed = true;
      if (isStored) memory.forget(address);
    },
  };
}
