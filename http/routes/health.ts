/**
 * Liveness, readiness and the Prometheus figures: routes without a prefix, for machines.
 *
 * @module
 */

import { z } from "zod";
import type { System } from "../../runtime/system.ts";
import type { LiveClients } from "../live/clients.ts";
import { prometheusText } from "../prometheus.ts";
import { answers, defineRoute, type Route } from "../route.ts";

const PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8";

export function healthRoutes(system: System, live: LiveClients): readonly Route[] {
  const readiness = z.object({ ready: z.boolean(), reasons: z.array(z.string()) });
  return [
    defineRoute({
      method: "GET",
      path: "/healthz",
      tag: "Health",
      summary: "The process answers",
      responses: [answers(200, "Alive", z.object({ status: z.literal("ok") }))],
      handle: ({ context }) => context.json({ status: "ok" }),
    }),
    defineRoute({
      method: "GET",
      path: "/readyz",
      tag: "Health",
      summary: "The node takes work; with the reasons when it does not",
      responses: [answers(200, "Ready", readiness), answers(503, "Not ready", readiness)],
      handle: ({ context }) => {
        const { ready, reasons } = system.readiness();
        return context.json({ ready, reasons }, ready ? 200 : 503);
      },
    }),
    defineRoute({
      method: "GET",
      path: "/metrics",
      tag: "Health",
      summary: "Figures in the Prometheus text format",
      responses: [answers(200, "Figures", undefined, PROMETHEUS)],
      handle: async ({ context }) => {
        const text = prometheusText({
          status: await system.status(),
          metrics: system.metrics(),
          agents: system.agents.list(),
          liveClients: live.clients,
          lastEventSeq: system.live.lastSeq(),
        });
        return context.body(text, 200, { "content-type": PROMETHEUS });
      },
    }),
  ];
}
