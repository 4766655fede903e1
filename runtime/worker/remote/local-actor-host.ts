/**
 * The parts of `open-actor-host.ts`, loaded when they are wanted.
 *
 * @module
 */

import type { Log } from "../../../actors/ports.ts";
import { createActorRepo } from "../../../db/actor-repo.ts";
import { openDatabase } from "../../../db/database.ts";
import { createDeadLetterRepo } from "../../../db/dead-letter-repo.ts";
import { type ActorHost, createActorHost } from "./actor-service.ts";
import { createDeadLetters, type DeadLetter } from "./dead-letters.ts";
import { createMemoryStore } from "./memory-store.ts";
import { createRegistry } from "./registry.ts";

export interface OpenActorHostOptions {
  /** Database that a node of SPECTRA has prepared. Default: memory, so actors outlive their workers but not this process. */
  readonly databaseUrl?: string;
  /** Default: nothing is logged. */
  readonly log?: Log;
}

export interface OpenActorHost extends ActorHost {
  /** Events that reached nobody, newest first. */
  deadLetters(): readonly DeadLetter[];
  /** Stops all actors, their state stored, and closes the database. */
  close(): Promise<void>;
}

const silent: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};

export function openLocalHost({
  databaseUrl,
  log = silent,
}: OpenActorHostOptions = {}): OpenActorHost {
  const database =
    databaseUrl === undefined ? undefined : openDatabase({ type: "url", url: databaseUrl });
  const repo = database === undefined ? undefined : createDeadLetterRepo(database.db);
  const deadLetters = createDeadLetters({
    node: "local",
    log,
    ...(repo === undefined ? {} : { repo: () => repo }),
  });
  const { host, child } = createActorHost({
    store: database === undefined ? createMemoryStore() : createActorRepo(database.db),
    registry: createRegistry(deadLetters),
    deadLetters,
    clock: { now: () => new Date(), monotonicMs: () => performance.now() },
    log,
  });
  return {
    ...host,
    deadLetters: () => deadLetters.recent(),
    close: async () => {
      await child.stop();
      await deadLetters.stored();
      await database?.close();
    },
  };
}
