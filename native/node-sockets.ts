/**
 * WebSockets on Node's own server.
 *
 * @module
 */

import { randomUUID } from "node:crypto";
import { type IncomingMessage, type Server, STATUS_CODES } from "node:http";
import type { Duplex } from "node:stream";
import { type WebSocket, WebSocketServer } from "ws";
import {
  HOP_HEADERS,
  type HostSettings,
  type HostSocket,
  problemResponse,
  type WebSocketHandlers,
} from "./http-host.ts";

/** A socket that did not answer the ping before the last one is dead. */
const PING_INTERVAL_MS = 30_000;

export interface NodeSockets {
  /** Closes every socket with 1001. */
  closeAll(): void;
  terminateAll(): void;
}

/** Answers upgrade requests of this server. */
export function serveNodeSockets(server: Server, settings: HostSettings): NodeSockets {
  const acceptor = new WebSocketServer({
    noServer: true,
    clientTracking: true,
    maxPayload: settings.limits.maxMessageBytes,
    perMessageDeflate: false,
  });
  server.on("upgrade", (incoming, socket: Duplex, head) => {
    // Until ws has the socket, its errors would otherwise end the process.
    const onError = () => socket.destroy();
    socket.on("error", onError);
    answerUpgrade(acceptor, settings, incoming, socket, head).then(
      () => socket.off("error", onError),
      (error: unknown) => {
        settings.onError(error);
        socket.destroy();
      },
    );
  });
  const alive = new WeakSet<WebSocket>();
  acceptor.on("connection", (ws: WebSocket) => {
    alive.add(ws);
    ws.on("pong", () => alive.add(ws));
  });
  const pings = setInterval(() => {
    for (const ws of acceptor.clients) {
      if (!alive.delete(ws)) ws.terminate();
      else ws.ping();
    }
  }, PING_INTERVAL_MS);
  pings.unref();
  return {
    closeAll: () => {
      for (const ws of acceptor.clients) ws.close(1001, "The server is closing");
    },
    terminateAll: () => {
      clearInterval(pings);
      for (const ws of acceptor.clients) ws.terminate();
    },
  };
}

async function answerUpgrade(
  acceptor: WebSocketServer,
  settings: HostSettings,
  incoming: IncomingMessage,
  socket: Duplex,
  head: Buffer,
): Promise<void> {
  const handlers = settings.websocket;
  const request = toRequest(incoming);
  if (request === undefined) return refuse(socket, problemResponse(400));
  if (handlers === undefined || new URL(request.url).pathname !== handlers.path) {
    const remoteAddress = incoming.socket.remoteAddress ?? "";
    return refuse(socket, await settings.fetch(request, { remoteAddress }));
  }
  let refusal: Response | undefined;
  try {
    refusal = await handlers.authorize(request);
  } catch (error) {
    settings.onError(error);
    refusal = problemResponse(500);
  }
  if (refusal !== undefined) return refuse(socket, refusal);
  if (socket.destroyed) return;
  acceptor.handleUpgrade(incoming, socket, head, (ws) => {
    acceptor.emit("connection", ws, incoming);
    connect(ws, request, handlers, settings);
  });
}

function connect(
  ws: WebSocket,
  request: Request,
  handlers: WebSocketHandlers,
  settings: HostSettings,
): void {
  const socket = wrapSocket(ws, settings);
  const guard = (run: () => void): void => {
    try {
      run();
    } catch (error) {
      settings.onError(error);
      socket.close(1011, "Internal error");
    }
  };
  ws.on("message", (data: Buffer, isBinary) => {
    if (isBinary) socket.close(1003, "Text only");
    else guard(() => handlers.message(socket, data.toString()));
  });
  ws.on("close", () => guard(() => handlers.close(socket)));
  // A protocol error is followed by `close`, which is where we clean up.
  ws.on("error", () => undefined);
  guard(() => handlers.open(socket, request));
}

function wrapSocket(ws: WebSocket, settings: HostSettings): HostSocket {
  const { maxBackpressureBytes, stallTimeoutMs } = settings.limits;
  const socket: HostSocket = {
    id: randomUUID(),
    data: undefined,
    send: (text) => {
      if (ws.readyState !== ws.OPEN) return "dropped";
      if (ws.bufferedAmount + Buffer.byteLength(text) > maxBackpressureBytes) {
        socket.close(1013, "The reader is too slow");
        return "dropped";
      }
      ws.send(text);
      return ws.bufferedAmount > 0 ? "buffered" : "sent";
    },
    bufferedBytes: () => ws.bufferedAmount,
    close: (code, reason) => {
      if (ws.readyState !== ws.OPEN) return;
      ws.close(code, reason);
      // The close frame waits behind what the reader does not take.
      const force = setTimeout(() => ws.terminate(), stallTimeoutMs);
      force.unref();
      ws.once("close", () => clearTimeout(force));
    },
  };
  return socket;
}

function toRequest(incoming: IncomingMessage): Request | undefined {
  const headers = new Headers();
  for (const [name, value] of Object.entries(incoming.headersDistinct)) {
    for (const one of value ?? []) headers.append(name, one);
  }
  const url = `http://${headers.get("host") ?? "localhost"}${incoming.url ?? "/"}`;
  return URL.canParse(url) ? new Request(url, { headers }) : undefined;
}

async function refuse(socket: Duplex, response: Response): Promise<void> {
  const body = Buffer.from(await response.arrayBuffer());
  const lines = [`HTTP/1.1 ${response.status} ${STATUS_CODES[response.status] ?? "Unknown"}`];
  for (const [name, value] of response.headers) {
    if (!HOP_HEADERS.has(name)) lines.push(`${name}: ${value}`);
  }
  lines.push("connection: close", `content-length: ${body.length}`, "", "");
  socket.end(Buffer.concat([Buffer.from(lines.join("\r\n")), body]));
}
