/**
 * Many small agents of one kind, for benches and long runs: each echoes a number, or does as told.
 *
 * @module
 */

import { z } from "zod";
import { type AgentDefinition, capability, defineAgent } from "../../../actors/define-agent.ts";

/** Of all of them: 200 agents in one module are no reason to build 200 equal schemas. */
const number = z.object({ n: z.number() });
const nothing = z.object({});

function member(name: string): AgentDefinition {
  return defineAgent({
    name,
    category: "test",
    description: "One of many.",
    skills: [],
    concurrency: 8,
    resources: { cpu: 0.01, memoryMb: 64 },
    permissions: {},
    dependsOn: [],
    capabilities: {
      echo: capability({
        description: "Returns its number.",
        input: number,
        output: number,
        connections: 0,
        run: async (_ctx, { n }) => ({ n }),
      }),
      wait: capability({
        description: "Tells that it runs, then waits until it is aborted.",
        input: nothing,
        output: nothing,
        connections: 0,
        run: (ctx) =>
          new Promise((_resolve, reject) => {
            ctx.heartbeat();
            ctx.signal.addEventListener("abort", () => reject(ctx.signal.reason));
          }),
      }),
      spin: capability({
        description: "Blocks its loop for ever.",
        input: nothing,
        output: nothing,
        connections: 0,
        run: async () => {
          for (;;) Math.sqrt(2);
        },
      }),
    },
  });
}

/** `CROWD-001` to `CROWD-200`. */
export const crowd: readonly AgentDefinition[] = Array.from({ length: 200 }, (_, index) =>
  member(`CROWD-${String(index + 1).padStart(3, "0")}`),
);
