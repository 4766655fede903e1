/**
 * The facade over a running node.
 *
 * @module
 */

import type { AgentCard } from "../actors/define-agent.ts";
import type { Log } from "../actors/ports.ts";
import type { Supervisor } from "../actors/tree/supervisor.ts";
import type { Json } from "../machines/error-code.ts";
import { createAgentService } from "./agent-service.ts";
import type { LiveHub } from "./live-hub.ts";
import type { NodeWorkflows } from "./node-workflows.ts";
import type { QueueBackend } from "./queue/job-queue.ts";
import type { System, SystemStatus, WorkflowStatus } from "./system.ts";
import { version } from "./version.ts";
import type { AgentsHandle } from "./worker/agent/agent-pool.ts";

/** The task whose output is the phase's report. */
const reportTask = "phase1_completion_review";

export interface NodeSystemOptions {
  readonly nodeId: string;
  readonly startedAt: Date;
  readonly database: SystemStatus["database"];
  readonly queue: QueueBackend;
  readonly live: LiveHub;
  readonly root: Supervisor;
  readonly agents: AgentsHandle;
  readonly workflows: NodeWorkflows;
  readonly definitions: ReadonlyMap<string, AgentCard>;
  readonly log: Log;
  readonly isStopping: () => boolean;
  readonly server: () => SystemStatus["server"];
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

export function createNodeSystem(options: NodeSystemOptions): System {
  const { agents, workflows } = options;

  function readiness() {
    const reasons = agents
      .states()
      .filter(({ health, status }) => health !== "healthy" && status !== "paused")
      .map(({ name, status }) => `${name} is ${status}`);
    if (options.isStopping()) reasons.unshift("the node is stopping");
    return { ready: reasons.length === 0, reasons };
  }

  return {
    nodeId: options.nodeId,
    readiness,
    metrics: workflows.monitor.metrics,
    workflows: workflows.service,
    live: options.live,
    agents: createAgentService({
      definitions: options.definitions,
      agents,
      log: options.log,
      onAvailable: workflows.host.engine.wake,
    }),
    status: async () => {
      const states = agents.states();
      return {
        nodeId: options.nodeId,
        version,
        startedAt: options.startedAt.toISOString(),
        uptimeMs: Date.now() - options.startedAt.getTime(),
        ...readiness(),
        database: options.database,
        queue: { kind: options.queue.type },
        server: options.server(),
        workflows: { ...noRuns, ...(await workflows.views.counts()) },
        agents: {
          total: states.length,
          healthy: states.filter(({ health }) => health === "healthy").length,
        },
        tree: options.root.view(),
      };
    },
    phaseReport: async (workflowId) => {
      const output = await workflows.views.output(workflowId, reportTask);
      const { report, markdown } = (output ?? {}) as { report?: Json; markdown?: string };
      if (report === undefined || markdown === undefined) return undefined;
      return { json: report, markdown };
    },
  };
}
