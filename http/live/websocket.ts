/**
 * The live stream over WebSocket: ties sockets of the native host to their sessions.
 *
 * @module
 */

import { checkCaller, checkToken } from "../guard.ts";
import { problemFrom, problemResponse } from "../problem.ts";
import { readTopics, STREAM_PATH } from "../routes/events.ts";
import type { LiveClients } from "./clients.ts";
import type { LiveSession } from "./session.ts";
import { parsePosition } from "./topics.ts";

/** What a session needs of a socket; the sockets of `native/http-host.ts` fit. */
export interface LiveSocket {
  readonly id: string | number;
  send(text: string): "sent" | "buffered" | "dropped";
  bufferedBytes(): number;
  close(code: number, reason: string): void;
}

export interface LiveSockets {
  readonly path: string;
  /** A refusal, or undefined to let the upgrade happen. */
  authorize(request: Request): Promise<Response | undefined>;
  open(socket: LiveSocket, request: Request): void;
  message(socket: LiveSocket, data: string): void;
  close(socket: LiveSocket): void;
}

const DEFAULT_TOPICS = "system,events";

export function createLiveSockets(live: LiveClients, token: string | undefined): LiveSockets {
  const sessions = new Map<LiveSocket["id"], LiveSession>();
  return {
    path: STREAM_PATH,
    authorize: async (request) => {
      try {
        checkCaller(request, true);
        if (token !== undefined) checkToken(request, token);
        readTopics(new URL(request.url).searchParams.get("topics") ?? DEFAULT_TOPICS);
        live.checkRoom();
        return undefined;
      } catch (error) {
        return problemResponse(problemFrom(error, STREAM_PATH));
      }
    },
    open(socket, request) {
      const query = new URL(request.url).searchParams;
      const topics = readTopics(query.get("topics") ?? DEFAULT_TOPICS);
      const sink = {
        send: (frame: object) => socket.send(JSON.stringify(frame)),
        bufferedBytes: () => socket.bufferedBytes(),
        close: (code: number, reason: string) => socket.close(code, reason),
      };
      try {
        sessions.set(socket.id, live.connect(sink, topics, parsePosition(query.get("from"))));
      } catch (error) {
        // The last place went to another client between `authorize` and here.
        socket.close(1013, error instanceof Error ? error.message.slice(0, 100) : "busy");
      }
    },
    message(socket, data) {
      sessions.get(socket.id)?.receive(data);
    },
    close(socket) {
      sessions.get(socket.id)?.close();
      sessions.delete(socket.id);
    },
  };
}
