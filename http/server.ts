/**
 * Serves the application and the live stream on a port.
 *
 * @module
 */

import { type HttpHostKind, openHttpHost } from "../native/http-host.ts";
import type { System } from "../runtime/system.ts";
import { createApp } from "./app.ts";
import type { HttpLog } from "./http-log.ts";
import { createLiveClients } from "./live/clients.ts";
import { createLiveSockets } from "./live/websocket.ts";

/** A snapshot frame must fit even when it is large; events stop at `HIGH_WATER_BYTES`, far below. */
const MAX_BACKPRESSURE_BYTES = 8_388_608;

export interface HttpServerOptions {
  readonly system: System;
  /** A loopback address: there is no authentication but `token`. */
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  readonly kind: "auto" | HttpHostKind;
  readonly log: HttpLog;
  readonly token?: string;
}

export interface HttpServer {
  readonly kind: HttpHostKind;
  readonly port: number;
  readonly url: string;
  /** Ends live streams, lets requests finish within the host's limit. Idempotent. */
  close(): Promise<void>;
}

export async function startHttpServer(options: HttpServerOptions): Promise<HttpServer> {
  const { system, log, token } = options;
  const live = createLiveClients(system, log);
  const app = createApp({ system, log, live, ...(token === undefined ? {} : { token }) });
  const host = await openHttpHost({
    kind: options.kind,
    host: options.host,
    port: options.port,
    fetch: (request) => app.fetch(request),
    websocket: createLiveSockets(live, token),
    limits: { maxBackpressureBytes: MAX_BACKPRESSURE_BYTES },
    onError: (error) => {
      log.error("http host failed", {
        error: error instanceof Error ? error.stack : String(error),
      });
    },
  });
  return {
    kind: host.kind,
    port: host.port,
    url: host.url,
    close: async () => {
      live.close();
      await host.close();
    },
  };
}
