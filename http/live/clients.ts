/**
 * All clients of the live stream: one subscription to the system, fanned out to the sessions.
 *
 * @module
 */

import type { System } from "../../runtime/system.ts";
import type { HttpLog } from "../http-log.ts";
import { ProblemError } from "../problem.ts";
import { type LiveSession, type LiveSink, startLiveSession } from "./session.ts";
import type { Position } from "./topics.ts";

/** Clients of the live stream at once, WebSocket and SSE together. */
export const MAX_LIVE_CLIENTS = 256;

export interface LiveClients {
  /** @throws {ProblemError} `UNAVAILABLE` when `MAX_LIVE_CLIENTS` are connected. */
  connect(sink: LiveSink, topics: readonly string[], from: Position | undefined): LiveSession;
  /** @throws {ProblemError} `UNAVAILABLE` when no further client fits. */
  checkRoom(): void;
  readonly clients: number;
  /** Ends every session with 1001; later ones are refused. */
  close(): void;
}

export function createLiveClients(system: System, log: HttpLog): LiveClients {
  const sessions = new Set<LiveSession>();
  let unsubscribe: (() => void) | undefined;
  let closed = false;

  function checkRoom(): void {
    if (closed) throw new ProblemError("UNAVAILABLE", "Cannot stream: the server is stopping");
    if (sessions.size >= MAX_LIVE_CLIENTS) {
      const detail = `Cannot stream: ${MAX_LIVE_CLIENTS} clients are connected, close one first`;
      throw new ProblemError("UNAVAILABLE", detail);
    }
  }

  return {
    checkRoom,
    connect(sink, topics, from) {
      checkRoom();
      unsubscribe ??= system.live.subscribe((event) => {
        for (const session of sessions) session.push(event);
      });
      let session: LiveSession | undefined;
      let ended = false;
      session = startLiveSession({
        system,
        sink,
        topics,
        from,
        onClosed: () => {
          ended = true;
          if (session !== undefined) sessions.delete(session);
          if (sessions.size === 0) {
            unsubscribe?.();
            unsubscribe = undefined;
          }
        },
        onError: (error) => {
          log.warn("live snapshot could not be read", { error: String(error) });
        },
      });
      if (!ended) sessions.add(session);
      return session;
    },
    get clients() {
      return sessions.size;
    },
    close() {
      closed = true;
      for (const session of sessions) session.close(1001, "the server is stopping");
    },
  };
}
