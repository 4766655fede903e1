/**
 * The runs that one node owns, in memory: loading them, taking them over, giving them up.
 *
 * @module
 */

import type { WorkflowDefinition } from "../../actors/define-workflow.ts";
import type { Log } from "../../actors/ports.ts";
import type { NodeRepo } from "../../db/node-repo.ts";
import type { LoadedRun, RunRepo } from "../../db/run-repo.ts";
import type { Outgoing, TurnRepo } from "../../db/turn-repo.ts";
import { AgentError, toErrorRecord } from "../../machines/error-code.ts";
import { defaultPriority } from "../../machines/run/plan.ts";
import type { RunEffect } from "../../machines/run/state.ts";
import { unfit } from "../history/move-check.ts";
import { type CompiledDefinition, compileDefinition } from "./compile-definition.ts";
import { isTerminal, type OwnedRun, ownRun } from "./owned-run.ts";

/** Runs that are claimed in one statement at most; all that are free are claimed, batch by batch. */
const claimLimit = 1_000;
/** Compiled definitions in memory; runs of the same one share it. */
const cachedPlans = 200;

/** How long a runner may take to end an attempt that is out of time: its grace, and a busy machine. */
const runnerGraceMs = 15_000;

/** A committed dispatch of an attempt. The task's state says that it is out: no row waits for it. */
export interface Dispatch {
  readonly workflowId: string;
  readonly taskKey: string;
  readonly attempt: number;
  readonly priority: number;
}

/** A committed effect that is not an attempt. */
export interface Errand {
  readonly outboxId: number;
  readonly workflowId: string;
  readonly effect: Exclude<RunEffect, { readonly type: "dispatch" | "abort" }>;
}

export interface OwnershipOptions {
  readonly incarnation: string;
  readonly runs: RunRepo;
  readonly turns: TurnRepo;
  readonly nodes: NodeRepo;
  readonly log: Log;
  /** A run is in memory now. */
  onLoaded(run: OwnedRun): void;
  dispatch(dispatches: readonly Dispatch[]): void;
  /** Performs what is neither a dispatch nor an abort; must be idempotent, must not throw. */
  perform(errands: readonly Errand[]): void;
  /** Runs a task that needs no queue on this node, unless it does already. */
  runLocal(run: OwnedRun, taskKey: string, attempt: number): void;
}

export interface Ownership {
  readonly owned: Map<string, OwnedRun>;
  /** Loads what is ours and not in memory. */
  load(ids: readonly string[]): Promise<void>;
  /** Claims runs that nobody alive owns, performs what their last owner left, and finds lost attempts. */
  claim(): Promise<void>;
  /** Ends attempts that are long beyond their start-to-close limit: their runner lives, but hangs. */
  loseOverdue(nowMs: number): Promise<void>;
  /** Forgets what memory says and reads all owned runs again: after a commit of unknown outcome. */
  reload(): Promise<void>;
  /**
   * Another node owns the run: forget it. Its attempts in hand here go on: their results reach the
   * new owner's mailbox, and the runner aborts those that the new owner has given up.
   */
  drop(id: string): void;
  /** What the queue is told of a committed attempt. */
  dispatchOf(run: OwnedRun, taskKey: string, attempt: number): Dispatch;
  /** Hands what else was committed to whoever performs it. */
  send(outgoing: readonly Outgoing[]): void;
}

