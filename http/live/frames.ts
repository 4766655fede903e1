/**
 * The frames of the live stream, the same over WebSocket and SSE.
 *
 * A client gets a `snapshot` of its topics, then an `event` for each change, with growing `seq`.
 * `resync` is a snapshot too: it says that events were left out and why, and replaces all that the
 * client knows. `conflated` on an event counts the older states that it stands for.
 *
 * @module
 */

import type {
  AgentView,
  JournalEntry,
  LiveBody,
  SystemMetrics,
  SystemStatus,
  TaskView,
  WorkflowGraph,
  WorkflowView,
} from "../../runtime/system.ts";
import type { PendingEvent } from "./conflation.ts";
import { isTopic, MAX_TOPICS, TOPIC_FORMS } from "./topics.ts";

/** Why a client gets a new snapshot: its place is too old, of another process, or it read too slowly. */
export type ResyncReason = "gap" | "epoch" | "overflow";

/** State of the topics at a sequence number; parts that no topic asked for are absent. */
export interface LiveState {
  readonly system?: {
    readonly status: SystemStatus;
    readonly metrics: SystemMetrics;
    readonly agents: readonly AgentView[];
    /** The newest 50. */
    readonly workflows: readonly WorkflowView[];
  };
  /** By id; null for a workflow that does not exist. */
  readonly workflows?: Readonly<
    Record<
      string,
      { workflow: WorkflowView; tasks: readonly TaskView[]; graph: WorkflowGraph | null } | null
    >
  >;
  /** By name; null for an agent that does not exist. */
  readonly agents?: Readonly<Record<string, AgentView | null>>;
  /** The newest entries that the buffer still holds, oldest first. */
  readonly journal?: readonly { workflowId: string; entry: JournalEntry }[];
}

interface Placed {
  readonly epoch: string;
  readonly seq: number;
}

export interface StateFrame extends Placed {
  readonly type: "snapshot" | "resync";
  readonly reason?: ResyncReason;
  readonly topics: readonly string[];
  readonly state: LiveState;
}

export interface EventFrame extends Placed {
  readonly type: "event";
  readonly topics: readonly string[];
  readonly at: string;
  readonly body: LiveBody;
  readonly conflated?: number;
}

/** The client's place was still in the buffer: events follow, no snapshot needed. */
export interface ResumedFrame extends Placed {
  readonly type: "resumed";
  readonly topics: readonly string[];
}

export type ServerFrame =
  | StateFrame
  | EventFrame
  | ResumedFrame
  | { readonly type: "subscribed"; readonly topics: readonly string[] }
  | { readonly type: "pong" }
  | { readonly type: "error"; readonly code: string; readonly detail: string };

export type ClientFrame =
  | { readonly type: "subscribe"; readonly topics: readonly string[] }
  | { readonly type: "unsubscribe"; readonly topics: readonly string[] }
  | { readonly type: "ping" };

/** Largest frame from a client, in UTF-16 units. */
export const MAX_CLIENT_FRAME_LENGTH = 16_384;

export function stateFrame(
  place: Placed,
  topics: readonly string[],
  state: LiveState,
  reason?: ResyncReason,
): StateFrame {
  const { epoch, seq } = place;
  return reason === undefined
    ? { type: "snapshot", epoch, seq, topics, state }
    : { type: "resync", reason, epoch, seq, topics, state };
}

export function eventFrame(epoch: string, { event, conflated }: PendingEvent): EventFrame {
  const { seq, topics, at, body } = event;
  return {
    type: "event",
    epoch,
    seq,
    topics,
    at,
    body,
    ...(conflated === 0 ? {} : { conflated }),
  };
}

/** Reads a client's frame; a text says what is wrong with it. */
export function parseClientFrame(text: string): ClientFrame | string {
  if (text.length > MAX_CLIENT_FRAME_LENGTH) {
    return `Cannot read the frame: longer than ${MAX_CLIENT_FRAME_LENGTH} characters`;
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return "Cannot read the frame: not JSON";
  }
  if (typeof value !== "object" || value === null) return "Cannot read the frame: not an object";
  const { type, topics } = value as { type?: unknown; topics?: unknown };
  if (type === "ping") return { type };
  if (type !== "subscribe" && type !== "unsubscribe") {
    return "Cannot read the frame: type must be subscribe, unsubscribe or ping";
  }
  if (!Array.isArray(topics) || topics.length > MAX_TOPICS || !topics.every(isTopic)) {
    return `Cannot ${type}: topics must be up to ${MAX_TOPICS} of ${TOPIC_FORMS}`;
  }
  return { type, topics };
}

/** One SSE record; state and event frames carry their place as id, for Last-Event-ID. */
export function sseRecord(frame: ServerFrame, text: string = JSON.stringify(frame)): string {
  const id = "seq" in frame ? `id: ${frame.epoch}:${frame.seq}\n` : "";
  return `event: ${frame.type}\n${id}data: ${text}\n\n`;
}
