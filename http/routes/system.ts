/**
 * The system as a whole: status, the seed's figures, the supervision tree.
 *
 * @module
 */

import type { System } from "../../runtime/system.ts";
import { answers, defineRoute, type Route } from "../route.ts";
import { systemMetrics, systemStatus, treeView } from "../schemas.ts";

export function systemRoutes(system: System): readonly Route[] {
  return [
    defineRoute({
      method: "GET",
      path: "/api/v1/system/status",
      tag: "System",
      summary: "State of the node, its parts and its counters",
      responses: [answers(200, "Status", systemStatus)],
      handle: async ({ context }) => context.json(await system.status()),
    }),
    defineRoute({
      method: "GET",
      path: "/api/v1/system/metrics",
      tag: "System",
      summary: "Throughput, durations, success rate and use of resources",
      responses: [answers(200, "Figures", systemMetrics)],
      handle: ({ context }) => context.json(system.metrics()),
    }),
    defineRoute({
      method: "GET",
      path: "/api/v1/system/tree",
      tag: "System",
      summary: "The supervision tree",
      responses: [answers(200, "Root of the tree", treeView)],
      handle: async ({ context }) => context.json((await system.status()).tree),
    }),
  ];
}
