/**
 * Starts everything that one node is: database, agents, workflow host, in one supervision tree.
 *
 *     root (one_for_one)
 *       ├─ infrastructure (one_for_one) ── postgres · database
 *       ├─ agents (one_for_one, parallel) ── one supervisor and thread per agent
 *       └─ workflows ── engine · queue · dispatcher · task runner
 *
 * @module
 */

import { randomUUID } from "node:crypto";
import { availableParallelism, totalmem } from "node:os";
import { fileURLToPath } from "node:url";
import { agentDefinitions } from "../actors/agents/registry.ts";
import type { BusPort, Clock, Log } from "../actors/ports.ts";
import { startSupervisor } from "../actors/tree/supervisor.ts";
import { demo } from "../actors/workflows/demo.ts";
import { phase1 } from "../actors/workflows/phase1/phase1.ts";
import { type DatabaseTarget, openSql } from "../db/client.ts";
import { openDatabase } from "../db/database.ts";
import { migrateDatabase } from "../db/migrate.ts";
import { createViewRepo } from "../db/view-repo.ts";
import { AgentError } from "../machines/error-code.ts";
import { totalResources } from "../machines/resource-budget.ts";
import { acquireDataDirLock } from "../native/data-dir-lock.ts";
import { createBus } from "./bus/bus.ts";
import { createCoordination } from "./bus/coordination.ts";
import type { Config } from "./config.ts";
import { agentConnections, createConnectionBudget } from "./connection-budget.ts";
import type { FatalReason } from "./engine/engine.ts";
import { createLiveHub } from "./live-hub.ts";
import { firstThen, startPostgres, untilStopped } from "./node-children.ts";
import { readNodeId } from "./node-id.ts";
import { createNodeSystem } from "./node-system.ts";
import { connectionsOf, startNodeWorkflows } from "./node-workflows.ts";
import type { QueueBackend } from "./queue/job-queue.ts";
import { ensureSampleArchive } from "./sample-archive.ts";
import type { System, SystemStatus } from "./system.ts";
import { viewOfAgent } from "./views.ts";
import { startAgents } from "./worker/agent/agent-pool.ts";

const migrationsFolder = fileURLToPath(new URL("../db/migrations", import.meta.url));
const coordinationConnections = 1;

export interface NodeOptions {
  readonly config: Config;
  readonly log: Log;
  /** Aborted when the start is no longer wanted. */
  readonly signal?: AbortSignal;
}

export interface RunningNode {
  readonly system: System;
  /** Resolves when the node cannot go on; it must then be stopped. */
  readonly lost: Promise<Error>;
  /** Tells other processes (`--status`), and the status itself, where the API answers. */
  announce(server: { readonly url: string; readonly kind: "uws" | "node" }): Promise<void>;
  /** Tasks in hand are aborted and repeated by the next start; safe to call twice. */
  stop(): Promise<void>;
}

type Cleanup = () => Promise<void> | void;

/**
 * @throws {Error} One clear line about what is missing or wrong; what had started is stopped again.
 */
export async function startNode(options: NodeOptions): Promise<RunningNode> {
  const cleanups: Cleanup[] = [];
  const cleanUp = async (): Promise<void> => {
    for (let next = cleanups.pop(); next !== undefined; next = cleanups.pop()) await next();
  };
  try {
    return await start(options, cleanups, cleanUp);
  } catch (error) {
    await cleanUp();
    throw error;
  }
}

