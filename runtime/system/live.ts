/**
 * The live stream: what has changed, in order.
 *
 * @module
 */

import type { Json } from "../../machines/error-code.ts";
import type { InspectedTransition } from "./actors.ts";
import type { AgentView } from "./agents.ts";
import type { JournalEntry, TaskView, WorkflowView } from "./workflows.ts";

/** The seed's figures. */
export interface SystemMetrics {
  readonly tasks_per_minute: number;
  readonly average_task_duration: number;
  readonly success_rate: number;
  readonly resource_utilization: { cpu: number; memory_mb: number; event_loop_lag_ms: number };
}

/** What the live stream carries. Topics: `system`, `events`, `inspect`, `workflow:ID`, `agent:NAME`, `actor:ADDRESS`. */
export type LiveBody =
  | { readonly type: "workflow"; readonly workflow: WorkflowView }
  | { readonly type: "task"; readonly workflowId: string; readonly task: TaskView }
  | { readonly type: "journal"; readonly workflowId: string; readonly entry: JournalEntry }
  | { readonly type: "agent"; readonly agent: AgentView }
  | { readonly type: "system"; readonly metrics: SystemMetrics }
  /** Transitions of one actor since the last such event; `leftOut` more were inspected. */
  | {
      readonly type: "inspection";
      readonly address: string;
      readonly transitions: readonly InspectedTransition[];
      readonly leftOut: number;
    }
  | { readonly type: "message"; readonly topic: string; readonly body: Json };

export interface LiveEvent {
  /** Grows by one per event of this process; with `epoch` it names a place in the stream. */
  readonly seq: number;
  readonly topics: readonly string[];
  readonly at: string;
  readonly body: LiveBody;
}

export interface LivePort {
  /** Changes at each start of the process: a client that resumes with another epoch needs a new snapshot. */
  readonly epoch: string;
  /** Sequence number of the newest event. */
  readonly lastSeq: () => number;
  /** Events after `seq`, oldest first, or undefined when the buffer (4,096 events) no longer holds them all. */
  since(seq: number): readonly LiveEvent[] | undefined;
  /** The listener must not throw and must not block; it is called on the main thread. */
  subscribe(listener: (event: LiveEvent) => void): () => void;
}
