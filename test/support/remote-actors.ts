/**
 * A system of remote actors for tests, on either store.
 *
 * @module
 */

import type { ActorRepo } from "../../db/actor-repo.ts";
import type { DeadLetterRepo } from "../../db/dead-letter-repo.ts";
import type { InspectionHub } from "../../runtime/worker/inspect/hub.ts";
import { type ActorService, createActorHost } from "../../runtime/worker/remote/actor-service.ts";
import { createDeadLetters } from "../../runtime/worker/remote/dead-letters.ts";
import type { ActorReference } from "../../runtime/worker/remote/define-actor.ts";
import { createRegistry } from "../../runtime/worker/remote/registry.ts";
import { compiledUrl } from "../../runtime/worker/thread-url.ts";

const silent = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};

/** What a node would have; the store outlives it, so that another one can go on. */
export function openActors(
  store: ActorRepo,
  letters?: DeadLetterRepo,
  inspection?: InspectionHub,
): ActorService {
  const deadLetters = createDeadLetters({
    node: "test",
    log: silent,
    ...(letters === undefined ? {} : { repo: () => letters }),
  });
  return createActorHost({
    store,
    deadLetters,
    registry: createRegistry(deadLetters),
    clock: { now: () => new Date(), monotonicMs: () => performance.now() },
    log: silent,
    ...(inspection === undefined ? {} : { inspection }),
  });
}

/** This module runs from source in tests, compiled in the long runs. */
const extension = import.meta.url.endsWith(".ts") ? "ts" : "js";

/** An actor of `test/support/agents/<file>.ts`, as it is compiled. */
export function testActor(name: string, file = "counter-actor"): ActorReference {
  return { name, module: compiledUrl(new URL(`./agents/${file}.${extension}`, import.meta.url)) };
}
