/**
 * The workflow host of a real node: agents behind it, the live stream and the monitor after it.
 *
 * @module
 */

import type { AgentCard } from "../actors/define-agent.ts";
import type { WorkflowDefinition } from "../actors/define-workflow.ts";
import type { Clock, Incident, IncidentLog, Log } from "../actors/ports.ts";
import type { Database, OpenDatabase } from "../db/database.ts";
import { createDurationRepo } from "../db/duration-repo.ts";
import { createRetentionRepo } from "../db/retention-repo.ts";
import { createViewRepo, type ViewRepo } from "../db/view-repo.ts";
import type { FlowLimits } from "../machines/flow-options.ts";
import type { Resources } from "../machines/resource-budget.ts";
import type { JournalDraft } from "../machines/run/state.ts";
import { type ConnectionBudget, taskConnections } from "./connection-budget.ts";
import type { CrashSwitch } from "./engine/crash-points.ts";
import type { EngineOptions } from "./engine/engine.ts";
import { isTerminal, type OwnedRun } from "./engine/owned-run.ts";
import { createHistoryService } from "./history/history-service.ts";
import { createRetention, type RetentionPolicy } from "./history/retention.ts";
import type { LiveHub } from "./live-hub.ts";
import type { Monitor } from "./monitor.ts";
import { createPlanService } from "./plan-service.ts";
import type { QueueBackend } from "./queue/job-queue.ts";
import type { HistoryPort, PlansPort, WorkflowsPort } from "./system.ts";
import { journalEntry, liveTask, viewOfRun } from "./views.ts";
import type { AgentsHandle } from "./worker/agent/agent-pool.ts";
import { openWorkflowHost, type WorkflowHost } from "./workflow-host.ts";
import { createWorkflowService, type WorkflowServiceOptions } from "./workflow-service.ts";

/** Progress of one task is shown at most this often. */
const progressMs = 250;

export interface NodeWorkflowsOptions {
  readonly db: Database;
  readonly notices: OpenDatabase["notices"];
  readonly nodeId: string;
  readonly queue: QueueBackend;
  readonly crash: CrashSwitch;
  readonly clock: Clock;
  readonly log: Log;
  readonly live: LiveHub;
  readonly agents: AgentsHandle;
  readonly monitor: Monitor;
  readonly budget: ConnectionBudget;
  readonly flow: FlowLimits;
  readonly resourceBudget: Partial<Resources>;
  readonly retention: RetentionPolicy;
  readonly definitions: ReadonlyMap<string, AgentCard>;
  readonly registered: ReadonlyMap<string, WorkflowDefinition>;
  /** Ids of the workflows that come with SPECTRA. */
  readonly builtIn: ReadonlySet<string>;
  /** Why an agent that was there is not any more. */
  whyGone(name: string): string | undefined;
  readonly onFatal: EngineOptions["onFatal"];
  /** A run has ended, whichever way. */
  onFinished(workflowId: string): void;
  readonly incidents: IncidentLog;
  readonly filledIn: WorkflowServiceOptions["filledIn"];
  readonly defaultInput: NonNullable<WorkflowServiceOptions["defaultInput"]>;
}

export interface NodeWorkflows {
  readonly host: WorkflowHost;
  readonly service: WorkflowsPort;
  readonly plans: PlansPort;
  readonly history: HistoryPort;
  readonly views: ViewRepo;
  stop(): Promise<void>;
}

/** Tasks that this turn has given up because threads died of them. */
function poisonIncidents(run: OwnedRun, journal: readonly JournalDraft[]): Incident[] {
  return journal.flatMap(({ type, payload }): Incident[] => {
    const { task, attempt, code } = payload as { task?: string; attempt?: number; code?: string };
    if (type !== "task.failed" || code !== "POISONED" || task === undefined) return [];
    const error = run.state.tasks.get(task)?.error ?? null;
    const planned = run.plan.tasks.get(task);
    const address = `/root/agents/${planned?.agent ?? ""}`;
    const detail = {
      workflow: run.id,
      task,
      action: planned?.action ?? "",
      attempt: attempt ?? 0,
    };
    return [{ address, incarnation: 0, kind: "poison", action: "quarantined", error, detail }];
  });
}

/** What an action declares; 1 for an unknown one, which will be refused by its agent. */
export function connectionsOf(
  definitions: ReadonlyMap<string, AgentCard>,
  agent: string,
  action: string,
): number {
  return definitions.get(agent)?.capabilities[action]?.connections ?? 1;
}

