/**
 * Runs one attempt on this node: from the queue's job to the result in the run's mailbox.
 *
 * The result is durable before the job is acknowledged, so the owner may be dead at that moment and
 * nothing is lost. Losing the queue's lock does not matter here: the attempt number fences.
 *
 * @module
 */

import type { WorkflowDefinition } from "../../actors/define-workflow.ts";
import type {
  AgentCall,
  AgentCallHooks,
  AgentOutcome,
  Log,
  Progress,
  StopOrder,
} from "../../actors/ports.ts";
import type { AttemptKey, AttemptRepo, AttemptRow } from "../../db/attempt-repo.ts";
import type { TurnRepo } from "../../db/turn-repo.ts";
import type { StopNotice } from "../../db/wake-channel.ts";
import {
  AgentError,
  type ErrorRecord,
  type Json,
  toErrorRecord,
} from "../../machines/error-code.ts";
import type { PlanTask, RunPlan, Timeouts } from "../../machines/run/plan.ts";
import type { TaskState } from "../../machines/run/state.ts";
import type { TaskJob } from "../queue/job-queue.ts";
import { createBatches } from "./batches.ts";
import { compileDefinition } from "./compile-definition.ts";
import type { OwnedRun } from "./owned-run.ts";
import { outputsInMemory, resolveInput, tasksRead } from "./task-input.ts";

/** Definitions kept in memory; they are immutable. */
const cachedDefinitions = 100;
/** Attempts in hand are compared with the truth this often: a run owned elsewhere may have cancelled. */
const staleCheckMs = 1_500;
/** Newest attempts that this node began; each is begun once, also when its job comes again after its end. */
const rememberedAttempts = 10_000;
/** Attempts that are taken in one statement at most. */
const takenAtOnce = 100;
/** An attempt that ends sooner tells of its beginning and its end in one turn. */
const startedAfterMs = 5;
const firstPauseMs = 100;
const longestPauseMs = 2_000;

export interface TaskRunnerOptions {
  readonly incarnation: string;
  readonly attempts: AttemptRepo;
  readonly turns: TurnRepo;
  readonly log: Log;
  runAgent(call: AgentCall, hooks: AgentCallHooks): Promise<AgentOutcome>;
  /**
   * Gives the events to the run's owner if that is this node: true once they are committed.
   * @throws {Error} When that is unknown.
   */
  submit(workflowId: string, ...events: readonly Json[]): Promise<boolean>;
  /** The run's owner has mail. */
  posted(): void;
  onProgress(workflowId: string, taskKey: string, progress: Progress | undefined): void;
}

export interface TaskRunner {
  process(job: TaskJob): Promise<void>;
  /** Runs an attempt of a local task, unless it was begun here already. */
  runLocal(run: OwnedRun, taskKey: string, attempt: number): void;
  abort(stop: StopNotice): void;
  isInHand(workflowId: string, taskKey: string, attempt: number): boolean;
  progress(workflowId: string, taskKey: string): Progress | undefined;
  /** Aborts what is in hand and reports it as lost, so that the next owner repeats it at once. */
  stop(): Promise<void>;
}

const inHandStatuses: ReadonlySet<string> = new Set(["dispatched", "running", "compensating"]);

/** An event for a run; the same `dedupeKey` twice is one. */
interface Entry {
  readonly event: Json;
  readonly dedupeKey: string;
}

type AbortReason = "timeout" | "shutdown";

interface InHand extends AttemptKey {
  readonly controller: AbortController;
  readonly ended: Promise<void>;
}

