/**
 * Serves a fetch handler and WebSockets on a port: by uWebSockets.js, or by Node where that does
 * not load. Both behave alike; one test suite holds them to it.
 *
 * @module
 */

import { NativeError, systemCode } from "./native-error.ts";

export type HttpHostKind = "uws" | "node";

/** `request.signal` aborts when the client goes away or, once streaming, when the host closes. */
export type FetchHandler = (
  request: Request,
  info: { readonly remoteAddress: string },
) => Response | Promise<Response>;

export interface HostSocket {
  /** Unique in this process. */
  readonly id: string;
  /**
   * `buffered`: it waits for a slow reader. `dropped`: the frame is lost, and so is the socket,
   * which the host closes with 1013; also for a socket that is closed already.
   */
  send(text: string): "sent" | "buffered" | "dropped";
  bufferedBytes(): number;
  close(code: number, reason: string): void;
  /** The application's own. */
  data: unknown;
}

export interface WebSocketHandlers {
  /** Exact path, such as "/api/v1/stream". */
  readonly path: string;
  /** A Response refuses the upgrade. */
  authorize(request: Request): Promise<Response | undefined>;
  open(socket: HostSocket, request: Request): void;
  /** Text frames only; a binary one closes the socket with 1003. */
  message(socket: HostSocket, data: string): void;
  /** Once for each opened socket, whoever closed it. */
  close(socket: HostSocket): void;
}

export interface HttpLimits {
  /** A larger request body is answered with 413. Default 10 MiB. */
  readonly maxBodyBytes: number;
  /** A larger WebSocket message closes the socket. Default 64 KiB. */
  readonly maxMessageBytes: number;
  /** A socket whose reader is further behind is closed with 1013. Default 1 MiB. */
  readonly maxBackpressureBytes: number;
  /** A response that its reader does not take for so long is cut. Default 30 s. */
  readonly stallTimeoutMs: number;
  /** `close()` cuts what has not ended by then. Default 3 s. */
  readonly closeTimeoutMs: number;
}

export interface HttpHostOptions {
  /** `auto`: uws if it loads, else node. */
  readonly kind: "auto" | HttpHostKind;
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  readonly fetch: FetchHandler;
  readonly websocket?: WebSocketHandlers;
  readonly limits?: Partial<HttpLimits>;
  /** Told what a handler threw; the client gets 500, or 1011 on a WebSocket. */
  readonly onError?: (error: unknown) => void;
}

export interface HttpHost {
  readonly kind: HttpHostKind;
  readonly port: number;
  /** Such as "http://127.0.0.1:4400". */
  readonly url: string;
  /**
   * Takes no new connections, aborts streaming responses, closes sockets with 1001, lets other
   * requests finish within `closeTimeoutMs`. Safe to call twice.
   */
  close(): Promise<void>;
}

/** Options with every default filled in. */
export interface HostSettings {
  readonly host: string;
  readonly port: number;
  readonly fetch: FetchHandler;
  readonly websocket: WebSocketHandlers | undefined;
  readonly limits: HttpLimits;
  readonly onError: (error: unknown) => void;
}

const DEFAULT_LIMITS: HttpLimits = {
  maxBodyBytes: 10 * 1024 * 1024,
  maxMessageBytes: 64 * 1024,
  maxBackpressureBytes: 1024 * 1024,
  stallTimeoutMs: 30_000,
  closeTimeoutMs: 3_000,
};

/**
 * Resolves when the port answers. Main thread only: a worker that runs uWebSockets.js aborts the
 * process when it is terminated.
 *
 * @throws {NativeError} `PORT_TAKEN`, `LISTEN_FAILED`, `HTTP_HOST_UNAVAILABLE`.
 */
export async function openHttpHost(options: HttpHostOptions): Promise<HttpHost> {
  const settings: HostSettings = {
    host: options.host,
    port: options.port,
    fetch: options.fetch,
    websocket: options.websocket,
    limits: { ...DEFAULT_LIMITS, ...options.limits },
    onError: options.onError ?? ((error) => console.error(error)),
  };
  if (options.kind !== "node") {
    const { loadUws, openUwsHost } = await import("./uws-host.ts");
    const loaded = await loadUws();
    if (loaded.type === "loaded") return openUwsHost(loaded.uws, settings);
    if (options.kind === "uws") {
      throw new NativeError(
        "HTTP_HOST_UNAVAILABLE",
        `Cannot serve with uWebSockets.js: it does not load here (${loaded.reason}); ` +
          `choose the server "auto" or "node"`,
      );
    }
  }
  const { openNodeHost } = await import("./node-host.ts");
  return openNodeHost(settings);
}

export function hostUrl(host: string, port: number): string {
  const anywhere = host === "0.0.0.0" || host === "::" || host === "";
  const name = anywhere ? "127.0.0.1" : host.includes(":") ? `[${host}]` : host;
  return `http://${name}:${port}`;
}

/** The error for an address that cannot be listened on, from what the system said. */
export function toListenError(host: string, port: number, error: unknown): NativeError {
  const code = systemCode(error);
  if (code === "EADDRINUSE") {
    return new NativeError(
      "PORT_TAKEN",
      `Cannot listen on ${host}:${port}: another process uses that port; ` +
        `stop it, or choose another port with --port`,
      { cause: error },
    );
  }
  const reason =
    code === "EACCES"
      ? "only root may use that port; choose one above 1023 with --port"
      : code === "EADDRNOTAVAIL" || code === "ENOTFOUND"
        ? "this machine does not have that address; choose another with --host"
        : `the system refused it (${code ?? "no reason given"}); try again or change --port`;
  return new NativeError("LISTEN_FAILED", `Cannot listen on ${host}:${port}: ${reason}`, {
    cause: error,
  });
}

/** An answer of the host itself, in the form of RFC 9457. */
export function problemResponse(status: 400 | 404 | 413 | 500): Response {
  const titles = {
    400: "Bad Request",
    404: "Not Found",
    413: "Content Too Large",
    500: "Internal Server Error",
  };
  return new Response(JSON.stringify({ type: "about:blank", title: titles[status], status }), {
    status,
    headers: { "content-type": "application/problem+json" },
  });
}

/** Headers that the server writes itself, or that concern one hop only (RFC 9110, 7.6.1). */
export const HOP_HEADERS: ReadonlySet<string> = new Set([
  "connection",
  "content-length",
  "keep-alive",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);
