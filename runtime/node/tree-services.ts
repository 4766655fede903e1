/**
 * What the supervisors of a node share: who lives where, how many restarts are left, and which
 * restarts an earlier process had.
 *
 * @module
 */

import type { Log } from "../../actors/ports.ts";
import type { TreeServices } from "../../actors/tree/child-spec.ts";
import { createDirectory } from "../../actors/tree/directory.ts";
import { createRestartBudget } from "../../actors/tree/restart-budget.ts";
import type { Database } from "../../db/database.ts";
import { createRestartCounterRepo } from "../../db/restart-counter-repo.ts";
import type { Intensity } from "../../machines/restart-policy.ts";
import { createRestartMemory, type NodeRestartMemory } from "./restart-memory.ts";

/** Root and infrastructure tolerate 5 each, which would be 30 starts of one server that cannot live. */
const nodeBudget: Intensity = { maxRestarts: 15, periodMs: 60_000 };

export interface NodeTree extends TreeServices {
  readonly memory: NodeRestartMemory;
}

/** @param database Resolves when there is one; the newest at each call. */
export function createNodeTree(
  nodeId: string,
  database: () => Promise<Database>,
  log: Log,
): NodeTree {
  return {
    directory: createDirectory({
      onDeadLetter: ({ reason, target }) => log.info("dead letter", { target, reason }),
    }),
    budget: createRestartBudget(nodeBudget),
    memory: createRestartMemory(
      async () => createRestartCounterRepo(await database(), nodeId),
      log,
    ),
  };
}
