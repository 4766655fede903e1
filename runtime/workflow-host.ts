/**
 * The workflow host of a node: engine, queue, dispatcher and task runner, wired.
 *
 * @module
 */

import { randomUUID } from "node:crypto";
import type { AgentCall, AgentCallHooks, AgentOutcome, Log } from "../actors/ports.ts";
import { type ApprovalRepo, createApprovalRepo } from "../db/approval-repo.ts";
import { type AttemptRepo, createAttemptRepo } from "../db/attempt-repo.ts";
import { type CommandRepo, createCommandRepo } from "../db/command-repo.ts";
import type { Database, OpenDatabase } from "../db/database.ts";
import { createStubRepo } from "../db/history-repo.ts";
import { createNodeRepo } from "../db/node-repo.ts";
import { createRunQueueRepo } from "../db/run-queue-repo.ts";
import { createRunRepo, type RunRepo } from "../db/run-repo.ts";
import { rootMessage } from "../db/server-error.ts";
import { createSlotRepo, type SlotRepo } from "../db/slot-repo.ts";
import { createTurnRepo, type TurnRepo } from "../db/turn-repo.ts";
import { openWakeChannel } from "../db/wake-channel.ts";
import type { Json } from "../machines/error-code.ts";
import { type CrashSwitch, mailEffect, noCrash, turnEffect } from "./engine/crash-points.ts";
import { createDispatcher } from "./engine/dispatcher.ts";
import { createEngine, type Engine, type EngineOptions } from "./engine/engine.ts";
import { createErrands, type StartChild } from "./engine/errands.ts";
import { isTerminal } from "./engine/owned-run.ts";
import { createRunQueue, type RunQueue } from "./engine/run-queue.ts";
import type { EngineLimits } from "./engine/scheduler.ts";
import { createTaskRunner, type TaskRunner, type TaskRunnerOptions } from "./engine/task-runner.ts";
import { withStubs } from "./history/stub-agent.ts";
import { openJobQueue, type QueueBackend } from "./queue/job-queue.ts";

/** Placement groups come with several nodes; until then one group hosts all agents. */
const placementGroup = "main";

export interface WorkflowHostOptions {
  readonly db: Database;
  readonly notices: OpenDatabase["notices"];
  /** Stable name of this node, kept in its data folder. */
  readonly nodeId: string;
  readonly queue: QueueBackend;
  readonly limits: EngineLimits;
  /** Jobs that this node takes at once: the sum of its agents' concurrency. */
  readonly concurrency: number;
  readonly log: Log;
  readonly random: () => number;
  runAgent(call: AgentCall, hooks: AgentCallHooks): Promise<AgentOutcome>;
  /** @throws {Error} With a `code`, when the child cannot be started at all. */
  startChild(parentId: string, child: StartChild): Promise<void>;
  readonly onFatal: EngineOptions["onFatal"];
  readonly onTurn: EngineOptions["onTurn"];
  readonly onProgress: TaskRunnerOptions["onProgress"];
  /** Where this process kills itself; default: nowhere. */
  readonly crash?: CrashSwitch;
}

export interface WorkflowHost {
  readonly incarnation: string;
  readonly engine: Engine;
  readonly runner: TaskRunner;
  readonly runs: RunRepo;
  readonly turns: TurnRepo;
  readonly attempts: AttemptRepo;
  readonly slots: SlotRepo;
  readonly runQueue: RunQueue;
  readonly approvals: ApprovalRepo;
  readonly commands: CommandRepo;
  /** Begins to take turns; what it reports on (`onTurn`) must be ready. */
  start(): Promise<void>;
  /** Aborts what is in hand, reports it as lost, and gives the lease back. */
  stop(): Promise<void>;
}

