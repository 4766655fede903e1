/**
 * The durable actors of a node: started and stopped at any time, each in a supervised worker of its own.
 *
 * @module
 */

import type { ChildSpec } from "../../actors/tree/child-spec.ts";
import { createActorRepo } from "../../db/actor-repo.ts";
import { createDeadLetterRepo } from "../../db/dead-letter-repo.ts";
import { createActorHost } from "../worker/remote/actor-service.ts";
import { createDeadLetters } from "../worker/remote/dead-letters.ts";
import { createRegistry } from "../worker/remote/registry.ts";
import type { NodeContext } from "./context.ts";

export function actorsChild(node: NodeContext): ChildSpec {
  return {
    id: "actors",
    type: "supervisor",
    start: async () => {
      const { clock, log, nodeId, parts } = node;
      const { db } = parts.database.current();
      const repo = createDeadLetterRepo(db);
      const deadLetters = createDeadLetters({ node: nodeId, log, repo: () => repo });
      const registry = createRegistry(deadLetters);
      const actors = createActorHost({
        store: createActorRepo(db),
        registry,
        deadLetters,
        clock,
        log,
      });
      parts.actors.set(actors);
      return actors.child;
    },
  };
}
