/**
 * One agent for each isolation tier, all with the same actions.
 *
 * @module
 */

import { readFile } from "node:fs/promises";
import { z } from "zod";
import { type AgentIsolation, capability, defineAgent } from "../../../actors/define-agent.ts";
import { AgentError } from "../../../machines/error-code.ts";

function isolated(name: string, isolation: AgentIsolation) {
  return defineAgent({
    name,
    isolation,
    concurrency: 2,
    resources: { cpu: 0.1, memoryMb: 128 },
    capabilities: {
      where: capability({
        description: "Tells the process and the runtime that it runs in.",
        input: z.object({ text: z.string() }),
        output: z.object({ text: z.string(), pid: z.number(), runtime: z.string() }),
        connections: 0,
        run: async (ctx, { text }) => {
          ctx.heartbeat({ done: 1, total: 1 });
          const { pid, versions } = (await import("node:process")).default;
          return { text, pid, runtime: versions["deno"] === undefined ? "node" : "deno" };
        },
      }),
      fail: capability({
        description: "Throws an error with a code and a cause.",
        input: z.object({}),
        output: z.object({}),
        connections: 0,
        run: async () => {
          const cause = new TypeError("the root of it");
          throw new AgentError("PROBE_FAILED", "Cannot probe: told to fail", { cause });
        },
      }),
      trespass: capability({
        description: "Reads a file that it was not granted.",
        input: z.object({}),
        output: z.object({}),
        connections: 0,
        run: async () => {
          await readFile("/etc/hostname");
          return {};
        },
      }),
      spin: capability({
        description: "Never gives its loop back.",
        input: z.object({}),
        output: z.object({}),
        connections: 0,
        run: async () => {
          for (;;) Math.sqrt(2);
        },
      }),
      wait: capability({
        description: "Waits until it is aborted.",
        input: z.object({}),
        output: z.object({}),
        connections: 0,
        run: (ctx) =>
          new Promise((_, reject) => {
            ctx.signal.addEventListener("abort", () => reject(ctx.signal.reason as Error));
          }),
      }),
    },
  });
}

export const inThread = isolated("IN-THREAD", "thread");
export const inProcess = isolated("IN-PROCESS", "process");
export const inDeno = isolated("IN-DENO", "deno");