export async function startNodeWorkflows(options: NodeWorkflowsOptions): Promise<NodeWorkflows> {
  const { agents, clock, definitions, live, monitor } = options;
  const lastShownMs = new Map<string, number>();

  function showTask(workflowId: string, key: string): void {
    const run = host.engine.owned().get(workflowId);
    const task = run && liveTask(run, key, undefined, host.runner.progress(workflowId, key));
    if (task !== undefined)
      live.emit(["events", `workflow:${workflowId}`], { type: "task", workflowId, task });
  }

  const host: WorkflowHost = await openWorkflowHost({
    db: options.db,
    notices: options.notices,
    nodeId: options.nodeId,
    queue: options.queue,
    crash: options.crash,
    log: options.log,
    random: Math.random,
    concurrency: [...definitions.values()].reduce((sum, { concurrency }) => sum + concurrency, 0),
    limits: {
      agent: (name) =>
        agentTrouble(name) === undefined ? (definitions.get(name)?.concurrency ?? 0) : 0,
      actionConnections: (agent, action) => connectionsOf(definitions, agent, action),
      connections: taskConnections,
      flow: options.flow,
      // An agent's figures are those of its worker: each of its tasks counts for its part.
      resources: (name) => {
        const { concurrency = 1, resources = { cpu: 0, memoryMb: 0 } } =
          definitions.get(name) ?? {};
        return { cpu: resources.cpu / concurrency, memoryMb: resources.memoryMb / concurrency };
      },
      budget: options.resourceBudget,
    },
    onFatal: options.onFatal,
    startChild: (parentId, child) => service.startChild(parentId, child),
    runAgent: async (call, hooks) => {
      const startedMs = clock.monotonicMs();
      const need = connectionsOf(definitions, call.agent, call.action);
      const outcome = await options.budget.hold(need, () =>
        call.undo === true ? agents.compensate(call, hooks) : agents.run(call, hooks),
      );
      monitor.finished(clock.monotonicMs() - startedMs, outcome.type === "succeeded");
      return outcome;
    },
    onTurn: (run, changed, journal) => {
      const topics = ["events", `workflow:${run.id}`];
      for (const [key, { output }] of changed) {
        const task = liveTask(run, key, output, host.runner.progress(run.id, key));
        if (task !== undefined) live.emit(topics, { type: "task", workflowId: run.id, task });
      }
      for (const incident of poisonIncidents(run, journal)) options.incidents.record(incident);
      for (const draft of journal) {
        live.emit(topics, { type: "journal", workflowId: run.id, entry: journalEntry(draft) });
      }
      live.emit(["system", ...topics], { type: "workflow", workflow: viewOfRun(run) });
      if (isTerminal(run.state.status)) {
        plans.finished(run.id);
        options.onFinished(run.id);
      }
    },
    onProgress: (workflowId, taskKey) => {
      const id = `${workflowId}/${taskKey}`;
      const nowMs = clock.monotonicMs();
      if (nowMs - (lastShownMs.get(id) ?? Number.NEGATIVE_INFINITY) < progressMs) return;
      if (lastShownMs.size > 10_000) lastShownMs.clear();
      lastShownMs.set(id, nowMs);
      showTask(workflowId, taskKey);
    },
  });

  function agentTrouble(name: string): string | undefined {
    const gone = options.whyGone(name);
    if (gone !== undefined) return gone;
    const state = agents.state(name);
    if (state === undefined) return `this node has no agent ${name}`;
    if (state.status === "running" || state.status === "restarting" || state.status === "starting")
      return undefined;
    const error = state.lastError === null ? "" : `: ${state.lastError.message}`;
    return `${name} is ${state.status}${error}`;
  }

  const views = createViewRepo(options.db);
  const service = createWorkflowService({
    incarnation: host.incarnation,
    registered: options.registered,
    builtIn: options.builtIn,
    filledIn: options.filledIn,
    defaultInput: options.defaultInput,
    findAgent: (name) => definitions.get(name),
    runs: host.runs,
    views,
    engine: host.engine,
    runner: host.runner,
    slots: host.slots,
    runQueue: host.runQueue,
    approvals: host.approvals,
    commands: host.commands,
    agentTrouble,
    expectedStart: (id, key) => plans.expectedStart(id, key),
  });
  const plans = createPlanService({
    durations: createDurationRepo(options.db),
    runs: host.runs,
    limits: {
      // An agent that is paused or away now is planned with as if it were there.
      agent: (name) => definitions.get(name)?.concurrency ?? 1,
      actionConnections: (agent, action) => connectionsOf(definitions, agent, action),
      connections: taskConnections,
    },
    registered: options.registered,
    prepare: service.prepare,
    log: options.log,
  });
  const retention = createRetention({
    repo: createRetentionRepo(options.db),
    policy: options.retention,
    log: options.log,
  });
  await plans.start();
  await host.start();
  retention.start();
  return {
    host,
    service,
    history: createHistoryService({
      db: options.db,
      registered: options.registered,
      runs: host.runs,
      incarnation: host.incarnation,
      wake: () => host.engine.wake(),
      retention,
    }),
    plans,
    views,
    stop: async () => {
      await retention.stop();
      await host.stop();
      await plans.stop();
    },
  };
}
