/**
 * The HTTP host on uWebSockets.js; the only file that loads it.
 *
 * @module
 */

import type { us_listen_socket, WebSocket } from "uWebSockets.js";
import { randomUUID } from "node:crypto";
import { type AddressInfo, createServer } from "node:net";
import {
  type HostSettings,
  type HostSocket,
  type HttpHost,
  hostUrl,
  problemResponse,
  toListenError,
  type WebSocketHandlers,
} from "./http-host.ts";
import { beginExchange, type Exchange, sendResponse } from "./uws-exchange.ts";

/** The library exports the option directly; its types say otherwise. */
type Uws = typeof import("uWebSockets.js") & { readonly LIBUS_LISTEN_EXCLUSIVE_PORT: number };
type App = ReturnType<Uws["App"]>;

/** Seconds; the server pings within it and closes what does not answer. */
const SOCKET_IDLE_SECONDS = 60;
const SEND_STATES = ["buffered", "sent", "dropped"] as const;

export type LoadedUws =
  | { readonly type: "loaded"; readonly uws: Uws }
  | { readonly type: "unavailable"; readonly reason: string };

/** Loads the native library, or says why it does not load: not installed, or no build for here. */
export async function loadUws(): Promise<LoadedUws> {
  try {
    const module = (await import("uWebSockets.js")) as unknown as Uws & { default?: Uws };
    return { type: "loaded", uws: module.default ?? module };
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    return { type: "unavailable", reason: text.split("\n")[0] ?? "" };
  }
}

interface SocketData {
  readonly request: Request;
  socket: HostSocket | undefined;
}

/** @throws {NativeError} `PORT_TAKEN`, `LISTEN_FAILED`. */
export async function openUwsHost(uws: Uws, settings: HostSettings): Promise<HttpHost> {
  const app = uws.App();
  const exchanges = new Set<Exchange>();
  const sockets = new Set<HostSocket>();
  if (settings.websocket !== undefined) {
    serveSockets(app, uws, settings, settings.websocket, exchanges, sockets);
  }
  app.any("/*", (res, req) => {
    const exchange = beginExchange(res, req, settings);
    void track(exchanges, exchange, answer(exchange));
  });
  const listening = await listen(app, uws, settings);
  const port = uws.us_socket_local_port(listening);
  let closing: Promise<void> | undefined;
  return {
    kind: "uws",
    port,
    url: hostUrl(settings.host, port),
    close: () => {
      closing ??= (async () => {
        uws.us_listen_socket_close(listening);
        for (const socket of sockets) socket.close(1001, "The server is closing");
        await drain(exchanges, settings.limits.closeTimeoutMs);
        app.close();
      })();
      return closing;
    },
  };
}

/**
 * Listens on a port that nobody else listens on. The library's exclusive mode would do for that,
 * but it leaves closed connections behind that block the port for a minute, also for our own next
 * start. Its normal mode would share the port with another process. So Node takes the port first,
 * which fails if anyone has it, and hands it over within one turn of the event loop.
 */
async function listen(app: App, uws: Uws, settings: HostSettings): Promise<us_listen_socket> {
  const { host } = settings;
  const claim = createServer();
  const port = await new Promise<number>((resolve, reject) => {
    claim.once("error", (error) => reject(toListenError(host, settings.port, error)));
    claim.listen({ host, port: settings.port, exclusive: true }, () => {
      resolve((claim.address() as AddressInfo).port);
    });
  });
  const options = process.platform === "win32" ? uws.LIBUS_LISTEN_EXCLUSIVE_PORT : 0;
  const listening = await new Promise<us_listen_socket | false>((resolve) => {
    claim.close();
    // The declared types lack this form.
    const withOptions = app.listen.bind(app) as unknown as (
      host: string,
      port: number,
      options: number,
      done: (socket: us_listen_socket | false) => void,
    ) => void;
    withOptions(host, port, options, resolve);
  });
  if (listening === false) throw toListenError(host, port, undefined);
  return listening;
}

/** Keeps the exchange in the set until its answer is out; never rejects. */
async function track(
  exchanges: Set<Exchange>,
  exchange: Exchange,
  answered: Promise<void>,
): Promise<void> {
  exchanges.add(exchange);
  try {
    await answered;
  } catch (error) {
    exchange.settings.onError(error);
    exchange.cut();
  } finally {
    exchanges.delete(exchange);
  }
}

