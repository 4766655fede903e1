/**
 * The page's connection to the live stream: connects again when it is lost, and goes on where it was.
 *
 * @module
 */

import type { ServerFrame } from "../live/frames.ts";

const FIRST_WAIT_MS = 250;
const LONGEST_WAIT_MS = 5_000;
/** Without an answer to a ping for so long, the connection counts as lost. */
const PING_INTERVAL_MS = 20_000;

export interface StreamOptions {
  topics(): readonly string[];
  onFrame(frame: ServerFrame): void;
  /** `live` once the first frame of a connection came. */
  onState(state: "connecting" | "live" | "reconnecting"): void;
}

export interface Stream {
  /** Topics changed: asks for the new ones. */
  refresh(): void;
}

export function startStream(options: StreamOptions): Stream {
  let socket: WebSocket | undefined;
  let place: string | undefined;
  let held = "";
  let waitMs = FIRST_WAIT_MS;
  let isHeard = true;

  function connect(): void {
    const topics = options.topics().join(",");
    const query = new URLSearchParams({ topics });
    // A place is worth something only for the same topics.
    if (place !== undefined && held === topics) query.set("from", place);
    held = topics;
    const opened = new WebSocket(
      `${location.origin.replace(/^http/, "ws")}/api/v1/stream?${query}`,
    );
    socket = opened;
    isHeard = true;
    opened.onmessage = ({ data }) => {
      if (socket !== opened) return;
      isHeard = true;
      waitMs = FIRST_WAIT_MS;
      options.onState("live");
      const frame = JSON.parse(String(data)) as ServerFrame;
      if ("seq" in frame) place = `${frame.epoch}:${frame.seq}`;
      options.onFrame(frame);
    };
    opened.onclose = () => {
      if (socket === opened) lose();
    };
  }

  /** Gives the connection up at once: a closing handshake with a server that is gone takes minutes. */
  function lose(): void {
    const lost = socket;
    socket = undefined;
    lost?.close();
    options.onState("reconnecting");
    // Spread, so that many pages do not come back in the same moment.
    setTimeout(connect, waitMs * (0.75 + Math.random() / 2));
    waitMs = Math.min(LONGEST_WAIT_MS, waitMs * 2);
  }

  // The browser knows at once that its network went; the socket would find out much later.
  addEventListener("offline", () => {
    if (socket !== undefined) lose();
  });

  setInterval(() => {
    if (socket?.readyState !== WebSocket.OPEN) return;
    if (!isHeard) return lose();
    isHeard = false;
    socket.send('{"type":"ping"}');
  }, PING_INTERVAL_MS);

  options.onState("connecting");
  connect();
  return {
    refresh() {
      const wanted = options.topics();
      if (wanted.join(",") === held) return;
      const left = held.split(",").filter((topic) => !wanted.includes(topic));
      const added = wanted.filter((topic) => !held.split(",").includes(topic));
      if (socket?.readyState !== WebSocket.OPEN) return;
      held = wanted.join(",");
      if (left.length > 0) socket.send(JSON.stringify({ type: "unsubscribe", topics: left }));
      if (added.length > 0) socket.send(JSON.stringify({ type: "subscribe", topics: added }));
    },
  };
}
