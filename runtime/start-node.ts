/**
 * Starts everything that one node is, as one supervision tree. What a child of the root gives up
 * on takes the children after it along, since each builds on those before it:
 *
 *     root (rest_for_one)
 *       ├─ infrastructure (one_for_one) ── postgres · database
 *       ├─ bus ── requests between agents, coordination
 *       ├─ agents (one_for_one, parallel) ── one supervisor and thread per agent
 *       ├─ folders ── agents and workflows of the user, where folders are named
 *       ├─ monitor
 *       ├─ workflows ── engine · queue · dispatcher · task runner
 *       ├─ schedules ── starts runs at set times
 *       └─ gateway ── HTTP server: started last, stopped first
 *
 * @module
 */

import { randomUUID } from "node:crypto";
import { agentDefinitions } from "../actors/agents/registry.ts";
import type { Clock, Log } from "../actors/ports.ts";
import type { ChildSpec } from "../actors/tree/child-spec.ts";
import { type Supervisor, startSupervisor } from "../actors/tree/supervisor.ts";
import { demo } from "../actors/workflows/demo.ts";
import { phase1 } from "../actors/workflows/phase1/phase1.ts";
import { createIncidentRepo } from "../db/incident-repo.ts";
import { createDeferred } from "../machines/deferred.ts";
import { AgentError } from "../machines/error-code.ts";
import { acquireDataDirLock, type DataDirLock } from "../native/data-dir-lock.ts";
import type { Config } from "./config.ts";
import { agentConnections, createConnectionBudget } from "./connection-budget.ts";
import { createCrashSwitch } from "./engine/crash-points.ts";
import { startInspection } from "./inspection-feed.ts";
import { createLiveHub } from "./live-hub.ts";
import { actorsChild } from "./node/actors.ts";
import { agentsChild, hostFacts } from "./node/agents.ts";
import { busChild } from "./node/bus.ts";
import { createNodeParts, type NodeContext } from "./node/context.ts";
import { foldersChildren } from "./node/folders.ts";
import { gatewayChild, type OpenGateway } from "./node/gateway.ts";
import { infrastructureChild } from "./node/infrastructure.ts";
import { inspectorChildren } from "./node/inspector.ts";
import { monitorChild } from "./node/monitor.ts";
import { schedulesChild } from "./node/schedules.ts";
import { createNodeTree } from "./node/tree-services.ts";
import { workflowsChild } from "./node/workflows.ts";
import { readNodeId } from "./node-id.ts";
import { createNodeSystem } from "./node-system.ts";
import type { System } from "./system.ts";
import { createIncidentLog } from "./worker/agent/incident-log.ts";

const builtInWorkflows = [phase1, demo];

export interface NodeOptions {
  readonly config: Config;
  readonly log: Log;
  /** Of the data folder, where the caller has taken it already; the node releases it when it stops. */
  readonly lock?: DataDirLock;
  readonly openGateway: OpenGateway;
  /** Aborted when the start is no longer wanted. */
  readonly signal?: AbortSignal;
}

export interface RunningNode {
  readonly system: System;
  /** Where the HTTP server answers. */
  readonly url: string;
  /** Resolves when the node cannot go on; it must then be stopped. */
  readonly lost: Promise<Error>;
  /** Tasks in hand are aborted and repeated by the next start; safe to call twice. */
  stop(): Promise<void>;
}

/**
 * @throws {Error} One clear line about what is missing or wrong; what had started is stopped again.
 */
export async function startNode(options: NodeOptions): Promise<RunningNode> {
  const lock = options.lock ?? (await acquireDataDirLock(options.config.dataDir));
  try {
    return await startTree(options, lock);
  } catch (error) {
    await lock.release();
    throw error;
  }
}