export function createTaskRunner(options: TaskRunnerOptions): TaskRunner {
  const { attempts, incarnation, log, turns } = options;
  const inHand = new Map<string, InHand>();
  const begun = new Set<string>();
  const progress = new Map<string, Progress>();
  const plans = new Map<
    string,
    { readonly plan: RunPlan; readonly definition: WorkflowDefinition }
  >();
  let stopping = false;
  const staleCheck = setInterval(() => void abortStale(), staleCheckMs);

  const take = createBatches(takenAtOnce, async (keys: readonly AttemptKey[]) => {
    const rows = await attempts.take(keys, incarnation);
    const byTask = new Map(rows.map((row) => [`${row.workflowId}/${row.taskKey}`, row]));
    return keys.map(({ workflowId, taskKey }) => byTask.get(`${workflowId}/${taskKey}`));
  });

  async function abortStale(): Promise<void> {
    if (inHand.size === 0) return;
    try {
      for (const key of await attempts.stale([...inHand.values()].map(plainKey))) {
        const order: StopOrder = { why: "stale" };
        inHand.get(idOf(key))?.controller.abort(order);
      }
    } catch (error) {
      log.debug("cannot compare attempts with the database", { error: String(error) });
    }
  }

  async function planOf(hash: string): Promise<{ plan: RunPlan; definition: WorkflowDefinition }> {
    const known = plans.get(hash);
    if (known !== undefined) return known;
    const body = (await attempts.definition(hash)) as unknown as WorkflowDefinition | undefined;
    if (body === undefined) {
      throw new AgentError(
        "DEFINITION_MISSING",
        `Cannot run a task: no definition ${hash} is stored`,
      );
    }
    if (plans.size >= cachedDefinitions) plans.clear();
    const compiled = compileDefinition(body);
    plans.set(hash, compiled);
    return compiled;
  }

  /**
   * Makes the events durable, in their order: in the owner's next turn when that is this node, else in
   * the mailbox. Keeps trying while the database is away: the work is done and must not be lost.
   */
  async function post(workflowId: string, ...entries: readonly Entry[]): Promise<void> {
    if (entries.length === 0) return;
    try {
      if (await options.submit(workflowId, ...entries.map(({ event }) => event))) return;
    } catch (error) {
      // It may have been committed; the second one is refused by its attempt then.
      log.debug("cannot know whether a task event was committed", { error: String(error) });
    }
    for (const entry of entries) await mail(workflowId, entry);
  }

  async function mail(workflowId: string, { event, dedupeKey }: Entry): Promise<void> {
    for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(pauseMs * 2, longestPauseMs)) {
      try {
        await turns.post(workflowId, event, dedupeKey);
        options.posted();
        return;
      } catch (error) {
        if (stopping) throw error;
        log.debug("cannot store a task event, trying again", { dedupeKey, error: String(error) });
        await new Promise((resolve) => setTimeout(resolve, pauseMs));
      }
    }
  }

  async function postLost(key: AttemptKey, reason: string, begun = true): Promise<void> {
    const { workflowId, taskKey, attempt } = key;
    const event = { type: "task.lost", taskKey, attempt, reason, begun, by: incarnation };
    await post(workflowId, { event, dedupeKey: `${idOf(key)}/lost` });
  }

  /** An attempt that was told to stop has: its slot is free, and what it did can be undone. */
  async function postStopped(
    key: AttemptKey,
    { error, spent }: AgentOutcome & { readonly type: "failed" },
    afterMs: number,
  ): Promise<void> {
    const { workflowId, taskKey, attempt } = key;
    const { code } = error.cause ?? error;
    const how = code === "AGENT_STOPPED" ? "its thread was ended" : "by itself";
    const used = spent === undefined ? {} : { spent };
    const event = { type: "task.stopped", taskKey, attempt, how, ...used, by: incarnation };
    await post(workflowId, {
      event: { ...event, afterMs: Math.round(afterMs) },
      dedupeKey: `${idOf(key)}/stopped`,
    });
  }

  async function execute(
    key: AttemptKey,
    row: AttemptRow,
    signal: AbortSignal,
    run?: OwnedRun,
  ): Promise<AgentOutcome> {
    const { workflowId, taskKey, attempt } = key;
    const { definition, plan } = run ?? (await planOf(row.definitionHash));
    const task = plan.tasks.get(row.plan);
    const written = task && definition.stages[task.stage]?.tasks[task.key];
    if (task === undefined || written === undefined) {
      throw new AgentError(
        "TASK_UNKNOWN",
        `Cannot run "${taskKey}": its definition has no such task`,
      );
    }
    const template = written.with ?? {};
    const wanted = tasksRead(template, plan);
    const outputs =
      run === undefined
        ? await attempts.outputs(workflowId, wanted)
        : outputsInMemory(run.state, wanted);
    const input = resolveInput(template, row.input, outputs, plan, task, row);
    const undo = row.status === "compensating";
    const { agent, action } = (undo ? task.compensate : null) ?? task;
    const call = {
      workflowId,
      taskKey,
      agent,
      action,
      attempt,
      input,
      lastCheckpoint: row.checkpoint,
      deaths: row.deaths,
      // Another action that undoes it is run, its own is asked to compensate.
      undo: undo && agent === task.agent && action === task.action,
      ...(undo ? { compensates: true } : {}),
    };
    return await withTimeout(call, task, signal);
  }

  async function withTimeout(
    call: AgentCall,
    { graceMs, timeouts: limits }: PlanTask,
    outer: AbortSignal,
  ): Promise<AgentOutcome> {
    const timeout = new AbortController();
    const { startToCloseMs, heartbeatMs } = limits;
    let missed: "start-to-close" | "heartbeat" = "start-to-close";
    const timer = setTimeout(() => timeout.abort("timeout" satisfies AbortReason), startToCloseMs);
    const onSilence = (): void => {
      missed = "heartbeat";
      timeout.abort("timeout" satisfies AbortReason);
    };
    let spent: AgentOutcome["spent"];
    let silence = heartbeatMs === null ? undefined : setTimeout(onSilence, heartbeatMs);
    try {
      const outcome = await options.runAgent(call, {
        signal: AbortSignal.any([outer, timeout.signal]),
        ...(graceMs === null ? {} : { graceMs }),
        onHeartbeat: (report) => {
          if (heartbeatMs !== null) {
            clearTimeout(silence);
            silence = setTimeout(onSilence, heartbeatMs);
          }
          if (report !== undefined) progress.set(`${call.workflowId}/${call.taskKey}`, report);
          options.onProgress(call.workflowId, call.taskKey, report);
        },
        onSpend: (totals) => {
          spent = totals;
        },
        onCheckpoint: async (data) => {
          if (await attempts.checkpoint(call, data)) return;
          throw new AgentError(
            "ATTEMPT_STALE",
            "Cannot checkpoint: a newer attempt has taken over",
          );
        },
        onTaskTimes: () => attempts.times(call.workflowId),
      });
      const used = outcome.spent ?? spent;
      const counted = used === undefined ? outcome : { ...outcome, spent: used };
      if (!timeout.signal.aborted || counted.type === "succeeded") return counted;
      return { ...counted, error: timeoutError(call, missed, limits) };
    } finally {
      clearTimeout(silence);
      clearTimeout(timer);
    }
  }

  /** @param run Set for a local task: its owner is here, and its start is journalled already. */
  async function runAttempt(
    key: AttemptKey,
    row: AttemptRow,
    signal: AbortSignal,
    run?: OwnedRun,
  ): Promise<void> {
    const { workflowId, taskKey, attempt } = key;
    const id = idOf(key);
    const isBegun = row.status === "compensating" || run !== undefined;
    const began = isBegun ? undefined : tellSoon(key);
    let told: number | undefined;
    signal.addEventListener("abort", () => {
      told = performance.now();
    });
    const outcome = await execute(key, row, signal, run).catch(
      (error: unknown): AgentOutcome => ({ type: "failed", error: toErrorRecord(error) }),
    );
    progress.delete(`${workflowId}/${taskKey}`);
    const first = (await began?.()) ?? [];
    if (outcome.type === "failed" && signal.aborted) {
      await post(workflowId, ...first);
      if (signal.reason === "shutdown") return await postLost(key, "node stopped");
      return await postStopped(key, outcome, performance.now() - (told ?? 0));
    }
    // Nothing of it has run: it waits for its agent, and no attempt is used up.
    if (outcome.type === "failed" && outcome.error.code === "AGENT_GONE") {
      return await postLost(key, outcome.error.message, false);
    }
    const event = {
      type: "task.finished",
      taskKey,
      attempt,
      outcome,
      by: incarnation,
    } as unknown as Json;
    await post(workflowId, ...first, { event, dedupeKey: `${id}/finished` });
  }

  /**
   * Tells of an attempt's beginning in a few milliseconds. The function that it returns says at its end
   * what is still to be told, and waits for what is being told.
   */
  function tellSoon(key: AttemptKey): () => Promise<readonly Entry[]> {
    const { workflowId, taskKey, attempt } = key;
    const entry = {
      event: { type: "task.started", taskKey, attempt, node: incarnation, by: incarnation },
      dedupeKey: `${idOf(key)}/started`,
    };
    let telling: Promise<void> | undefined;
    const timer = setTimeout(() => {
      telling = post(workflowId, entry);
      // Awaited at the end; a failure before that is no unhandled rejection.
      telling.catch(() => undefined);
    }, startedAfterMs);
    return async () => {
      clearTimeout(timer);
      if (telling === undefined) return [entry];
      await telling;
      return [];
    };
  }

  function remember(id: string): void {
    begun.add(id);
    const [oldest] = begun;
    if (begun.size > rememberedAttempts && oldest !== undefined) begun.delete(oldest);
  }

  async function process(job: TaskJob): Promise<void> {
    const key = plainKey(job);
    const id = idOf(key);
    // A second delivery of what is in hand, or was, is dropped; so is one of what was decided meanwhile.
    if (stopping || begun.has(id)) return;
    const row = await take(key);
    if (row?.attempt !== job.attempt || begun.has(id)) return;
    const diedWithIt = row.node !== null && row.node !== incarnation && !row.nodeAlive;
    // A queue that lost its lock says nothing: while its node lives, the attempt runs there. Who had
    // it may have died with it, and nobody knows how far it came: each attempt runs once at most.
    if (diedWithIt && inHandStatuses.has(row.status)) {
      return await postLost(key, `node ${row.node} died`);
    }
    if (row.taken) await hold(key, (signal) => runAttempt(key, row, signal));
  }

  /** A first attempt needs nothing from the database: its owner knows all of it. */
  function runLocal(run: OwnedRun, taskKey: string, attempt: number): void {
    const key = { workflowId: run.id, taskKey, attempt };
    const task = run.state.tasks.get(taskKey);
    if (stopping || begun.has(idOf(key)) || task === undefined) return;
    hold(key, (signal) => runOwned(key, run, task, signal)).catch((error: unknown) => {
      // Only a node that stops gives up: the next owner finds the attempt lost.
      log.debug("a local attempt ended with its node", { error: String(error) });
    });
  }

  async function runOwned(
    key: AttemptKey,
    run: OwnedRun,
    task: TaskState,
    signal: AbortSignal,
  ): Promise<void> {
    const known: AttemptRow = {
      status: "running",
      attempt: key.attempt,
      node: incarnation,
      nodeAlive: true,
      entered: run.state.chart?.entered ?? {},
      checkpoint: undefined,
      deaths: task.deaths,
      runStatus: run.state.status,
      input: run.state.input,
      definitionHash: run.definitionHash,
      plan: task.plan,
      iteration: task.iteration,
      index: task.index,
      item: task.item,
      context: run.state.chart?.context ?? null,
    };
    const row = key.attempt === 1 ? known : ((await readAgain(key, signal)) ?? known);
    await runAttempt(key, row, signal, run);
  }

  /** What an earlier attempt left, its checkpoint above all; tried again while the database is away. */
  async function readAgain(key: AttemptKey, signal: AbortSignal): Promise<AttemptRow | undefined> {
    for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(pauseMs * 2, longestPauseMs)) {
      try {
        return await attempts.read(key.workflowId, key.taskKey);
      } catch (error) {
        if (stopping || signal.aborted) return undefined;
        log.debug("cannot read an attempt, trying again", { error: String(error) });
        await new Promise((resolve) => setTimeout(resolve, pauseMs));
      }
    }
  }

  function hold(key: AttemptKey, run: (signal: AbortSignal) => Promise<void>): Promise<void> {
    const id = idOf(key);
    remember(id);
    const controller = new AbortController();
    const ended = run(controller.signal).finally(() => inHand.delete(id));
    inHand.set(id, { ...key, controller, ended });
    return ended;
  }

  return {
    process,
    runLocal,
    abort: ({ graceMs, ...key }) => {
      const order: StopOrder = { why: "stale", ...(graceMs === undefined ? {} : { graceMs }) };
      inHand.get(idOf(key))?.controller.abort(order);
    },
    isInHand: (workflowId, taskKey, attempt) => inHand.has(idOf({ workflowId, taskKey, attempt })),
    progress: (workflowId, taskKey) => progress.get(`${workflowId}/${taskKey}`),
    stop: async () => {
      stopping = true;
      clearInterval(staleCheck);
      const all = [...inHand.values()];
      for (const { controller } of all) controller.abort("shutdown" satisfies AbortReason);
      await Promise.allSettled(all.map(({ ended }) => ended));
    },
  };
}

function idOf({ workflowId, taskKey, attempt }: AttemptKey): string {
  return `${workflowId}/${taskKey}/${attempt}`;
}

function plainKey({ workflowId, taskKey, attempt }: AttemptKey): AttemptKey {
  return { workflowId, taskKey, attempt };
}

function timeoutError(
  { agent, action }: AgentCall,
  missed: "start-to-close" | "heartbeat",
  { startToCloseMs, heartbeatMs }: Timeouts,
): ErrorRecord {
  const name = "TimeoutError";
  if (missed === "heartbeat") {
    const message = `Cannot go on with ${agent}.${action}: no heartbeat for ${heartbeatMs} ms`;
    return { name, code: "HEARTBEAT_TIMEOUT", message, retryable: true };
  }
  const message = `Cannot finish ${agent}.${action} in time: the limit is ${startToCloseMs} ms`;
  return { name, code: "START_TO_CLOSE_TIMEOUT", message, retryable: true };
}
