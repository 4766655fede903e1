/**
 * The HTTP host on Node's own server, for machines where uWebSockets.js does not load.
 *
 * @module
 */

import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { getRequestListener, RequestError } from "@hono/node-server";
import {
  type HostSettings,
  type HttpHost,
  hostUrl,
  problemResponse,
  toListenError,
} from "./http-host.ts";
import { serveNodeSockets } from "./node-sockets.ts";

/** Unread request body in memory, at most; then the client is paused. */
const BODY_BUFFER_BYTES = 256 * 1024;
/** A request may stream its body; the standard wants it said, and its types do not know it. */
const HALF_DUPLEX = { duplex: "half" };

interface NodeExchange {
  readonly outgoing: ServerResponse;
  readonly abort: AbortController;
  /** Bytes that had left when the response was last seen moving, and when that was. */
  movedBytes: number;
  movedAtMs: number;
}

/** @throws {NativeError} `PORT_TAKEN`, `LISTEN_FAILED`. */
export async function openNodeHost(settings: HostSettings): Promise<HttpHost> {
  const exchanges = new Set<NodeExchange>();
  const listener = getRequestListener(
    (request, { incoming, outgoing }) =>
      answer(settings, exchanges, request, incoming as IncomingMessage, outgoing as ServerResponse),
    {
      overrideGlobalObjects: false,
      // It would close the connection under the next request; we let the rest of a body pass by.
      autoCleanupIncoming: false,
      errorHandler: (error) => {
        // The request makes no URL: the client's mistake.
        if (error instanceof RequestError) return problemResponse(400);
        settings.onError(error);
        return problemResponse(500);
      },
    },
  );
  const server = createServer((incoming, outgoing) => void listener(incoming, outgoing));
  const sockets = serveNodeSockets(server, settings);
  await listen(server, settings);
  const { stallTimeoutMs, closeTimeoutMs } = settings.limits;
  const stallCheck = setInterval(
    () => cutStalled(exchanges, stallTimeoutMs),
    Math.max(10, stallTimeoutMs / 8),
  );
  stallCheck.unref();
  const { port } = server.address() as AddressInfo;
  let closing: Promise<void> | undefined;
  return {
    kind: "node",
    port,
    url: hostUrl(settings.host, port),
    close: () => {
      closing ??= (async () => {
        const closed = new Promise((resolve) => server.close(resolve));
        sockets.closeAll();
        await drain(exchanges, closeTimeoutMs);
        sockets.terminateAll();
        server.closeAllConnections();
        clearInterval(stallCheck);
        await closed;
      })();
      return closing;
    },
  };
}

async function listen(server: Server, { host, port }: HostSettings): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error) => reject(toListenError(host, port, error)));
    server.listen({ host, port, exclusive: true }, resolve);
  });
}

async function answer(
  settings: HostSettings,
  exchanges: Set<NodeExchange>,
  request: Request,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
): Promise<Response> {
  const { maxBodyBytes } = settings.limits;
  if (Number(request.headers.get("content-length") ?? 0) > maxBodyBytes) return refuse(outgoing);
  const abort = new AbortController();
  const exchange = { outgoing, abort, movedBytes: 0, movedAtMs: performance.now() };
  exchanges.add(exchange);
  outgoing.once("close", () => {
    exchanges.delete(exchange);
    // Before the end of the answer, this means that the client went away.
    if (!outgoing.writableFinished) abort.abort(clientGone());
  });
  const hasBody = request.method !== "GET" && request.method !== "HEAD";
  const limited = hasBody ? readBody(incoming, maxBodyBytes) : undefined;
  outgoing.once("finish", () => limited?.release());
  const { url, method, headers } = request;
  const body = limited?.body ?? null;
  const own = new Request(url, { method, headers, body, signal: abort.signal, ...HALF_DUPLEX });
  const remoteAddress = incoming.socket.remoteAddress ?? "";
  try {
    const response = await Promise.race([
      settings.fetch(own, { remoteAddress }),
      ...(limited === undefined ? [] : [limited.exceeded]),
    ]);
    return response === "exceeded" ? refuse(outgoing) : response;
  } catch (error) {
    if (!abort.signal.aborted) settings.onError(error);
    return problemResponse(500);
  }
}

function refuse(outgoing: ServerResponse): Response {
  // The rest of the body is not read, so the connection cannot serve another request.
  outgoing.setHeader("connection", "close");
  return problemResponse(413);
}

interface LimitedBody {
  readonly body: ReadableStream<Uint8Array>;
  /** Resolves if the body passes the limit. */
  readonly exceeded: Promise<"exceeded">;
  /** Lets the rest pass by unread, so that the connection stays usable. */
  release(): void;
}

function readBody(incoming: IncomingMessage, maxBytes: number): LimitedBody {
  let tell: ((value: "exceeded") => void) | undefined;
  const exceeded = new Promise<"exceeded">((resolve) => {
    tell = resolve;
  });
  let receivedBytes = 0;
  let ended = false;
  const release = () => {
    ended = true;
    incoming.resume();
  };
  const body = new ReadableStream<Uint8Array>(
    {
      start: (controller) => {
        const end = (finish: () => void) => {
          if (ended) return;
          ended = true;
          finish();
        };
        incoming.on("data", (chunk: Buffer) => {
          receivedBytes += chunk.byteLength;
          if (ended) return;
          if (receivedBytes > maxBytes) {
            end(() => controller.error(new Error("The request body is over the limit")));
            tell?.("exceeded");
            return;
          }
          controller.enqueue(new Uint8Array(chunk));
          if ((controller.desiredSize ?? 0) <= 0) incoming.pause();
        });
        incoming.on("end", () => end(() => controller.close()));
        incoming.on("close", () => end(() => controller.error(clientGone())));
        incoming.on("error", (error) => end(() => controller.error(error)));
      },
      pull: () => {
        if (!ended) incoming.resume();
      },
      cancel: release,
    },
    new ByteLengthQueuingStrategy({ highWaterMark: BODY_BUFFER_BYTES }),
  );
  return { body, exceeded, release };
}

/** Cuts answers whose reader has taken nothing for too long; one that waits for data is fine. */
function cutStalled(exchanges: Set<NodeExchange>, stallTimeoutMs: number): void {
  const nowMs = performance.now();
  for (const exchange of exchanges) {
    const { socket, writableNeedDrain } = exchange.outgoing;
    const bytes = socket?.bytesWritten ?? 0;
    if (!writableNeedDrain || bytes !== exchange.movedBytes) {
      exchange.movedBytes = bytes;
      exchange.movedAtMs = nowMs;
    } else if (nowMs - exchange.movedAtMs >= stallTimeoutMs) {
      socket?.destroy();
    }
  }
}

async function drain(exchanges: Set<NodeExchange>, limitMs: number): Promise<void> {
  const deadlineMs = performance.now() + limitMs;
  while (exchanges.size > 0 && performance.now() < deadlineMs) {
    for (const { outgoing, abort } of exchanges) if (outgoing.headersSent) abort.abort();
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  for (const { abort } of exchanges) abort.abort();
}

function clientGone(): DOMException {
  return new DOMException("The client closed the connection", "AbortError");
}
