/**
 * The restarts of a node's supervisors, kept in its database.
 *
 * Best effort by design: a supervisor must go on while the database is away, most of all the one
 * that restarts the database. Writes wait for it one per supervisor, the newest only.
 *
 * @module
 */

import type { Log } from "../../actors/ports.ts";
import type { RememberedRestarts, RestartMemory } from "../../actors/tree/restart-memory.ts";
import type { RestartCounterRepo } from "../../db/restart-counter-repo.ts";

/** What is to be stored of one supervisor; undefined: nothing, its row goes. */
type Wanted = { readonly restarts: RememberedRestarts | undefined };

export interface NodeRestartMemory extends RestartMemory {
  /** Resolves when everything asked for so far is stored, or could not be. */
  flush(): Promise<void>;
}

/** @param repo Asked at each use: the database may be another one after a restart. Resolves when there is one. */
export function createRestartMemory(
  repo: () => Promise<RestartCounterRepo>,
  log: Log,
): NodeRestartMemory {
  const wanted = new Map<string, Wanted>();
  /** What each address is busy with; reads come before the writes that follow them. */
  const busy = new Map<string, Promise<void>>();

  function enqueue<T>(address: string, work: () => Promise<T>): Promise<T> {
    const before = busy.get(address) ?? Promise.resolve();
    const done = before.then(work);
    const settled = done.then(
      () => undefined,
      () => undefined,
    );
    busy.set(address, settled);
    void settled.then(() => {
      if (busy.get(address) === settled) busy.delete(address);
    });
    return done;
  }

  async function write(address: string): Promise<void> {
    const next = wanted.get(address);
    if (next === undefined) return;
    wanted.delete(address);
    try {
      const store = await repo();
      if (next.restarts === undefined) await store.remove(address);
      else await store.save(address, next.restarts);
    } catch (error) {
      // The next restart writes again; without one the period ends first.
      log.info("cannot remember restarts", { supervisor: address, error: String(error) });
    }
  }

  function want(address: string, restarts: RememberedRestarts | undefined): void {
    const isQueued = wanted.has(address);
    wanted.set(address, { restarts });
    if (!isQueued) void enqueue(address, () => write(address));
  }

  return {
    load: (address) => enqueue(address, async () => (await repo()).load(address)),
    save: want,
    forget: (address) => want(address, undefined),
    flush: async () => {
      while (busy.size > 0) await Promise.all(busy.values());
    },
  };
}
