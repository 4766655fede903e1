/**
 * The lowest part of a node: the database server, where it is ours, and the connections to it.
 *
 *     infrastructure (one_for_one) ── postgres (child process) · database (connection pool)
 *
 * A server that dies is started again in place: the pool and everything above it reconnect by
 * themselves. Only a server that keeps dying takes the parts above along.
 *
 * @module
 */

import { fileURLToPath } from "node:url";
import type { ChildSpec, RunningChild } from "../../actors/tree/child-spec.ts";
import { startSupervisor } from "../../actors/tree/supervisor.ts";
import type { DatabaseTarget } from "../../db/client.ts";
import { openDatabase } from "../../db/database.ts";
import { migrateDatabase } from "../../db/migrate.ts";
import { AgentError } from "../../machines/error-code.ts";
import { startEmbeddedPostgres } from "../../native/embedded-postgres.ts";
import { untilStopped } from "../node-children.ts";
import type { NodeContext } from "./context.ts";

const migrationsFolder = fileURLToPath(new URL("../../db/migrations", import.meta.url));
const postgresShutdownMs = 25_000;
const infrastructureShutdownMs = 40_000;
/** A database that does not answer must not hold up the stop. */
const flushLimitMs = 1_000;

export function infrastructureChild(node: NodeContext): ChildSpec {
  const postgres: ChildSpec = {
    id: "postgres",
    shutdownMs: postgresShutdownMs,
    start: () => startPostgres(node),
  };
  const database: ChildSpec = { id: "database", start: () => startDatabase(node) };
  return {
    id: "infrastructure",
    type: "supervisor",
    shutdownMs: infrastructureShutdownMs,
    start: (place) =>
      startSupervisor({
        ...place,
        id: "infrastructure",
        strategy: "one_for_one",
        clock: node.clock,
        log: node.log,
        children: node.config.databaseUrl === undefined ? [postgres, database] : [database],
      }),
  };
}

/** The embedded server as a child that exits abnormally when the server ends by itself. */
async function startPostgres({ config, log, parts }: NodeContext): Promise<RunningChild> {
  const server = await startEmbeddedPostgres({ dataDir: config.dataDir, log });
  parts.server.set(server.target);
  const exited = server.exited.then(({ code, expected, logTail }) => {
    if (expected) return { type: "normal" } as const;
    const last = logTail.trim().split("\n").at(-1) ?? "";
    return {
      type: "abnormal",
      error: {
        name: "PostgresExit",
        code: "POSTGRES_EXITED",
        message: `Cannot keep PostgreSQL running: it ended with code ${code}: ${last}`,
        retryable: true,
      },
    } as const;
  });
  return { exited, stop: () => server.stop(), kill: () => server.kill() };
}

async function startDatabase({
  config,
  incidents,
  parts,
  tree,
}: NodeContext): Promise<RunningChild> {
  const target: DatabaseTarget =
    config.databaseUrl === undefined
      ? parts.server.current()
      : { type: "url", url: config.databaseUrl };
  const version = await migrate(target);
  const database = openDatabase(target);
  parts.database.set({ ...database, target, version });
  return untilStopped(async () => {
    // The supervisors above have forgotten their restarts; that is to be stored while it can be.
    await settledWithin(Promise.all([tree.memory.flush(), incidents.flush()]), flushLimitMs);
    await database.close();
  });
}

async function migrate(target: DatabaseTarget): Promise<string> {
  try {
    return await migrateDatabase(target, migrationsFolder);
  } catch (error) {
    const { code, message } = error as { code?: string; message?: string };
    if (target.type === "socket" || code === "DATABASE_NEWER" || code === "DATABASE_TOO_OLD")
      throw error;
    const { host, pathname } = new URL(target.url);
    throw new AgentError(
      "DATABASE_UNREACHABLE",
      `Cannot use the database ${host}${pathname} of DATABASE_URL: ${message || code}; correct it, or unset DATABASE_URL to use the embedded server`,
      { cause: error },
    );
  }
}

function settledWithin(work: Promise<unknown>, limitMs: number): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, limitMs);
    void work.finally(() => {
      clearTimeout(timer);
      resolve();
    });
  });
}