export function createOwnership(options: OwnershipOptions): Ownership {
  const { incarnation, nodes, runs, turns, log } = options;
  const owned = new Map<string, OwnedRun>();
  const compiled = new Map<string, CompiledDefinition>();

  /** Runs that wait are many, their definitions few. */
  function compiledOf(loaded: LoadedRun): CompiledDefinition {
    const known = compiled.get(loaded.definitionHash);
    if (known !== undefined) return known;
    if (compiled.size >= cachedPlans) compiled.clear();
    const made = compileDefinition(loaded.definition as unknown as WorkflowDefinition);
    compiled.set(loaded.definitionHash, made);
    return made;
  }

  async function load(ids: readonly string[]): Promise<void> {
    const missing = ids.filter((id) => !owned.has(id));
    for (let first = 0; first < missing.length; first += claimLimit) {
      const batch = missing.slice(first, first + claimLimit);
      for (const loaded of await runs.load(incarnation, batch)) await adopt(loaded);
    }
  }

  async function adopt(loaded: LoadedRun): Promise<void> {
    const made = readable(loaded);
    if (made instanceof Error) return await setAside(loaded, made);
    const { observed } = made.plan;
    const isRead = [...loaded.run.tasks.values()].some(
      ({ plan, status }) => status === "succeeded" && observed.has(plan),
    );
    const outputs = isRead ? await runs.outputs(loaded.run.id, [...observed]) : new Map();
    // A turn may have loaded it, and moved on, while these queries were under way.
    if (owned.has(loaded.run.id)) return;
    const run = ownRun(loaded, made, outputs);
    owned.set(run.id, run);
    options.onLoaded(run);
  }

  /** What cannot be restored is not guessed at: the reason, or the definition that its state fits. */
  function readable(loaded: LoadedRun): CompiledDefinition | Error {
    try {
      const made = compiledOf(loaded);
      const reasons = unfit(loaded.run, made.plan, made.plan);
      if (reasons.length === 0) return made;
      const message = `Cannot restore the run: its state does not fit its definition: ${reasons.join("; ")}`;
      return new AgentError("RUN_UNREADABLE", message);
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      return new AgentError(
        "RUN_UNREADABLE",
        `Cannot restore the run: its definition is unreadable: ${why}`,
      );
    }
  }

  /** Parks the run, where people see it; the others of the node go on. */
  async function setAside({ epoch, run }: LoadedRun, error: Error): Promise<void> {
    await turns.park(incarnation, run.id, epoch, toErrorRecord(error));
    log.error("workflow run is parked: it cannot be restored", {
      workflowId: run.id,
      error: error.message,
    });
  }

  /** Dispatches are made again (the queue knows duplicates); attempts on dead nodes are lost. */
  async function takeOver(ids: readonly string[], isTaken: (id: string) => boolean): Promise<void> {
    await load(ids);
    await loseOrphans();
    const left = (await turns.outgoing(incarnation)).filter(({ workflowId }) =>
      isTaken(workflowId),
    );
    send(left);
    const dispatches = ids.flatMap(dispatchedOf);
    if (dispatches.length > 0) options.dispatch(dispatches);
    for (const id of ids) restartLocal(id);
    // Those that have ended were taken for what they left behind.
    for (const id of ids) if (isOver(owned.get(id))) owned.delete(id);
  }

  /** Local tasks whose commit was made but never heard of: nothing else hands them to the runner. */
  function restartLocal(id: string): void {
    const run = owned.get(id);
    for (const key of run?.inFlight ?? []) {
      const task = run?.state.tasks.get(key);
      if (run === undefined || task?.status !== "running" || task.node !== incarnation) continue;
      if (run.plan.tasks.get(task.plan)?.local === true) options.runLocal(run, key, task.attempt);
    }
  }

  function dispatchedOf(id: string): Dispatch[] {
    const run = owned.get(id);
    return [...(run?.inFlight ?? [])].flatMap((key) => {
      const task = run?.state.tasks.get(key);
      const isOut = task?.status === "dispatched" || task?.status === "compensating";
      if (run === undefined || task === undefined || !isOut || run.state.timers.has(`undo/${key}`))
        return [];
      const { attempt } = task;
      return [{ workflowId: id, taskKey: key, attempt, priority: priorityOf(run, key) }];
    });
  }

  async function loseOrphans(): Promise<void> {
    const elsewhere = [...owned.values()].flatMap(runningElsewhere);
    if (elsewhere.length === 0) return;
    const alive = await nodes.alive();
    for (const { id, taskKey, attempt, node } of elsewhere) {
      if (alive.has(node)) continue;
      const reason = `node ${node} died`;
      const event = { type: "task.lost", taskKey, attempt, reason, by: incarnation };
      await turns.post(id, event, `${id}/${taskKey}/${attempt}/lost`);
    }
  }

  async function loseOverdue(nowMs: number): Promise<void> {
    for (const run of owned.values()) {
      for (const taskKey of run.inFlight) {
        const task = run.state.tasks.get(taskKey);
        if (task?.status !== "running" || task.startedAtMs === null) continue;
        const { startToCloseMs } = run.plan.tasks.get(task.plan)?.timeouts ?? {};
        const limitMs = (startToCloseMs ?? Number.POSITIVE_INFINITY) + runnerGraceMs;
        if (nowMs - task.startedAtMs <= limitMs) continue;
        const { attempt } = task;
        const event = { type: "timeout.due", limit: "start-to-close", taskKey, attempt };
        const dedupeKey = `${run.id}/${taskKey}/${attempt}/overdue`;
        await turns.post(run.id, { ...event, by: incarnation }, dedupeKey);
      }
    }
  }

  function runningElsewhere(run: OwnedRun) {
    return [...run.inFlight].flatMap((taskKey) => {
      const task = run.state.tasks.get(taskKey);
      if (task === undefined || task.node === null || task.node === incarnation) return [];
      if (task.status !== "running" && !task.stopping) return [];
      return [{ id: run.id, taskKey, attempt: task.attempt, node: task.node }];
    });
  }

  function send(outgoing: readonly Outgoing[]): void {
    const errands = outgoing.map(({ outboxId, workflowId, effect }): Errand => {
      return { outboxId, workflowId, effect: effect as unknown as Errand["effect"] };
    });
    if (errands.length > 0) options.perform(errands);
  }

  return {
    owned,
    load,
    send,
    dispatchOf: (run, taskKey, attempt) => {
      return { workflowId: run.id, taskKey, attempt, priority: priorityOf(run, taskKey) };
    },
    loseOverdue,
    claim: async () => {
      for (let isMore = true; isMore; ) {
        const claimed = await runs.claim(incarnation, claimLimit);
        const taken = new Set(claimed);
        if (claimed.length > 0) await takeOver(claimed, (id) => taken.has(id));
        isMore = claimed.length >= claimLimit;
      }
      await loseOrphans();
    },
    reload: async () => {
      owned.clear();
      // Also of runs that have ended: their last commit may be the one that was not heard of.
      await takeOver(await runs.openIds(incarnation), () => true);
    },
    drop: (id) => {
      owned.delete(id);
      log.warn("workflow run was taken over by another node", { workflowId: id });
    },
  };
}

function isOver(run: OwnedRun | undefined): boolean {
  return run !== undefined && isTerminal(run.state.status) && run.inFlight.size === 0;
}

function priorityOf(run: OwnedRun, key: string): number {
  const task = run.state.tasks.get(key);
  return task?.priority ?? run.plan.tasks.get(task?.plan ?? key)?.priority ?? defaultPriority;
}
