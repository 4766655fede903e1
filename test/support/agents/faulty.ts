/**
 * An agent that goes wrong as told, with tight limits, so that its faults are found soon.
 *
 * @module
 */

import { z } from "zod";
import { capability, defineAgent } from "../../../actors/define-agent.ts";

const nothing = z.object({});
const faults = [
  "spin",
  "wait-for-ever",
  "buffers",
  "overflow",
  "exit",
  "rejection",
  "null",
] as const;

function fail(how: (typeof faults)[number]): void {
  switch (how) {
    case "spin":
      for (;;) Math.sqrt(2);
    case "wait-for-ever":
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
      return;
    case "buffers": {
      const kept: Buffer[] = [];
      setInterval(() => {
        if (kept.length < 6) kept.push(Buffer.alloc(16 * 1_048_576, 1));
      }, 20);
      return;
    }
    case "overflow":
      fail("overflow");
      fail("overflow");
      return;
    case "exit":
      process.exit(0);
      break;
    case "rejection":
      void Promise.reject(new Error("nobody awaited this"));
      return;
    case "null":
      throw null;
  }
}

export const faulty = defineAgent({
  name: "FAULTY",
  description: "Goes wrong as told.",
  concurrency: 2,
  limits: { unresponsiveMs: 1_000, bufferMb: 64 },
  capabilities: {
    fault: capability({
      description: "Takes its thread along.",
      input: z.object({ how: z.enum(faults) }),
      output: nothing,
      connections: 0,
      run: (_ctx, { how }) => {
        setTimeout(() => fail(how), 0);
        return new Promise(() => undefined);
      },
    }),
    echo: capability({
      description: "Returns its text.",
      input: z.object({ text: z.string() }),
      output: z.object({ text: z.string() }),
      connections: 0,
      run: async (_ctx, { text }) => ({ text }),
    }),
    hang: capability({
      description: "Awaits what never comes; ends when it is aborted.",
      input: nothing,
      output: nothing,
      connections: 0,
      progressTimeoutMs: 500,
      run: ({ signal }) =>
        new Promise((_, reject) => {
          signal.addEventListener("abort", () => reject(signal.reason), { once: true });
        }),
    }),
    toil: capability({
      description: "Works for three seconds without letting the loop turn, and says so.",
      input: nothing,
      output: z.object({ beats: z.number() }),
      connections: 0,
      progressTimeoutMs: 500,
      run: async (ctx) => {
        let beats = 0;
        for (const end = performance.now() + 3_000; performance.now() < end; beats += 1) {
          for (const step = performance.now() + 50; performance.now() < step; ) Math.sqrt(beats);
          ctx.heartbeat({ done: beats });
        }
        return { beats };
      },
    }),
  },
});
