/**
 * Operators' commands as a turn sees them: which are refused, and what the turn answers.
 * The decision is made where the state is, so that commands to one run have one order.
 *
 * @module
 */

import { isInFlight, isOpen } from "../task.ts";
import type { RunPlan } from "./plan.ts";
import type { JournalDraft, RunEvent, RunFields, RunStatus, TaskState } from "./state.ts";

/** What the turn that took a command says. */
export interface CommandAnswer {
  /** False: it changed nothing. */
  readonly taken: boolean;
  /** Of the run, after it. */
  readonly status: RunStatus;
  /** Number of the run's newest journal entry, after it. */
  readonly seq: number;
  /** Its first journal entry; null when it was refused. */
  readonly entry: { readonly seq: number; readonly type: string } | null;
  /** Tasks that were in agents' hands, after it. */
  readonly inFlight: number;
  /** Why it was refused; null when it was taken. */
  readonly refusal: { readonly code: "NOT_FOUND" | "CONFLICT"; readonly message: string } | null;
}

type Refusal = NonNullable<CommandAnswer["refusal"]>;

/** What a command is judged by. */
export interface CommandScope {
  readonly plan: RunPlan;
  run(): RunFields;
  task(key: string): TaskState | undefined;
}

const runRules: Readonly<
  Partial<Record<RunEvent["type"], { readonly verb: string; readonly when: readonly RunStatus[] }>>
> = {
  "run.pause": { verb: "pause", when: ["running"] },
  "run.resume": { verb: "resume", when: ["paused"] },
  "run.cancel": { verb: "cancel", when: ["pending", "running", "paused"] },
  "run.retry": { verb: "retry", when: ["failed", "cancelled"] },
  "run.priority": { verb: "re-prioritise", when: ["running", "paused"] },
  "run.budget": { verb: "raise the budget of", when: ["running", "paused"] },
  "run.signal": { verb: "signal", when: ["running", "paused"] },
};

const taskVerbs: Readonly<Partial<Record<RunEvent["type"], string>>> = {
  "task.skip": "skip",
  "task.run-now": "run",
  "task.priority": "re-prioritise",
  "task.resolve": "resolve",
};

/** Why a command does not fit the run as it is; null when it does. Other events are never refused here. */
export function refusalOf(event: RunEvent, scope: CommandScope): Refusal | null {
  const { id, status } = scope.run();
  const rule = runRules[event.type];
  if (rule !== undefined && !rule.when.includes(status)) {
    return conflict(`Cannot ${rule.verb} workflow run "${id}": it is ${status}`);
  }
  if (event.type === "run.retry" && event.taskKey !== null) {
    if (scope.task(event.taskKey) === undefined) return noTask("retry", event.taskKey, id);
  }
  const verb = taskVerbs[event.type];
  if (verb === undefined || !("taskKey" in event) || event.taskKey === null) return null;
  if (status !== "running" && status !== "paused") {
    return conflict(`Cannot ${verb} task "${event.taskKey}": its run "${id}" is ${status}`);
  }
  const task = scope.task(event.taskKey);
  return task === undefined
    ? noTask(verb, event.taskKey, id)
    : taskRefusal(event, verb, task, scope.plan);
}

function taskRefusal(
  event: RunEvent,
  verb: string,
  task: TaskState,
  plan: RunPlan,
): Refusal | null {
  const { key, status } = task;
  const cannot = (why: string) => conflict(`Cannot ${verb} task "${key}": ${why}`);
  if (event.type === "task.skip") {
    return isOpen(status) || status === "failed" ? null : cannot(`it is ${status}`);
  }
  if (event.type === "task.run-now" || event.type === "task.priority") {
    const waits = isOpen(status) && !isInFlight(status) && status !== "parked";
    return waits ? null : cannot(`it is ${status}`);
  }
  if (event.type !== "task.resolve" || status === "parked") return null;
  const isApproval = plan.tasks.get(task.plan)?.kind === "approval";
  if (status !== "running" || !isApproval)
    return cannot(`it is ${status}; only a parked task or an approval can be resolved`);
  return event.as === "retry" ? cannot("an approval is decided, not repeated") : null;
}

/** @param entries What the turn journalled for the command. */
export function answerOf(
  event: RunEvent,
  run: RunFields,
  inFlight: number,
  entries: readonly JournalDraft[],
): CommandAnswer {
  const [first] = entries;
  if (first === undefined) {
    return refused(run, inFlight, conflict(`Cannot apply ${event.type}: it changes nothing now`));
  }
  if (first.type === "signal.refused") {
    const { reason } = first.payload as { readonly reason?: string };
    return refused(run, inFlight, conflict(`Cannot take the signal: ${reason ?? "it is refused"}`));
  }
  const entry = { seq: first.seq, type: first.type };
  return { taken: true, status: run.status, seq: run.seq, entry, inFlight, refusal: null };
}

export function refused(run: RunFields, inFlight: number, refusal: Refusal): CommandAnswer {
  return { taken: false, status: run.status, seq: run.seq, entry: null, inFlight, refusal };
}

function conflict(message: string): Refusal {
  return { code: "CONFLICT", message };
}

function noTask(verb: string, key: string, id: string): Refusal {
  return {
    code: "NOT_FOUND",
    message: `Cannot ${verb} task "${key}": run "${id}" has no such task`,
  };
}
