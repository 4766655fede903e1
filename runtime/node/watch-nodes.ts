/**
 * Incidents that nobody inside a process can tell of: that a node was lost, that the database was away.
 *
 * A lost node is recorded once: by its own next start, or by a peer when its lease has long been over.
 *
 * @module
 */

import type { NodeRepo } from "../../db/node-repo.ts";
import { toErrorRecord } from "../../machines/error-code.ts";
import type { NodeContext } from "./context.ts";

const lookEveryMs = 5_000;
/** Beyond the lease: who starts again at once tells of itself. */
const graceMs = 10_000;
/** One look that takes longer means that the database is away. */
const lookLimitMs = 5_000;

/** Nodes of this process that have looked for what an earlier process left: once is enough. */
const judged = new WeakSet<NodeContext>();

export interface NodeWatch {
  stop(): void;
}

type Watched = Pick<NodeContext, "clock" | "incidents" | "log" | "nodeId">;

/** Call before this process registers its lease. Resolves when the first look is done, well or not. */
export async function watchNodes(node: NodeContext, nodes: NodeRepo): Promise<NodeWatch> {
  const { nodeId } = node;
  const isFirst = !judged.has(node);
  judged.add(node);
  return await openWatch(node, nodes, isFirst ? nodeId : undefined);
}

/** @param own Looked for at first only: an earlier process of this node is certainly dead. */
export async function openWatch(
  { clock, incidents, log, nodeId }: Watched,
  nodes: Pick<NodeRepo, "sweep">,
  own: string | undefined,
  everyMs = lookEveryMs,
): Promise<NodeWatch> {
  let timer: NodeJS.Timeout | undefined;
  let isStopped = false;
  let away: { readonly sinceMs: number; readonly error: unknown } | undefined;

  async function look(nodeOfOurs: string | undefined): Promise<void> {
    try {
      for (const lost of await within(nodes.sweep(graceMs, nodeOfOurs), lookLimitMs)) {
        const isOwn = lost.nodeId === nodeId;
        incidents.record({
          address: "/root",
          incarnation: 0,
          kind: "node-lost",
          action: isOwn ? "restarted" : "taken-over",
          error: null,
          detail: { node: lost.nodeId, process: lost.incarnation, leaseOverMs: lost.overMs },
        });
      }
      if (away !== undefined) tellRecovery(away);
      away = undefined;
    } catch (error) {
      if (isStopped) return;
      away ??= { sinceMs: clock.monotonicMs(), error };
      log.debug("cannot look for lost nodes", { error: String(error) });
    }
  }

  function tellRecovery({ error, sinceMs }: NonNullable<typeof away>): void {
    incidents.record({
      address: "/root/infrastructure/database",
      incarnation: 0,
      kind: "database-lost",
      action: "recovered",
      error: toErrorRecord(error),
      detail: { seenAwayMs: Math.round(clock.monotonicMs() - sinceMs) },
    });
  }

  function arm(): void {
    if (isStopped) return;
    timer = setTimeout(() => void look(undefined).then(arm), everyMs).unref();
  }

  await look(own);
  arm();
  return {
    stop: () => {
      isStopped = true;
      clearTimeout(timer);
    },
  };
}

function within<T>(work: Promise<T>, limitMs: number): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(
      () => reject(new Error(`Cannot reach the database: no answer within ${limitMs} ms`)),
      limitMs,
    );
    void work.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}
