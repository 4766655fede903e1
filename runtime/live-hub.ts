/**
 * Numbers everything that happens on this node and hands it to those who watch.
 *
 * @module
 */

import type { Clock } from "../actors/ports.ts";
import type { LiveBody, LiveEvent, LivePort } from "./system.ts";

/** Events kept for clients that come back. */
const bufferSize = 4_096;

export interface LiveHub extends LivePort {
  emit(topics: readonly string[], body: LiveBody): void;
}

export function createLiveHub(epoch: string, clock: Clock): LiveHub {
  const buffer: LiveEvent[] = [];
  const listeners = new Set<(event: LiveEvent) => void>();
  let seq = 0;
  return {
    epoch,
    lastSeq: () => seq,
    since: (after) => {
      const oldest = seq - buffer.length;
      if (after > seq || after < oldest) return undefined;
      return buffer.slice(after - oldest);
    },
    subscribe: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    emit: (topics, body) => {
      seq += 1;
      const event = { seq, topics, at: clock.now().toISOString(), body };
      buffer.push(event);
      if (buffer.length > bufferSize) buffer.shift();
      for (const listener of listeners) listener(event);
    },
  };
}