async function startTree(options: NodeOptions, lock: DataDirLock): Promise<RunningNode> {
  const { config, log } = options;
  const lost = createDeferred<Error>();
  const node = await createContext(options, lost.resolve);
  const startedAt = node.clock.now();
  let root: Supervisor | undefined;
  let stopping: Promise<void> | undefined;
  const system = createNodeSystem({
    nodeId: node.nodeId,
    startedAt,
    databaseKind: config.databaseUrl === undefined ? "embedded" : "external",
    queueKind: config.redisUrl === undefined ? "postgres" : "redis",
    live: node.live,
    root: () => root,
    parts: node.parts,
    definitions: node.definitions,
    log,
    host: hostFacts(config),
    isStopping: () => stopping !== undefined,
    flow: config.limits,
    resourceBudget: config.resourceBudget,
    inspection: node.inspection,
    letters: node.tree,
  });
  const tree = await startRoot(node, options, [
    infrastructureChild(node),
    busChild(node),
    agentsChild(node),
    actorsChild(node),
    ...foldersChildren(node),
    monitorChild(node),
    workflowsChild(node),
    schedulesChild(node),
    ...inspectorChildren(node),
    gatewayChild(node, { open: options.openGateway, system, lock }),
  ]);
  root = tree;
  void tree.exited.then((exit) => {
    // Nobody is told of a loss that is the stop itself.
    if (stopping !== undefined) return;
    const error = exit.type === "normal" ? undefined : exit.error;
    const cause = error?.message ?? "the root supervisor ended";
    lost.resolve(new Error(`Cannot go on: ${cause}`));
  });
  return {
    system,
    url: node.parts.gateway.current().url,
    lost: lost.promise,
    stop: () => {
      stopping ??= stopTree(tree, lock);
      return stopping;
    },
  };
}

async function stopTree(tree: Supervisor, lock: DataDirLock): Promise<void> {
  try {
    await tree.stop();
  } finally {
    await lock.release();
  }
}

async function createContext(
  { config, log }: NodeOptions,
  lose: (error: Error) => void,
): Promise<NodeContext> {
  const clock: Clock = { now: () => new Date(), monotonicMs: () => performance.now() };
  const { redisUrl } = config;
  const live = createLiveHub(randomUUID(), clock);
  const inspection = startInspection(live, config, log);
  const nodeId = await readNodeId(config.dataDir);
  const parts = createNodeParts();
  const incidents = createIncidentLog({
    repo: () => createIncidentRepo(parts.database.current().db),
    node: nodeId,
    clock,
    log,
  });
  const database = async () => {
    await parts.database.whenUp;
    return parts.database.current().db;
  };
  return {
    config,
    crash: createCrashSwitch(config.crashOrder),
    log,
    clock,
    nodeId,
    queue: (target) =>
      redisUrl === undefined ? { type: "postgres", target } : { type: "redis", url: redisUrl },
    live,
    inspection,
    budget: createConnectionBudget(agentConnections),
    builtIn: {
      agents: new Set(agentDefinitions.map(({ name }) => name)),
      workflows: new Set(builtInWorkflows.map(({ id }) => id)),
    },
    definitions: new Map(agentDefinitions.map((definition) => [definition.name, definition])),
    registered: new Map(builtInWorkflows.map((definition) => [definition.id, definition])),
    parts,
    incidents,
    tree: { ...createNodeTree(nodeId, database, log), watch: inspection.local.watch, incidents },
    lose,
  };
}

async function startRoot(
  node: NodeContext,
  { signal }: NodeOptions,
  children: readonly ChildSpec[],
): Promise<Supervisor> {
  const unlessAborted = (spec: ChildSpec): ChildSpec => ({
    ...spec,
    start: async (place) => {
      signal?.throwIfAborted();
      return await spec.start(place);
    },
  });
  try {
    return await startSupervisor({
      id: "root",
      strategy: "rest_for_one",
      tree: node.tree,
      clock: node.clock,
      log: node.log,
      children: children.map(unlessAborted),
    });
  } catch (error) {
    throw firstCause(error);
  }
}

/** What the child threw that could not start: its supervisors have only wrapped it. */
function firstCause(error: unknown): unknown {
  let inner = error;
  while (inner instanceof AgentError && inner.code === "RESTART_INTENSITY") {
    if (inner.cause === undefined) return inner;
    inner = inner.cause;
  }
  return inner;
}
