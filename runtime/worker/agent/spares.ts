/**
 * Warm spares: workers that serve no agent yet, with the module loaded of the agent that may need them.
 *
 * What a worker may do is fixed when it starts, so a spare suits only agents with the same rights; and
 * one that has loaded a user's module, only agents of that module.
 * The node keeps few: for the rights that were wanted last, since who died once may die again.
 *
 * @module
 */

import type { OpenWorker, WorkerRights } from "./open-worker.ts";

/** A new spare leaves the machine to the agent that has just been replaced. */
const fillDelayMs = 250;
/** A module that takes longer is no start for anybody. */
const preloadTimeoutMs = 30_000;

/** Of this package: none of its modules does anything to an agent that does not call it. */
const ownRoot = new URL("../../../", import.meta.url).href;

/** What a spare is for. */
export interface Wanted extends WorkerRights {
  /** Compiled module that exports the agent. */
  readonly moduleUrl: string;
}

export interface Spares {
  /** The spare for this, if there is one; it is the caller's now. Another is made for the next time. */
  take(wanted: Wanted): OpenWorker | undefined;
  has(wanted: Wanted): boolean;
  /** Makes this the one that was wanted last. */
  want(wanted: Wanted): void;
  /** Spares that are there. */
  count(): number;
  close(): Promise<void>;
}

/** @param limit Spares at once; with 0 there are none. */
export function createSpares(limit: number, open: (rights: WorkerRights) => OpenWorker): Spares {
  /** By key, the newest last. */
  const wanted = new Map<string, Wanted>();
  /** Modules whose load failed: their agents say why when they start. */
  const unloadable = new Set<string>();
  const ready = new Map<string, OpenWorker>();
  let timer: NodeJS.Timeout | undefined;
  let closed = false;

  function fill(): void {
    timer = undefined;
    const keys = new Set([...wanted.keys()].slice(-limit));
    for (const [key, spare] of ready) if (!keys.has(key)) void drop(key, spare);
    for (const key of keys) {
      const one = wanted.get(key);
      if (one !== undefined && !ready.has(key)) add(key, one);
    }
  }

  function add(key: string, { moduleUrl, ...rights }: Wanted): void {
    const spare = open(rights);
    ready.set(key, spare);
    if (!unloadable.has(moduleUrl)) void preload(key, spare, moduleUrl);
    void spare.death.ended.then(() => {
      // A spare that cannot live is not tried again before somebody wants one.
      if (ready.get(key) === spare) ready.delete(key);
    });
  }

  async function preload(key: string, spare: OpenWorker, moduleUrl: string): Promise<void> {
    try {
      await spare.calls.within({ timeoutMs: preloadTimeoutMs }).preload(moduleUrl);
    } catch {
      // Taken or dead: whoever has it hears the same. A module that failed once fails there for ever.
      if (ready.get(key) !== spare) return;
      unloadable.add(moduleUrl);
      await drop(key, spare);
      timer ??= setTimeout(fill, fillDelayMs).unref();
    }
  }

  async function drop(key: string, spare: OpenWorker): Promise<void> {
    ready.delete(key);
    await spare.death.terminate({ why: "it is not needed any more", code: "AGENT_STOPPED" });
  }

  function want(one: Wanted): void {
    if (closed || limit === 0) return;
    const key = keyOf(one);
    wanted.delete(key);
    wanted.set(key, one);
    // Earlier ones get no spare any more; modules of users come and go.
    for (const old of wanted.keys()) {
      if (wanted.size <= limit) break;
      wanted.delete(old);
    }
    timer ??= setTimeout(fill, fillDelayMs).unref();
  }

  return {
    take: (one) => {
      const key = keyOf(one);
      const spare = ready.get(key);
      ready.delete(key);
      want(one);
      return spare;
    },
    has: (one) => ready.has(keyOf(one)),
    want,
    count: () => ready.size,
    close: async () => {
      closed = true;
      clearTimeout(timer);
      await Promise.all([...ready].map(([key, spare]) => drop(key, spare)));
    },
  };
}

/** Agents with the same key may have each other's spare. */
function keyOf({ isolation, permissions, heapMb, env, moduleUrl }: Wanted): string {
  const module = moduleUrl.startsWith(ownRoot) ? "" : moduleUrl;
  return JSON.stringify([isolation, heapMb, permissions, env, module]);
}
