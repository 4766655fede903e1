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
import { createDeadLetterRepo } from "../../db/dead-letter-repo.ts";
import { createRestartCounterRepo } from "../../db/restart-counter-repo.ts";
import { type Json, toErrorRecord } from "../../machines/error-code.ts";
import type { Intensity } from "../../machines/restart-policy.ts";
import { createDeadLetters, type DeadLetters } from "../worker/remote/dead-letters.ts";
import { encodeValue } from "../worker/remote/snapshot-codec.ts";
import { createRestartMemory, type NodeRestartMemory } from "./restart-memory.ts";

/** Root and infrastructure tolerate 5 each, which would be 30 starts of one server that cannot live. */
const nodeBudget: Intensity = { maxRestarts: 15, periodMs: 60_000 };

export interface NodeTree extends TreeServices {
  readonly memory: NodeRestartMemory;
  /** Of the whole node: the tree's own and those of durable actors. */
  readonly deadLetters: DeadLetters;
}

/** @param database Resolves when there is one; the newest at each call. */
export function createNodeTree(
  nodeId: string,
  database: () => Promise<Database>,
  log: Log,
): NodeTree {
  const deadLetters = createDeadLetters({
    node: nodeId,
    log,
    repo: async () => createDeadLetterRepo(await database()),
  });
  return {
    deadLetters,
    directory: createDirectory({
      onDeadLetter: ({ event, reason, target }) => {
        log.info("dead letter", { target, reason });
        deadLetters.add({ sender: null, target, reason, event: storable(event) });
      },
    }),
    budget: createRestartBudget(nodeBudget),
    memory: createRestartMemory(
      async () => createRestartCounterRepo(await database(), nodeId),
      log,
    ),
  };
}

/** The event as it would stand in a mailbox; of one that cannot be kept, its type and why not. */
function storable(event: unknown): Json {
  try {
    return encodeValue(event);
  } catch (error) {
    const { type } = Object(event) as { type?: unknown };
    return { type: String(type), notKept: toErrorRecord(error).message };
  }
}
