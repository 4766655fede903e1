/**
 * Agents for the tests of the worker runtime: one that does as told, one that cannot start,
 * and one that dies soon after each start.
 *
 * @module
 */

import { z } from "zod";
import { capability, defineAgent } from "../../../actors/define-agent.ts";
import { AgentError, type Json } from "../../../machines/error-code.ts";

const nothing = z.object({});
const anything = z.unknown();

/** Runs on its own loop for ever: nothing short of the end of the thread stops it. */
function spin(): never {
  for (;;) Math.sqrt(2);
}

export const probe = defineAgent({
  name: "PROBE",
  category: "test",
  description: "Does what a test asks for.",
  skills: [],
  concurrency: 4,
  resources: { cpu: 0.1, memoryMb: 64 },
  permissions: { env: ["PROBE_ALLOWED"] },
  dependsOn: [],
  capabilities: {
    echo: capability({
      description: "Returns its text, and what it knows of its attempt.",
      input: z.object({ text: z.string().min(1), times: z.number().int().default(1) }),
      output: z.object({ text: z.string(), key: z.string(), thread: z.string() }),
      connections: 0,
      run: async (ctx, { text, times }) => {
        const { threadName } = (await import("node:worker_threads")) as { threadName?: string };
        return { text: text.repeat(times), key: ctx.idempotencyKey, thread: threadName ?? "" };
      },
    }),
    fail: capability({
      description: "Throws as told.",
      input: z.object({ how: z.enum(["agent-error", "type-error", "null"]) }),
      output: nothing,
      connections: 0,
      run: async (_ctx, { how }) => {
        if (how === "null") throw null;
        const cause = new TypeError("the root of it");
        if (how === "type-error") throw cause;
        throw new AgentError("PROBE_FAILED", "Cannot probe: told to fail", {
          retryable: true,
          cause,
        });
      },
    }),
    die: capability({
      description: "Ends its own thread as told, in mid-call.",
      input: z.object({
        how: z.enum(["exit", "exit-0", "uncaught", "rejection", "null", "memory"]),
      }),
      output: nothing,
      connections: 0,
      run: async (_ctx, { how }) => {
        switch (how) {
          case "exit":
            process.exit(3);
            break;
          case "exit-0":
            process.exit(0);
            break;
          case "uncaught":
            setTimeout(() => {
              throw new Error("nobody caught this");
            }, 0);
            break;
          case "rejection":
            void Promise.reject(new Error("nobody awaited this"));
            break;
          case "null":
            setTimeout(() => {
              throw null;
            }, 0);
            break;
          case "memory": {
            const kept: number[][] = [];
            for (;;) kept.push(Array.from({ length: 1_000_000 }, () => kept.length + 0.5));
          }
        }
        return new Promise(() => undefined);
      },
    }),
    wait: capability({
      description: "Ends when its signal is aborted; with `spin`, never.",
      input: z.object({ spin: z.boolean().default(false) }),
      output: nothing,
      connections: 0,
      run: (ctx, input) => {
        ctx.heartbeat({ message: "started" });
        if (input.spin) setTimeout(spin, 50);
        return new Promise((_, reject) => {
          if (input.spin) return;
          ctx.signal.addEventListener("abort", () => reject(ctx.signal.reason), { once: true });
        });
      },
    }),
    give: capability({
      description: "Returns what is not allowed as an output.",
      input: z.object({ what: z.enum(["wrong-shape", "map", "nan", "circular", "large"]) }),
      output: z.object({ value: anything }),
      connections: 0,
      run: async (_ctx, { what }) => {
        const circular: Record<string, unknown> = {};
        circular["self"] = circular;
        switch (what) {
          case "wrong-shape":
            return null as unknown as { value: unknown };
          case "map":
            return { value: new Map() };
          case "nan":
            return { value: { deep: [Number.NaN] } };
          case "circular":
            return { value: circular };
          case "large":
            return { value: "x".repeat(1_048_577) };
        }
      },
    }),
    report: capability({
      description: "Heartbeats many times, then checkpoints.",
      input: z.object({ beats: z.number(), checkpointBytes: z.number() }),
      output: z.object({ last: anything }),
      connections: 0,
      run: async (ctx, { beats, checkpointBytes }) => {
        for (let done = 1; done <= beats; done += 1) ctx.heartbeat({ done, total: beats });
        await ctx.checkpoint({ text: "x".repeat(checkpointBytes) });
        ctx.log.info("probe.reported", { beats });
        return { last: ctx.lastCheckpoint ?? null };
      },
    }),
    times: capability({
      description: "Tells when the tasks of its run began, in ISO form.",
      input: z.object({}),
      output: z.object({ times: anything }),
      connections: 0,
      run: async (ctx) => {
        const times = await ctx.taskTimes();
        return {
          times: times.map(({ key, startedAt, finishedAt, attempt }) => ({
            key,
            startedAt: startedAt?.toISOString() ?? null,
            finishedAt: finishedAt?.toISOString() ?? null,
            attempt,
          })),
        };
      },
    }),
    query: capability({
      description: "Runs SQL; with `fail`, throws after it.",
      input: z.object({ fail: z.boolean().default(false), sleepSeconds: z.number().default(0) }),
      output: z.object({ pid: z.number() }),
      connections: 2,
      run: async (ctx, { fail, sleepSeconds }) => {
        const [row] = await ctx.sql<{ pid: number }[]>`select pg_backend_pid() as pid`;
        ctx.heartbeat({ message: "connected" });
        if (sleepSeconds > 0) await ctx.sql`select pg_sleep(${sleepSeconds})`;
        if (fail || row === undefined)
          throw new AgentError("PROBE_FAILED", "Cannot query: told to");
        return { pid: row.pid };
      },
      compensate: async (ctx) => {
        await ctx.sql`create table if not exists probe_undone (at timestamptz)`;
      },
    }),
    query_without: capability({
      description: "Uses sql though it declares no connection.",
      input: nothing,
      output: nothing,
      connections: 0,
      run: async (ctx) => {
        await ctx.sql`select 1`;
        return {};
      },
    }),
    ask: capability({
      description: "Asks another agent over the bus.",
      input: z.object({ agent: z.string() }),
      output: z.object({ answer: anything }),
      connections: 0,
      run: async (ctx, { agent }) => {
        await ctx.bus.publish("probe.asked", { agent });
        const answer: Json = await ctx.bus.request(agent, "answer", { a: 1 }, { timeoutMs: 5_000 });
        return { answer };
      },
    }),
    look: capability({
      description: "Says what its thread can see.",
      input: nothing,
      output: z.object({ env: z.array(z.string()), heapLimitMb: z.number() }),
      connections: 0,
      run: async () => {
        const { getHeapStatistics } = await import("node:v8");
        const heapLimitMb = getHeapStatistics().heap_size_limit / 1_048_576;
        console.log("printed by the probe");
        return { env: Object.keys(process.env), heapLimitMb };
      },
    }),
  },
});

export const other = defineAgent({ ...probe, name: "OTHER" });
