/**
 * The durable actors of a node: started and stopped at any time, each in a supervised worker of its own.
 *
 * @module
 */

import type { ChildSpec } from "../../actors/tree/child-spec.ts";
import { createActorRepo } from "../../db/actor-repo.ts";
import { createActorHost } from "../worker/remote/actor-service.ts";
import { createRegistry } from "../worker/remote/registry.ts";
import type { NodeContext } from "./context.ts";

export function actorsChild(node: NodeContext): ChildSpec {
  return {
    id: "actors",
    type: "supervisor",
    start: async () => {
      const { clock, inspection, log, nodeId, parts, tree } = node;
      const { deadLetters } = tree;
      const actors = createActorHost({
        store: createActorRepo(parts.database.current().db),
        registry: createRegistry(deadLetters),
        deadLetters,
        inspection,
        node: nodeId,
        clock,
        log,
      });
      parts.actors.set(actors);
      // The node does not wait for them: each is supervised on its own.
      void actors.resume();
      return actors.child;
    },
  };
}
