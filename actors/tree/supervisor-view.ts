/**
 * A supervisor and all below it, as people look at it.
 *
 * @module
 */

import type { SnapshotFrom } from "xstate";
import type { ChildRow } from "../../machines/child-table.ts";
import type { supervisorMachine } from "../../machines/supervisor.ts";
import type { TreeNode } from "./child-spec.ts";
import type { SupervisorParts } from "./supervisor-effects.ts";

export function viewOf(
  { address, live, options }: SupervisorParts,
  snapshot: SnapshotFrom<typeof supervisorMachine>,
): TreeNode {
  const { autoShutdown, error, intensity, strategy, table } = snapshot.context;
  return {
    id: options.id,
    kind: "supervisor",
    address,
    strategy,
    intensity,
    autoShutdown,
    status: String(snapshot.value),
    restarts: table.reduce((sum, row) => sum + row.restarts, 0),
    lastError: error ?? null,
    children: table.map((row) =>
      viewOfChild(row, `${address}/${row.id}`, live.get(row.id)?.view?.()),
    ),
  };
}

function viewOfChild(row: ChildRow, address: string, own: TreeNode | undefined): TreeNode {
  const { id, lastError, restart, restarts, significant } = row;
  const known = { id, restart, restarts, significant };
  if (own !== undefined) {
    return { ...moved(own, address), ...known, lastError: own.lastError ?? lastError };
  }
  const failed = row.status === "ended" && lastError !== null && row.goal === "up";
  const status = failed ? "failed" : row.status;
  return { ...known, kind: row.type, address, status, lastError, children: [] };
}

/** A subtree that was started without knowing where it stands. */
function moved(node: TreeNode, address: string): TreeNode {
  if (node.address === address) return node;
  const children = node.children.map((child) => moved(child, `${address}/${child.id}`));
  return { ...node, address, children };
}