async function answer(exchange: Exchange): Promise<void> {
  const { request, remoteAddress, settings } = exchange;
  if (request === undefined) return sendResponse(exchange, problemResponse(400));
  const announcedBytes = Number(request.headers.get("content-length") ?? 0);
  if (announcedBytes > settings.limits.maxBodyBytes) {
    // Reading on is `readBody`'s affair: it refuses when the limit is really passed.
    await request.body?.cancel();
    return sendResponse(exchange, problemResponse(413));
  }
  let response: Response;
  try {
    response = await settings.fetch(request, { remoteAddress });
  } catch (error) {
    if (!exchange.isOver()) settings.onError(error);
    response = problemResponse(500);
  }
  await sendResponse(exchange, response);
}

/** Aborts streams and waits for the rest; cuts what is left at the limit. */
async function drain(exchanges: Set<Exchange>, limitMs: number): Promise<void> {
  const deadlineMs = performance.now() + limitMs;
  while (exchanges.size > 0 && performance.now() < deadlineMs) {
    for (const exchange of exchanges) if (exchange.isStreaming()) exchange.abortSignal();
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  for (const exchange of exchanges) {
    exchange.abortSignal();
    exchange.cut();
  }
}

function serveSockets(
  app: App,
  uws: Uws,
  settings: HostSettings,
  handlers: WebSocketHandlers,
  exchanges: Set<Exchange>,
  sockets: Set<HostSocket>,
): void {
  const { limits, onError } = settings;
  const guard = (socket: HostSocket, run: () => void): void => {
    try {
      run();
    } catch (error) {
      onError(error);
      socket.close(1011, "Internal error");
    }
  };
  app.ws<SocketData>(handlers.path, {
    compression: uws.DISABLED,
    maxPayloadLength: limits.maxMessageBytes,
    // No limit here: over its own limit the library would drop the close frame too.
    maxBackpressure: 0,
    idleTimeout: SOCKET_IDLE_SECONDS,
    sendPingsAutomatically: true,
    upgrade: (res, req, context) => {
      const exchange = beginExchange(res, req, settings);
      const key = req.getHeader("sec-websocket-key");
      const protocol = req.getHeader("sec-websocket-protocol");
      const extensions = req.getHeader("sec-websocket-extensions");
      const accept = (request: Request) =>
        res.cork(() =>
          res.upgrade<SocketData>(
            { request, socket: undefined },
            key,
            protocol,
            extensions,
            context,
          ),
        );
      void track(exchanges, exchange, upgrade(exchange, handlers, accept));
    },
    open: (ws) => {
      const data = ws.getUserData();
      const socket = wrapSocket(ws, limits.maxBackpressureBytes);
      data.socket = socket;
      sockets.add(socket);
      guard(socket, () => handlers.open(socket, data.request));
    },
    message: (ws, message, isBinary) => {
      const { socket } = ws.getUserData();
      if (socket === undefined) return;
      if (isBinary) return socket.close(1003, "Text only");
      const text = Buffer.from(message).toString();
      guard(socket, () => handlers.message(socket, text));
    },
    close: (ws) => {
      const { socket } = ws.getUserData();
      if (socket === undefined) return;
      sockets.delete(socket);
      (socket as UwsSocket).gone();
      guard(socket, () => handlers.close(socket));
    },
  });
}

async function upgrade(
  exchange: Exchange,
  handlers: WebSocketHandlers,
  accept: (request: Request) => void,
): Promise<void> {
  const { request, settings } = exchange;
  if (request === undefined) return sendResponse(exchange, problemResponse(400));
  let refusal: Response | undefined;
  try {
    refusal = await handlers.authorize(request);
  } catch (error) {
    settings.onError(error);
    refusal = problemResponse(500);
  }
  if (refusal !== undefined) return sendResponse(exchange, refusal);
  if (!exchange.isOver()) accept(request);
}

interface UwsSocket extends HostSocket {
  /** The native socket must not be touched any more. */
  gone(): void;
}

function wrapSocket(ws: WebSocket<SocketData>, maxBackpressureBytes: number): UwsSocket {
  let open = true;
  const socket: UwsSocket = {
    id: randomUUID(),
    data: undefined,
    send: (text) => {
      if (!open) return "dropped";
      if (ws.getBufferedAmount() + Buffer.byteLength(text) > maxBackpressureBytes) {
        socket.close(1013, "The reader is too slow");
        return "dropped";
      }
      return SEND_STATES[ws.send(text, false, false)] ?? "dropped";
    },
    bufferedBytes: () => (open ? ws.getBufferedAmount() : 0),
    close: (code, reason) => {
      if (!open) return;
      // Calls the close handler before it returns.
      ws.end(code, reason);
    },
    gone: () => {
      open = false;
    },
  };
  return socket;
}