async function start(
  options: NodeOptions,
  cleanups: Cleanup[],
  cleanUp: () => Promise<void>,
): Promise<RunningNode> {
  const { config, log, signal } = options;
  const clock: Clock = { now: () => new Date(), monotonicMs: () => performance.now() };
  const startedAt = clock.now();
  const lock = await acquireDataDirLock(config.dataDir);
  cleanups.push(() => lock.release());
  const nodeId = await readNodeId(config.dataDir);
  let lose: (error: Error) => void = () => undefined;
  const lost = new Promise<Error>((resolve) => {
    lose = resolve;
  });
  const live = createLiveHub(randomUUID(), clock);

  const postgres =
    config.databaseUrl === undefined ? await startPostgres(config.dataDir, log) : undefined;
  if (postgres !== undefined) cleanups.push(() => postgres.server.stop());
  signal?.throwIfAborted();
  const target: DatabaseTarget = postgres?.server.target ?? {
    type: "url",
    url: config.databaseUrl ?? "",
  };
  const databaseVersion = await migrate(target);
  const database = openDatabase(target);
  cleanups.push(() => database.close());
  const coordinationSql = openSql(target, {
    name: "spectra-coordination",
    max: coordinationConnections,
    idleTimeoutMs: 5_000,
  });
  cleanups.push(() => coordinationSql.end({ timeout: 2 }));

  const definitions = new Map(agentDefinitions.map((definition) => [definition.name, definition]));
  const budget = createConnectionBudget(agentConnections);
  const bus: BusPort = createBus({
    callAgent: async (agent, action, input, timeoutMs) => {
      const call = {
        workflowId: "bus",
        taskKey: randomUUID(),
        agent,
        action,
        attempt: 1,
        input,
        lastCheckpoint: undefined,
      };
      const need = connectionsOf(definitions, agent, action);
      const outcome = await budget.hold(need, () =>
        agents.run(call, {
          signal: AbortSignal.timeout(timeoutMs),
          graceMs: 1_000,
          onHeartbeat: () => undefined,
          onCheckpoint: async () => {
            throw new AgentError(
              "NOT_A_TASK",
              "Cannot checkpoint: a request over the bus is not a task",
            );
          },
          onTaskTimes: async () => {
            throw new AgentError(
              "NOT_A_TASK",
              "Cannot read times of tasks: a request over the bus belongs to no run",
            );
          },
        }),
      );
      if (outcome.type === "succeeded") return outcome.output;
      throw new AgentError(outcome.error.code, outcome.error.message, {
        retryable: outcome.error.retryable,
      });
    },
    onPublish: (topic, body) => live.emit(["events"], { type: "message", topic, body }),
  });
  const coordination = createCoordination({
    sql: coordinationSql,
    bus,
    nodeId,
    budget: { cpu: availableParallelism(), memoryMb: totalmem() / 1024 / 1024 },
    nominal: totalResources(agentDefinitions.map(({ resources }) => resources)),
  });
  signal?.throwIfAborted();
  const agents = await startAgents({
    definitions: agentDefinitions,
    database: target,
    host: {
      dataDir: config.dataDir,
      embeddedDatabase: postgres !== undefined,
      redisUrl: config.redisUrl,
    },
    ports: { bus, coordination, log },
    clock,
    onChange: (state) => {
      const definition = definitions.get(state.name);
      if (definition !== undefined) {
        live.emit(["events", `agent:${state.name}`], {
          type: "agent",
          agent: viewOfAgent(definition, state),
        });
      }
    },
  });
  cleanups.push(() => agents.stop());
  await agents.allHealthy;
  signal?.throwIfAborted();
  const queue: QueueBackend =
    config.redisUrl === undefined
      ? { type: "postgres", target }
      : { type: "redis", url: config.redisUrl };
  const workflows = await startNodeWorkflows({
    db: database.db,
    nodeId,
    queue,
    clock,
    log,
    live,
    agents,
    budget,
    definitions,
    registered: new Map([phase1, demo].map((definition) => [definition.id, definition])),
    onFatal: (reason, cause) => lose(new Error(fatalMessage(reason, config), { cause })),
    onFinished: (workflowId) => {
      // A reservation that this misses ends with its lease.
      coordination.releaseHolder(workflowId).catch((error: unknown) => {
        log.warn("cannot release what a run has reserved", { workflowId, error: String(error) });
      });
    },
    defaultInput: async (workflow, input) => {
      if (workflow !== phase1.id || "archive" in input) return input;
      // Who forgets the flag means the archive of the last time, not the sample on top of it.
      const [last] = await createViewRepo(database.db).runs({ workflow, limit: 1 });
      const known = (last?.input as { archive?: string } | undefined)?.archive;
      const archive = config.archive ?? known ?? (await ensureSampleArchive(config.dataDir));
      return { ...input, archive };
    },
  });
  cleanups.push(() => workflows.stop());

  const root = await startSupervisor({
    id: "root",
    strategy: "one_for_one",
    clock,
    log,
    children: [
      {
        id: "infrastructure",
        type: "supervisor",
        start: () =>
          startSupervisor({
            id: "infrastructure",
            strategy: "one_for_one",
            clock,
            log,
            children: [
              ...(postgres === undefined
                ? []
                : [
                    {
                      id: "postgres",
                      shutdownMs: 25_000,
                      start: firstThen(
                        postgres.child,
                        async () => (await startPostgres(config.dataDir, log)).child,
                      ),
                    },
                  ]),
              { id: "database", start: async () => untilStopped(() => database.close()) },
            ],
          }),
      },
      { id: "agents", type: "supervisor", restart: "temporary", start: async () => agents },
      {
        id: "workflows",
        shutdownMs: 15_000,
        restart: "temporary",
        start: async () => untilStopped(() => workflows.stop()),
      },
    ],
  });
  // From here on the tree stops its own children; only what is outside of it is left.
  cleanups.length = 0;
  cleanups.push(
    () => lock.release(),
    () => coordinationSql.end({ timeout: 2 }),
    () => root.stop(),
  );
  let stopping: Promise<void> | undefined;
  void root.exited.then((exit) => {
    // Nobody is told of a loss that is the stop itself.
    if (stopping !== undefined) return;
    const cause = exit.type === "abnormal" ? exit.error.message : "the root supervisor ended";
    lose(new Error(`Cannot go on: ${cause}`));
  });
  let server: SystemStatus["server"] = null;
  return {
    system: createNodeSystem({
      nodeId,
      startedAt,
      database: {
        kind: postgres === undefined ? "external" : "embedded",
        version: databaseVersion,
      },
      queue,
      live,
      root,
      agents,
      workflows,
      definitions,
      log,
      isStopping: () => stopping !== undefined,
      server: () => server,
    }),
    lost,
    announce: async ({ url, kind }) => {
      server = { kind };
      await lock.update({ url });
    },
    stop: () => {
      stopping ??= cleanUp();
      return stopping;
    },
  };
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

function fatalMessage(reason: FatalReason, { dataDir, databaseUrl }: Config): string {
  const again = "start again, and the run continues where it stopped";
  switch (reason) {
    case "disk-full": {
      const where = databaseUrl === undefined ? `of ${dataDir}` : "of the database server";
      return `Cannot go on: the disk ${where} is full; free some space there and ${again}`;
    }
    case "stuck":
      return `Cannot go on: the database has not answered for two minutes; look at it and ${again}`;
  }
}
