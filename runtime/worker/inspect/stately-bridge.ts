/**
 * A relay in Stately's protocol: any receiver of it sees the actors of this node.
 *
 * Stately's own relay listens on all interfaces, asks nobody for anything, and passes on what any
 * client sends. This one is on loopback only, asks for a token, refuses pages of other sites (`Origin`)
 * and foreign names (`Host`, against DNS rebinding), and takes nothing in.
 *
 * @module
 */

import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import type { Json } from "../../../machines/error-code.ts";
import { type HostSocket, openHttpHost } from "../../../native/http-host.ts";
import type { InspectionHub } from "./hub.ts";
import { type StatelyFrame, statelyActor, statelyFrame } from "./stately-frames.ts";
import { statelyPage } from "./stately-page.ts";

/** Receivers at once. */
const maxReceivers = 8;
/** Frames that a late joiner gets after the actors; as many as Stately's relay keeps. */
const replayFrames = 200;
/** Sessions whose newest snapshot is kept for late joiners. */
const maxSnapshots = 2_048;
const maxBackpressureBytes = 4 * 1_048_576;
const loopback = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\]):\d{1,5}$/i;

export interface StatelyBridge {
  /** The page that embeds Stately's inspector; with `ws:` it is what receivers connect to. Holds the token. */
  readonly url: string;
  readonly receivers: () => number;
  close(): Promise<void>;
}

export interface StatelyBridgeOptions {
  readonly hub: InspectionHub;
  /** 0 takes a free one. */
  readonly port: number;
  /** Default: 256 random bits. */
  readonly token?: string;
  readonly nowMs?: () => number;
  readonly onError: (message: string) => void;
}

/** @throws {NativeError} `PORT_TAKEN`, `LISTEN_FAILED`. */
export async function openStatelyBridge(options: StatelyBridgeOptions): Promise<StatelyBridge> {
  const { hub } = options;
  const token = options.token ?? randomBytes(32).toString("base64url");
  const nowMs = options.nowMs ?? Date.now;
  const receivers = new Set<HostSocket>();
  const roots = new Map<string, string>();
  const snapshots = new Map<string, Json>();
  const replay: string[] = [];

  function keep(frame: StatelyFrame, text: string): void {
    replay.push(text);
    if (replay.length > replayFrames) replay.shift();
    if (frame.type !== "@xstate.snapshot") return;
    snapshots.delete(frame.sessionId);
    snapshots.set(frame.sessionId, frame.snapshot);
    const [oldest] = snapshots.keys();
    if (snapshots.size > maxSnapshots && oldest !== undefined) snapshots.delete(oldest);
  }

  const unsubscribe = hub.subscribe((frame) => {
    // With no receiver there is nothing to do: who comes later gets the actors as they are then.
    if (receivers.size === 0) return;
    if (frame.type === "actor") rememberRoot(frame.actor.session, frame.actor.root);
    const converted = statelyFrame(frame, (session) => roots.get(session), nowMs());
    const text = JSON.stringify(converted);
    keep(converted, text);
    for (const socket of receivers) socket.send(text);
  });

  function rememberRoot(session: string, root: string): void {
    roots.delete(session);
    roots.set(session, root);
    const [oldest] = roots.keys();
    if (roots.size > maxSnapshots && oldest !== undefined) roots.delete(oldest);
  }

  function join(socket: HostSocket): void {
    const isFirst = receivers.size === 0;
    if (isFirst) replay.length = 0;
    for (const record of hub.actors()) {
      rememberRoot(record.session, record.root);
      socket.send(JSON.stringify(statelyActor(record, nowMs(), snapshots.get(record.session))));
    }
    for (const text of replay) socket.send(text);
    receivers.add(socket);
    if (isFirst) hub.setFull(true);
  }

  function leave(socket: HostSocket): void {
    if (!receivers.delete(socket) || receivers.size > 0) return;
    hub.setFull(false);
    snapshots.clear();
  }

  function refusal(request: Request): Response | undefined {
    const given = new URL(request.url).searchParams.get("token") ?? "";
    if (!isLoopbackCall(request))
      return plain(403, "Only for this machine, and for no page of another site");
    if (!isSame(given, token)) return plain(401, "Needs the token that the node has printed");
    return undefined;
  }

  const host = await openHttpHost({
    kind: "node",
    host: "127.0.0.1",
    port: options.port,
    fetch: (request) => {
      const refused = refusal(request);
      if (refused !== undefined) return refused;
      if (request.method !== "GET" || new URL(request.url).pathname !== "/") {
        return plain(404, "There is one page here");
      }
      const { html, headers } = statelyPage(randomBytes(16).toString("base64url"));
      return new Response(html, { headers });
    },
    websocket: {
      path: "/",
      authorize: async (request) =>
        refusal(request) ??
        (receivers.size >= maxReceivers ? plain(503, `Has ${maxReceivers} receivers`) : undefined),
      open: join,
      message: (socket) => socket.close(1008, "Takes nothing in"),
      close: leave,
    },
    limits: { maxBackpressureBytes },
    onError: (error) => options.onError(`the Stately bridge failed: ${String(error)}`),
  });
  return {
    url: `http://127.0.0.1:${host.port}/?token=${token}`,
    receivers: () => receivers.size,
    close: async () => {
      unsubscribe();
      if (receivers.size > 0) hub.setFull(false);
      receivers.clear();
      await host.close();
    },
  };
}

/** Asked under a loopback name, and by no page of another site. */
function isLoopbackCall(request: Request): boolean {
  const host = request.headers.get("host") ?? "";
  if (!loopback.test(host)) return false;
  const origin = request.headers.get("origin");
  if (origin === null) return true;
  return URL.canParse(origin) && new URL(origin).host === host.toLowerCase();
}

function isSame(given: string, expected: string): boolean {
  const digest = (value: string): Buffer => createHash("sha256").update(value).digest();
  return timingSafeEqual(digest(given), digest(expected));
}

function plain(status: number, text: string): Response {
  return new Response(`${text}.\n`, {
    status,
    headers: { "content-type": "text/plain; charset=utf-8", "x-content-type-options": "nosniff" },
  });
}
