/**
 * What waits for one slow client, in bounded memory: the newest event of each key, oldest first.
 * State events (a task, an agent) supersede each other; journal entries and messages never do.
 * When even that does not fit, all of it is dropped and the queue says so: the client then gets a
 * new snapshot. Nothing is lost without the client being told.
 *
 * @module
 */

import type { LiveBody, LiveEvent } from "../../runtime/system.ts";

/** Events that may wait for one client. */
export const MAX_PENDING_EVENTS = 1_024;

export interface PendingEvent {
  readonly event: LiveEvent;
  /** How many older events of the same key this one stands for. */
  readonly conflated: number;
}

export interface ConflationQueue {
  push(event: LiveEvent): void;
  /** The oldest, removed; undefined when nothing waits. */
  shift(): PendingEvent | undefined;
  readonly size: number;
  /** True once events were dropped, until `clear`. While true, nothing is kept. */
  readonly overflowed: boolean;
  /** Drops all and marks the gap, for events that the transport lost. */
  overflow(): void;
  clear(): void;
}

/** Events with the same key supersede each other; undefined for events that each count. */
export function conflationKey(body: LiveBody): string | undefined {
  switch (body.type) {
    case "workflow":
      return `workflow:${body.workflow.id}`;
    case "task":
      return `task:${body.workflowId}/${body.task.key}`;
    case "agent":
      return `agent:${body.agent.name}`;
    case "system":
      return "system";
    case "journal":
    case "message":
    case "inspection":
      return undefined;
  }
}

export function createConflationQueue(limit: number = MAX_PENDING_EVENTS): ConflationQueue {
  const pending = new Map<string, PendingEvent>();
  let overflowed = false;
  return {
    push(event) {
      if (overflowed) return;
      const key = conflationKey(event.body) ?? `seq:${event.seq}`;
      const superseded = pending.get(key);
      // Removed first, so that the newer event goes to the end and order by `seq` holds.
      pending.delete(key);
      if (pending.size >= limit) {
        pending.clear();
        overflowed = true;
        return;
      }
      const conflated = superseded === undefined ? 0 : superseded.conflated + 1;
      pending.set(key, { event, conflated });
    },
    shift() {
      const first = pending.entries().next();
      if (first.done === true) return undefined;
      pending.delete(first.value[0]);
      return first.value[1];
    },
    get size() {
      return pending.size;
    },
    get overflowed() {
      return overflowed;
    },
    overflow() {
      pending.clear();
      overflowed = true;
    },
    clear() {
      pending.clear();
      overflowed = false;
    },
  };
}
