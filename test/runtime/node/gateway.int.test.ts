/** The HTTP server as a child: it may lose its socket and comes back on the same port. */

import { expect, test } from "vitest";
import { startSupervisor } from "../../../actors/tree/supervisor.ts";
import { type HttpHostKind, openHttpHost } from "../../../native/http-host.ts";
import { createNodeParts } from "../../../runtime/node/context.ts";
import { gatewayChild, type OpenedGateway } from "../../../runtime/node/gateway.ts";
import type { System } from "../../../runtime/system.ts";
import { quietLog } from "../../support/nursery.ts";
import { soon } from "../../support/soon.ts";

test.each<HttpHostKind>(["node", "uws"])(
  "gateway on %s: a lost socket is noticed, and the server starts again on its port",
  async (kind) => {
    const opened: OpenedGateway[] = [];
    const told: string[] = [];
    const clock = { now: () => new Date(), monotonicMs: () => performance.now() };
    const parts = createNodeParts();
    const context = { config: { host: "127.0.0.1", port: 0 }, parts };
    const supervisor = await startSupervisor({
      id: "root",
      strategy: "rest_for_one",
      clock,
      log: quietLog,
      children: [
        gatewayChild(context, {
          system: {} as System,
          open: async ({ host, port }) => {
            const fetch = () => new Response(`number ${opened.length}`);
            const server = await openHttpHost({ kind, host, port, fetch });
            opened.push(server);
            return server;
          },
          lock: { update: async ({ url }) => void told.push(url ?? "") },
          probe: { everyMs: 20, failures: 3 },
        }),
      ],
    });
    const { url } = parts.gateway.current();
    expect(await (await fetch(url)).text()).toBe("number 1");
    // Behind the supervisor's back: what a lost socket looks like from outside.
    await opened[0]?.close();
    await soon(() => opened.length).toBe(2);
    await soon(async () => (await fetch(url)).text()).toBe("number 2");
    expect(parts.gateway.current().url).toBe(url);
    expect(told).toEqual([url, url]);
    expect(supervisor.view().children).toMatchObject([
      { id: "gateway", status: "running", restarts: 1, lastError: { code: "GATEWAY_GONE" } },
    ]);
    await supervisor.stop();
    await expect(fetch(url)).rejects.toThrow();
  },
  60_000,
);