export async function openWorkflowHost(options: WorkflowHostOptions): Promise<WorkflowHost> {
  const { db, log } = options;
  const incarnation = `${options.nodeId}#${randomUUID().slice(0, 8)}`;
  const crash = options.crash ?? noCrash;
  const { approvals, attempts, commands, nodes, runs, runQueueRepo, slots, turns } = openRepos(
    db,
    crash,
  );
  await nodes.register(incarnation, options.nodeId);
  const clusterId = await nodes.clusterId();
  const channel = openWakeChannel(db, options.notices, incarnation, {
    mail: () => engine.wake(),
    stop: (stop) => runner.abort(stop),
  });
  const runner = createTaskRunner({
    incarnation,
    attempts,
    turns,
    log,
    ...crash.around(
      {
        runAgent: withStubs(createStubRepo(db), options.runAgent),
        submit: (workflowId: string, ...events: readonly Json[]) =>
          engine.submit(workflowId, ...events),
      },
      { runAgent: "agent.call", submit: "event.submit" },
    ),
    posted: () => engine.wake(),
    onProgress: options.onProgress,
  });
  const errands = createErrands({
    turns: {
      ...turns,
      ...crash.around({ performed: turns.performed }, { performed: "errand.delete" }),
    },
    approvals,
    log,
    startChild: options.startChild,
    adopt: (id) => runs.adopt(id, incarnation),
    posted: () => engine.wake(),
  });
  const engine = createEngine({
    incarnation,
    runs,
    turns,
    nodes,
    slots,
    limits: options.limits,
    log,
    random: options.random,
    dispatch: (dispatches) => dispatcher.dispatch(dispatches),
    perform: errands.perform,
    abort: ({ node, workflowId, taskKey, attempt, graceMs }) => {
      const stop = { workflowId, taskKey, attempt, ...(graceMs === undefined ? {} : { graceMs }) };
      runner.abort(stop);
      if (node === null || node === incarnation) return;
      channel.stopElsewhere(node, stop).catch((error: unknown) => {
        // That node compares its attempts with the truth in a second or two.
        log.debug("cannot tell a node to stop an attempt", { node, error: rootMessage(error) });
      });
    },
    listen: () => channel.listen(),
    runLocal: runner.runLocal,
    onFatal: options.onFatal,
    onTurn: (run, changed, journal) => {
      if (run.definition.concurrency !== undefined && isTerminal(run.state.status)) runQueue.look();
      options.onTurn(run, changed, journal);
    },
  });
  const runQueue = createRunQueue({
    repo: runQueueRepo,
    slots,
    turns,
    log,
    wake: () => engine.wake(),
  });
  const { process } = crash.around({ process: runner.process }, { process: "job.process" });
  const opened = await openJobQueue({
    name: `spectra-${placementGroup}-${clusterId.slice(0, 8)}`,
    backend: options.queue,
    concurrency: options.concurrency,
    log,
    process,
    onAcknowledged: () => crash.reach("job.acked"),
  });
  const queue = crash.around(opened, { kind: null, add: "queue.add", close: null });
  const dispatcher = createDispatcher({
    queue,
    log,
    owned: () => engine.owned(),
    isInHand: runner.isInHand,
  });
  return {
    incarnation,
    engine,
    runner,
    runs,
    turns,
    attempts,
    slots,
    runQueue,
    approvals,
    commands,
    start: () => engine.start(),
    stop: async () => {
      await runner.stop();
      await dispatcher.stop();
      await errands.stop();
      await runQueue.stop();
      await queue.close();
      await engine.stop();
      channel.close();
      await nodes.release(incarnation).catch((error: unknown) => {
        // The lease ends by itself in a few seconds.
        log.warn("cannot give the node's lease back", { error: rootMessage(error) });
      });
    },
  };
}

/** Each with its crash points; none, unless a crash was ordered. */
function openRepos(db: Database, crash: CrashSwitch) {
  const breakable = crash.inTransactions(db);
  return {
    approvals: crash.around(createApprovalRepo(db), {
      open: "approval.open",
      read: null,
      waiting: null,
      complete: null,
    }),
    attempts: crash.around(createAttemptRepo(db), {
      read: null,
      take: "attempt.claim",
      definition: null,
      outputs: null,
      times: null,
      checkpoint: "checkpoint.write",
      stale: null,
    }),
    commands: crash.around(createCommandRepo(breakable), {
      post: "mail.command",
      postBulk: "mail.command",
      matching: null,
      unpark: "run.adopt",
      answer: null,
      bulk: null,
      runState: null,
    }),
    nodes: crash.around(createNodeRepo(db), {
      register: "node.register",
      renew: "node.renew",
      // Names a database that has no name yet, and who is gone: both again at the next look.
      clusterId: null,
      sweep: null,
      alive: null,
      release: "node.release",
    }),
    runs: crash.around(createRunRepo(breakable), {
      insert: ({ run }) => (run.parent === null ? "run.insert" : "child.insert"),
      claim: "run.claim",
      load: null,
      read: null,
      outputs: null,
      openIds: null,
      rootOf: null,
      owner: null,
      adopt: "run.adopt",
    }),
    runQueueRepo: crash.around(createRunQueueRepo(breakable), {
      promote: "run.promote",
      waiters: null,
      newestQueued: null,
      place: null,
    }),
    slots: crash.around(createSlotRepo(db), {
      view: null,
      // A request to other nodes that ends by itself, and rows that do not count any more.
      queue: null,
      sweep: null,
      holders: null,
    }),
    turns: crash.around(createTurnRepo(breakable), {
      pending: "mail.read",
      commit: turnEffect,
      post: mailEffect,
      isWaiting: null,
      park: "run.park",
      outgoing: null,
      // Named by who asks for it.
      performed: null,
    }),
  };
}
