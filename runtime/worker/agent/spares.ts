/**
 * Warm spares: workers with their entry and libraries loaded that serve no agent yet.
 *
 * What a worker may do is fixed when it starts, so a spare suits only agents with the same rights.
 * The node keeps few: for the rights that were wanted last, since who died once may die again.
 *
 * @module
 */

import type { OpenWorker, WorkerRights } from "./open-worker.ts";

/** A new spare leaves the machine to the agent that has just been replaced. */
const fillDelayMs = 250;

export interface Spares {
  /** The spare for these rights, if there is one; it is the caller's now. Another is made for the next time. */
  take(rights: WorkerRights): OpenWorker | undefined;
  has(rights: WorkerRights): boolean;
  /** Makes these rights the ones that were wanted last. */
  want(rights: WorkerRights): void;
  /** Spares that are there. */
  count(): number;
  close(): Promise<void>;
}

/** @param limit Spares at once; with 0 there are none. */
export function createSpares(limit: number, open: (rights: WorkerRights) => OpenWorker): Spares {
  /** By key, the newest last. */
  const wanted = new Map<string, WorkerRights>();
  const ready = new Map<string, OpenWorker>();
  let timer: NodeJS.Timeout | undefined;
  let closed = false;

  function fill(): void {
    timer = undefined;
    const keys = new Set([...wanted.keys()].slice(-limit));
    for (const [key, spare] of ready) if (!keys.has(key)) void drop(key, spare);
    for (const key of keys) {
      const rights = wanted.get(key);
      if (rights !== undefined && !ready.has(key)) add(key, rights);
    }
  }

  function add(key: string, rights: WorkerRights): void {
    const spare = open(rights);
    ready.set(key, spare);
    void spare.death.ended.then(() => {
      // A spare that cannot live is not tried again before somebody wants one.
      if (ready.get(key) === spare) ready.delete(key);
    });
  }

  async function drop(key: string, spare: OpenWorker): Promise<void> {
    ready.delete(key);
    await spare.death.terminate({ why: "it is not needed any more", code: "AGENT_STOPPED" });
  }

  function want(rights: WorkerRights): void {
    if (closed || limit === 0) return;
    const key = keyOf(rights);
    wanted.delete(key);
    wanted.set(key, rights);
    timer ??= setTimeout(fill, fillDelayMs).unref();
  }

  return {
    take: (rights) => {
      const key = keyOf(rights);
      const spare = ready.get(key);
      ready.delete(key);
      want(rights);
      return spare;
    },
    has: (rights) => ready.has(keyOf(rights)),
    want,
    count: () => ready.size,
    close: async () => {
      closed = true;
      clearTimeout(timer);
      await Promise.all([...ready].map(([key, spare]) => drop(key, spare)));
    },
  };
}

/** Same rights, same key. */
function keyOf({ isolation, permissions, heapMb, env }: WorkerRights): string {
  return JSON.stringify([isolation, heapMb, permissions, env]);
}
