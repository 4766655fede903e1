/**
 * What is around a run, as a model: agents that run attempts, children, timers, people. It delivers
 * what happens late, twice, or in another order, as nodes do that die and queues that repeat.
 *
 * The model knows the truth: which bodies began, which ended, and what was told to the run.
 *
 * @module
 */

import type { Json } from "../../machines/error-code.ts";
import type { RunEffect, RunEvent, RunState, TaskOutcome } from "../../machines/run/state.ts";

/** `queued`: its job lies in the queue. `gone`: its job was dropped, since the attempt was over. */
type AttemptStage = "queued" | "running" | "ended" | "gone";

export interface ModelAttempt {
  readonly key: string;
  readonly attempt: number;
  readonly undo: boolean;
  stage: AttemptStage;
  /** It was told to stop, or its run knows another attempt. */
  told: boolean;
  /** How the run was told of its end; null: not yet, or never. */
  heard: "finished" | "lost" | "never began" | "stopped" | null;
  /** Nobody can say whether it took effect. */
  unknown: boolean;
}

export interface ModelChild {
  readonly id: string;
  readonly taskKey: string;
  ended: boolean;
  /** Commands that it was told, in order. */
  readonly told: string[];
  undone: boolean;
}

export interface World {
  readonly attempts: readonly ModelAttempt[];
  readonly children: readonly ModelChild[];
  /** Events that were sent and are not delivered yet, oldest first. */
  readonly mail: RunEvent[];
  /** Takes what a turn set off. */
  perform(effects: readonly RunEffect[], atMs: number): void;
  /** Begins a job that waits, as a claim does: only when the run's row still wants it. */
  claim(pick: number, state: RunState, atMs: number): void;
  /** A body ends. */
  end(pick: number, how: EndOfBody, atMs: number): void;
  /** Its node dies, or its agent is gone before it began. */
  lose(pick: number, atMs: number): void;
  endChild(pick: number, fails: boolean, atMs: number): void;
  /** All of the above that is still owed, so that nothing is left out for ever. */
  settle(state: RunState, atMs: number): void;
}

export type EndOfBody = "succeed" | "fail for good" | "fail" | "die" | "time out";

const node = "n";

export function createWorld(): World {
  const attempts: ModelAttempt[] = [];
  const children: ModelChild[] = [];
  const mail: RunEvent[] = [];

  function perform(effects: readonly RunEffect[]): void {
    for (const effect of effects) {
      switch (effect.type) {
        case "dispatch":
          attempts.push({
            key: effect.taskKey,
            attempt: effect.attempt,
            undo: effect.undo ?? false,
            stage: effect.local === true ? "running" : "queued",
            told: false,
            heard: null,
            unknown: false,
          });
          break;
        case "abort":
          for (const one of attempts) {
            if (one.key === effect.taskKey && one.attempt === effect.attempt) one.told = true;
          }
          break;
        case "start-child":
          children.push({
            id: effect.childId,
            taskKey: effect.taskKey,
            ended: false,
            told: [],
            undone: false,
          });
          break;
        case "command-child": {
          const { type } = effect.event as { readonly type: string };
          children.find(({ id }) => id === effect.childId)?.told.push(type);
          break;
        }
        case "open-approval":
        case "tell-parent":
          break;
        default:
          effect satisfies never;
      }
    }
  }

  function claim(pick: number, state: RunState, atMs: number): void {
    const job = choose(
      attempts.filter(({ stage }) => stage === "queued"),
      pick,
    );
    if (job === undefined) return;
    const task = state.tasks.get(job.key);
    const wants = job.undo ? "compensating" : "dispatched";
    if (task?.attempt !== job.attempt || task.status !== wants) {
      job.stage = "gone";
      return;
    }
    job.stage = "running";
    const { key: taskKey, attempt } = job;
    if (!job.undo) mail.push({ type: "task.started", taskKey, attempt, node, by: node, atMs });
  }

  function end(pick: number, how: EndOfBody, atMs: number): void {
    const body = choose(
      attempts.filter(({ stage }) => stage === "running"),
      pick,
    );
    if (body === undefined) return;
    const { key: taskKey, attempt } = body;
    body.stage = "ended";
    const outcome = outcomeOf(how);
    body.unknown ||= how === "die" || how === "time out";
    if (body.heard !== null && body.heard !== "stopped") {
      // A zombie: the run was told that it is lost.
      mail.push({ type: "task.finished", taskKey, attempt, outcome, by: node, atMs });
      return;
    }
    if (body.told && outcome.type === "failed") {
      body.heard = "stopped";
      body.unknown = true;
      const how = "by itself";
      mail.push({ type: "task.stopped", taskKey, attempt, how, afterMs: 1, by: node, atMs });
      return;
    }
    body.heard = "finished";
    mail.push({ type: "task.finished", taskKey, attempt, outcome, by: node, atMs });
  }

  function lose(pick: number, atMs: number): void {
    const body = choose(
      attempts.filter(
        ({ stage, heard }) => (stage === "running" || stage === "queued") && heard === null,
      ),
      pick,
    );
    if (body === undefined) return;
    const { key: taskKey, attempt } = body;
    const begun = body.stage === "running";
    body.heard = begun ? "lost" : "never began";
    body.unknown ||= begun;
    // One that runs may go on as a zombie; one that never began will not.
    if (!begun) body.stage = "gone";
    mail.push({ type: "task.lost", taskKey, attempt, reason: "died", begun, by: node, atMs });
  }

  function endChild(pick: number, fails: boolean, atMs: number): void {
    const child = choose(
      children.filter((one) => !one.ended || (one.told.includes("run.undo") && !one.undone)),
      pick,
    );
    if (child === undefined) return;
    tellOf(child, fails, atMs);
  }

  function tellOf(child: ModelChild, fails: boolean, atMs: number): void {
    const { id: childId, taskKey } = child;
    const by = "child";
    if (child.told.includes("run.undo") && !child.undone) {
      child.ended = true;
      child.undone = true;
      mail.push({ type: "child.undone", taskKey, childId, by, atMs });
      return;
    }
    if (child.ended) return;
    child.ended = true;
    const wasCancelled = child.told.includes("run.cancel");
    const outcome = outcomeOf(fails || wasCancelled ? "fail for good" : "succeed");
    mail.push({ type: "child.finished", taskKey, childId, outcome, by, atMs });
  }

  function settle(state: RunState, atMs: number): void {
    while (attempts.some(({ stage }) => stage === "queued")) claim(0, state, atMs);
    while (attempts.some(({ stage }) => stage === "running")) end(0, "succeed", atMs);
    for (const child of children) tellOf(child, false, atMs);
  }

  return { attempts, children, mail, perform, claim, end, lose, endChild, settle };
}

export function choose<T>(all: readonly T[], pick: number): T | undefined {
  return all.length === 0 ? undefined : all[pick % all.length];
}

function outcomeOf(how: EndOfBody): TaskOutcome {
  const spent = { coins: 1 };
  const output: Json = { ok: true };
  if (how === "succeed") return { type: "succeeded", output, spent };
  const codes = { die: "AGENT_DIED", "time out": "START_TO_CLOSE_TIMEOUT", fail: "BOOM" };
  const code = how === "fail for good" ? "BROKEN" : codes[how];
  const retryable = how !== "fail for good";
  return { type: "failed", error: { name: "Error", code, message: how, retryable }, spent };
}
