/**
 * The HTTP server of a node as a child of its tree: started last, stopped first, and started again
 * on the same port when it no longer takes connections.
 *
 * @module
 */

import { connect, type Socket } from "node:net";
import type { ChildSpec, RunningChild } from "../../actors/tree/child-spec.ts";
import type { ChildExit } from "../../machines/child-table.ts";
import { createDeferred } from "../../machines/deferred.ts";
import type { DataDirLock } from "../../native/data-dir-lock.ts";
import type { System } from "../system.ts";
import type { NodeContext, NodeGateway } from "./context.ts";

/** What the command line passes in: `runtime/` does not know `http/`. */
export interface OpenedGateway extends NodeGateway {
  /** Ends streams, lets requests finish within the host's limit. Idempotent. */
  close(): Promise<void>;
}

export type OpenGateway = (request: {
  readonly system: System;
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
}) => Promise<OpenedGateway>;

export interface GatewayProbe {
  readonly everyMs: number;
  /** Connections in a row that must be refused before the server counts as gone. */
  readonly failures: number;
}

const defaultProbe: GatewayProbe = { everyMs: 1_000, failures: 3 };

export interface GatewayOptions {
  readonly open: OpenGateway;
  readonly system: System;
  /** Tells other processes where the API answers. */
  readonly lock: Pick<DataDirLock, "update">;
  readonly probe?: GatewayProbe;
}

interface GatewayContext {
  readonly config: Pick<NodeContext["config"], "host" | "port">;
  readonly parts: Pick<NodeContext["parts"], "gateway">;
}

export function gatewayChild(node: GatewayContext, options: GatewayOptions): ChildSpec {
  let { port } = node.config;
  return {
    id: "gateway",
    start: async () => {
      const { host } = node.config;
      const opened = await options.open({ system: options.system, host, port });
      // A port that was free is ours from now on: who knows the address finds it again.
      port = opened.port;
      node.parts.gateway.set(opened);
      await options.lock.update({ url: opened.url });
      return superviseGateway(opened, host, options.probe ?? defaultProbe);
    },
  };
}

/** Neither host tells when its socket is lost, so a connection is tried now and then. */
function superviseGateway(opened: OpenedGateway, host: string, probe: GatewayProbe): RunningChild {
  const exited = createDeferred<ChildExit>();
  let refused = 0;
  let socket: Socket | undefined;
  const probeOnce = (): void => {
    // A busy process may need long for one; only a refusal proves that nobody listens.
    if (socket !== undefined) return;
    socket = connect({ host, port: opened.port });
    socket.once("connect", () => {
      refused = 0;
      socket?.destroy();
    });
    socket.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "ECONNREFUSED") refused += 1;
      if (refused === probe.failures) void end({ type: "abnormal", error: goneError(opened) });
    });
    socket.once("close", () => {
      socket = undefined;
    });
  };
  const timer = setInterval(probeOnce, probe.everyMs).unref();
  const end = async (exit: ChildExit): Promise<void> => {
    clearInterval(timer);
    socket?.destroy();
    await opened.close().finally(() => exited.resolve(exit));
  };
  return { exited: exited.promise, stop: () => end({ type: "normal" }) };
}

function goneError({ url }: OpenedGateway) {
  return {
    name: "GatewayExit",
    code: "GATEWAY_GONE",
    message: `Cannot serve ${url}: it no longer takes connections`,
    retryable: true,
  };
}
