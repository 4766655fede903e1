/**
 * Bench of the queue: how long a killed process's job waits for its next taker.
 *
 * @module
 */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { fileURLToPath } from "node:url";
import { openJobQueue, type QueueBackend } from "../../runtime/queue/job-queue.ts";
import type { Figure } from "./figure.ts";
import { startBenchServer } from "./server.ts";

export const silent = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};

export async function benchQueue(runs: number): Promise<Figure[]> {
  await using server = await startBenchServer();
  const figures = [
    await benchTakeover(
      "PostgreSQL",
      { type: "postgres", target: { type: "url", url: server.url } },
      runs,
    ),
  ];
  const redis = await startRedis();
  if (redis === undefined) return figures;
  figures.push(await benchTakeover("Redis", { type: "redis", url: redis.url }, runs));
  redis.stop();
  return figures;
}

async function benchTakeover(name: string, backend: QueueBackend, runs: number): Promise<Figure> {
  const seconds: number[] = [];
  for (let run = 0; run < runs; run += 1)
    seconds.push(await takeoverSeconds(backend, `bench-${process.pid}-${run}`));
  return {
    name: `job of a killed process taken over, ${name}`,
    values: seconds,
    unit: "s",
    goal: { atMost: 5 },
  };
}

/** From SIGKILL of the process that holds the job to the moment that another has it. */
async function takeoverSeconds(backend: QueueBackend, name: string): Promise<number> {
  const entry = fileURLToPath(new URL("./queue-child.js", import.meta.url));
  const child = spawn(process.execPath, [entry, name, JSON.stringify(backend)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  await once(child.stdout, "data");
  let taken: () => void = () => undefined;
  const isTaken = new Promise<void>((resolve) => {
    taken = resolve;
  });
  const queue = await openJobQueue({
    name,
    backend,
    concurrency: 1,
    log: silent,
    process: async () => taken(),
  });
  const startMs = performance.now();
  child.kill("SIGKILL");
  await isTaken;
  const seconds = (performance.now() - startMs) / 1_000;
  await queue.close();
  return seconds;
}

/** A Redis of its own on a free port, or undefined where none is installed. */
export async function startRedis(): Promise<{ readonly url: string; stop(): void } | undefined> {
  const port = await freePort();
  const child = spawn(
    "redis-server",
    ["--port", String(port), "--save", "", "--bind", "127.0.0.1"],
    {
      stdio: ["ignore", "pipe", "ignore"],
    },
  );
  const started = new Promise<boolean>((resolve) => {
    child.on("error", () => resolve(false));
    child.stdout.on("data", (chunk: Buffer) => {
      if (chunk.includes("Ready to accept connections")) resolve(true);
    });
  });
  if (!(await started)) return undefined;
  return { url: `redis://127.0.0.1:${port}`, stop: () => child.kill() };
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === "object" && address !== null ? address.port : 0;
}
