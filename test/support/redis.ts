/**
 * A Redis server of its own for a test: empty, without persistence, on a free port of loopback.
 *
 * @module
 */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { Redis } from "ioredis";

export interface TestRedis extends AsyncDisposable {
  readonly url: string;
  /** Of the process that runs now. */
  readonly pid: number;
  stop(): Promise<void>;
  /** As a crash does: SIGKILL. */
  kill(): Promise<void>;
  /** Starts it again on the same port, empty. */
  restart(): Promise<void>;
}

/** Resolves when the server answers. */
export async function startRedis(): Promise<TestRedis> {
  const port = await freePort();
  let server = await launch(port);
  async function end(signal: NodeJS.Signals): Promise<void> {
    if (server.exitCode !== null || server.signalCode !== null) return;
    const exited = once(server, "exit");
    server.kill(signal);
    await exited;
  }
  return {
    url: urlOf(port),
    get pid() {
      return server.pid ?? 0;
    },
    stop: () => end("SIGTERM"),
    kill: () => end("SIGKILL"),
    restart: async () => {
      await end("SIGKILL");
      server = await launch(port);
    },
    [Symbol.asyncDispose]: () => end("SIGKILL"),
  };
}

function urlOf(port: number): string {
  return `redis://127.0.0.1:${port}`;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  if (address === null || typeof address === "string") throw new Error("Cannot find a free port");
  return address.port;
}

async function launch(port: number): Promise<ChildProcess> {
  const args = ["--port", String(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
  const server = spawn("redis-server", [...args, "--dir", tmpdir()], { stdio: "ignore" });
  const redis = new Redis(urlOf(port), { retryStrategy: (times) => (times > 200 ? null : 50) });
  redis.on("error", () => undefined);
  try {
    await redis.ping();
  } finally {
    redis.disconnect();
  }
  return server;
}
