/**
 * The facade over a running node.
 *
 * @module
 */

import type { AgentCard } from "../actors/define-agent.ts";
import type { HostFacts, Log } from "../actors/ports.ts";
import type { Supervisor } from "../actors/tree/supervisor.ts";
import type { Json } from "../machines/error-code.ts";
import type { FlowLimits } from "../machines/flow-options.ts";
import type { Resources } from "../machines/resource-budget.ts";
import { createActorService } from "./actor-service.ts";
import { createAgentService } from "./agent-service.ts";
import { createLimitService } from "./limit-service.ts";
import type { LiveHub } from "./live-hub.ts";
import type { NodeParts } from "./node/context.ts";
import type { NodeTree } from "./node/tree-services.ts";
import { createReplay } from "./replay-letter.ts";
import type { AgentsPort, System, SystemStatus, TreeView, WorkflowStatus } from "./system.ts";
import { version } from "./version.ts";
import type { AgentsHandle } from "./worker/agent/agent-pool.ts";
import type { InspectionHub } from "./worker/inspect/hub.ts";

/** The task whose output is the phase's report. */
const reportTask = "phase1_completion_review";

export interface NodeSystemOptions {
  readonly nodeId: string;
  readonly startedAt: Date;
  readonly databaseKind: SystemStatus["database"]["kind"];
  readonly queueKind: SystemStatus["queue"]["kind"];
  readonly live: LiveHub;
  /** Undefined until the tree stands: the HTTP server, its last child, answers a moment earlier. */
  readonly root: () => Supervisor | undefined;
  readonly parts: NodeParts;
  readonly definitions: ReadonlyMap<string, AgentCard>;
  readonly log: Log;
  readonly host: HostFacts;
  readonly isStopping: () => boolean;
  readonly flow: FlowLimits;
  readonly resourceBudget: Partial<Resources>;
  readonly inspection: InspectionHub;
  /** Where events go that reach nobody, and who lives in the tree. */
  readonly letters: Pick<NodeTree, "deadLetters" | "directory">;
}

const noRuns: Readonly<Record<WorkflowStatus, number>> = {
  pending: 0,
  running: 0,
  paused: 0,
  completed: 0,
  failed: 0,
  cancelled: 0,
  parked: 0,
};

/** Asks for each part at each use: the tree may have started another one. */
export function createNodeSystem(options: NodeSystemOptions): System {
  const { parts } = options;
  const agentServices = new WeakMap<AgentsHandle, AgentsPort>();

  function agentService(): AgentsPort {
    const agents = parts.agents.current();
    const known = agentServices.get(agents);
    if (known !== undefined) return known;
    const service = createAgentService({
      definitions: options.definitions,
      agents,
      log: options.log,
      places: { host: options.host, database: parts.database.current().target },
      onAvailable: () => parts.workflows.current().host.engine.wake(),
    });
    agentServices.set(agents, service);
    return service;
  }

  function tree(): TreeView {
    return (
      options.root()?.view() ?? {
        id: "root",
        kind: "supervisor",
        status: "starting",
        restarts: 0,
        children: [],
      }
    );
  }

  function readiness() {
    const reasons = parts.agents
      .current()
      .states()
      .filter(({ health, status }) => health !== "healthy" && status !== "paused")
      .map(({ name, status }) => `${name} is ${status}`);
    const broken = options
      .root()
      ?.view()
      .children.filter(({ status }) => status !== "running");
    for (const { id, status } of broken ?? []) reasons.unshift(`${id} is ${status}`);
    if (options.isStopping()) reasons.unshift("the node is stopping");
    return { ready: reasons.length === 0, reasons };
  }

  return {
    nodeId: options.nodeId,
    readiness,
    metrics: () => parts.monitor.current().metrics(),
    get history() {
      return parts.workflows.current().history;
    },
    get plans() {
      return parts.workflows.current().plans;
    },
    get workflows() {
      return parts.workflows.current().service;
    },
    get schedules() {
      return parts.schedules.current().service;
    },
    get agents() {
      return agentService();
    },
    actors: createActorService({
      hub: options.inspection,
      parts,
      tree,
      log: options.log,
      bridge: () => (parts.inspector.isUp() ? parts.inspector.current().url : null),
      resend: createReplay({
        ...options.letters,
        actors: () => (parts.actors.isUp() ? parts.actors.current() : undefined),
      }),
    }),
    limits: createLimitService({
      flow: options.flow,
      budget: options.resourceBudget,
      slots: () => parts.workflows.current().host.slots,
    }),
    live: options.live,
    status: async () => {
      const states = parts.agents.current().states();
      const server = parts.gateway.isUp() ? { kind: parts.gateway.current().kind } : null;
      return {
        nodeId: options.nodeId,
        version,
        startedAt: options.startedAt.toISOString(),
        uptimeMs: Date.now() - options.startedAt.getTime(),
        ...readiness(),
        warnings: parts.folders.isUp() ? parts.folders.current().problems() : [],
        database: { kind: options.databaseKind, version: parts.database.current().version },
        queue: { kind: options.queueKind },
        server,
        workflows: { ...noRuns, ...(await parts.workflows.current().views.counts()) },
        agents: {
          total: states.length,
          healthy: states.filter(({ health }) => health === "healthy").length,
        },
        tree: tree(),
      };
    },
    phaseReport: async (workflowId) => {
      const output = await parts.workflows.current().views.output(workflowId, reportTask);
      const { report, markdown } = (output ?? {}) as { report?: Json; markdown?: string };
      if (report === undefined || markdown === undefined) return undefined;
      return { json: report, markdown };
    },
  };
}
