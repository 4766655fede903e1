/**
 * A real workflow host on a real database and queue; only the agents are functions of the test.
 *
 * @module
 */

import { fileURLToPath } from "node:url";
import { z } from "zod";
import { capability, defineAgent } from "../../actors/define-agent.ts";
import type { WorkflowDefinition } from "../../actors/define-workflow.ts";
import type { AgentCall, AgentCallHooks, AgentOutcome } from "../../actors/ports.ts";
import { openDatabase } from "../../db/database.ts";
import { migrateDatabase } from "../../db/migrate.ts";
import { createRetentionRepo } from "../../db/retention-repo.ts";
import { createViewRepo } from "../../db/view-repo.ts";
import type { CrashSwitch } from "../../runtime/engine/crash-points.ts";
import { isTerminal, type OwnedRun } from "../../runtime/engine/owned-run.ts";
import type { EngineLimits } from "../../runtime/engine/scheduler.ts";
import { createHistoryService } from "../../runtime/history/history-service.ts";
import { createRetention } from "../../runtime/history/retention.ts";
import type { QueueBackend } from "../../runtime/queue/job-queue.ts";
import type { HistoryPort, WorkflowsPort, WorkflowView } from "../../runtime/system.ts";
import { openWorkflowHost, type WorkflowHost } from "../../runtime/workflow-host.ts";
import { createWorkflowService } from "../../runtime/workflow-service.ts";

export type RunAgent = (call: AgentCall, hooks: AgentCallHooks) => Promise<AgentOutcome>;

/** An agent that accepts any input for the actions that tests use. */
export const worker = defineAgent({
  name: "WORKER",
  category: "test",
  description: "Runs what the test gives it.",
  skills: [],
  concurrency: 4,
  resources: { cpu: 1, memoryMb: 64 },
  permissions: {},
  dependsOn: [],
  capabilities: Object.fromEntries(
    ["add", "fail", "block", "save", "flaky", "book", "undo"].map((action) => [
      action,
      capability({ description: action, input: z.any(), output: z.any(), run: async () => null }),
    ]),
  ),
});

export interface TestHost extends AsyncDisposable {
  readonly host: WorkflowHost;
  readonly workflows: WorkflowsPort;
  readonly history: HistoryPort;
  /** Resolves with the view once the run has one of these statuses; fails after 20 s. */
  until(id: string, ...statuses: WorkflowView["status"][]): Promise<WorkflowView>;
}

export async function openTestHost(options: {
  readonly url: string;
  readonly queue?: QueueBackend;
  readonly nodeId?: string;
  readonly workflows?: readonly WorkflowDefinition[];
  readonly agentLimit?: number;
  /** Jobs that the queue's worker takes at once. Default 8. */
  readonly concurrency?: number;
  /** Limits over all nodes, and so on. */
  readonly limits?: Partial<EngineLimits>;
  /** Where the migrations are, when this file was bundled elsewhere. */
  readonly migrations?: string;
  readonly runAgent: RunAgent;
  /** Where this process kills itself. */
  readonly crash?: CrashSwitch;
  /** A run has ended on this node, whichever way. */
  readonly onFinished?: (runId: string) => void;
  /** After each committed turn, with the state that is stored now. */
  readonly onTurn?: (run: OwnedRun) => void;
}): Promise<TestHost> {
  const target = { type: "url", url: options.url } as const;
  const folder = fileURLToPath(new URL("../../db/migrations", import.meta.url));
  await migrateDatabase(target, options.migrations ?? folder);
  const database = openDatabase(target);
  const problems: string[] = [];
  const log = {
    debug: () => undefined,
    info: () => undefined,
    warn: (message: string) => void problems.push(message),
    error: (message: string) => void problems.push(message),
  };
  const host = await openWorkflowHost({
    db: database.db,
    notices: database.notices,
    nodeId: options.nodeId ?? "node-a",
    queue: options.queue ?? { type: "postgres", target },
    limits: {
      agent: () => options.agentLimit ?? worker.concurrency,
      actionConnections: () => 0,
      connections: 8,
      ...options.limits,
    },
    concurrency: options.concurrency ?? 8,
    log,
    random: () => 0,
    runAgent: options.runAgent,
    ...(options.crash === undefined ? {} : { crash: options.crash }),
    startChild: (parentId, child) => workflows.startChild(parentId, child),
    onFatal: (reason) => void problems.push(`fatal: ${reason}`),
    onTurn: (run) => {
      options.onTurn?.(run);
      if (isTerminal(run.state.status)) options.onFinished?.(run.id);
    },
    onProgress: () => undefined,
  });
  await host.start();
  const registered = new Map((options.workflows ?? []).map((workflow) => [workflow.id, workflow]));
  const workflows = createWorkflowService({
    incarnation: host.incarnation,
    registered,
    builtIn: new Set(),
    filledIn: {},
    findAgent: (name) => (name === worker.name ? worker : undefined),
    runs: host.runs,
    views: createViewRepo(database.db),
    engine: host.engine,
    runner: host.runner,
    slots: host.slots,
    runQueue: host.runQueue,
    approvals: host.approvals,
    commands: host.commands,
    agentTrouble: () => undefined,
  });
  return {
    host,
    workflows,
    history: createHistoryService({
      db: database.db,
      registered,
      runs: host.runs,
      incarnation: host.incarnation,
      wake: () => host.engine.wake(),
      retention: createRetention({
        repo: createRetentionRepo(database.db),
        policy: { afterMs: null, then: "archive", deleteAfterMs: null },
        log,
      }),
    }),
    until: async (id, ...statuses) => {
      for (let round = 0; round < 1_000; round += 1) {
        const view = await workflows.get(id);
        if (view !== undefined && statuses.includes(view.status)) return view;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      const view = await workflows.get(id);
      throw new Error(
        `run ${id} is ${view?.status}, not ${statuses.join(" or ")}; log: ${problems.join("; ")}`,
      );
    },
    [Symbol.asyncDispose]: async () => {
      await host.stop();
      await database.close();
    },
  };
}
