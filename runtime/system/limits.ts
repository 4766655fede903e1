/**
 * Limits of the flow of work, and the slots that are in use.
 *
 * @module
 */

import type { FlowLimits } from "../../machines/flow-options.ts";

/** As configured; all of it but `node` holds over all nodes. */
export interface LimitsView extends Required<FlowLimits> {
  /** What tasks of this node may take together; null: no limit. */
  readonly node: { readonly cpu: number | null; readonly memoryMb: number | null };
}

export interface SlotView {
  /** `agent/NAME`, `key/KEY`, `global`. */
  readonly pool: string;
  readonly workflowId: string;
  readonly taskKey: string;
  /** 0 for one that waits. */
  readonly attempt: number;
  readonly state: "holds" | "waits";
  /** The node that owns the run. */
  readonly node: string;
  /** ISO 8601 UTC. */
  readonly since: string;
}

export interface LimitsPort {
  limits(): LimitsView;
  /** Slots that are in use over all nodes, oldest first; of one pool, or of all. */
  slots(pool?: string): Promise<readonly SlotView[]>;
}
