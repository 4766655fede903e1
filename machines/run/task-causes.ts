/**
 * Why a task of a run does not run, from the run's own state: as data, with a sentence for each.
 * What limits and agents have to do with it is the shell's to add.
 *
 * @module
 */

import { isSatisfied } from "../task.ts";
import type { PlanTask, RunPlan } from "./plan.ts";
import { type RunState, stageInstance, type TaskState, taskInstance } from "./state.ts";

/** Times are epoch ms. */
export interface TaskCause {
  readonly kind:
    | "run-over"
    | "run-pending"
    | "paused"
    | "rollback"
    | "stage"
    | "dependency"
    | "window"
    | "retry"
    | "sleep"
    | "signal"
    | "approval"
    | "child"
    | "operator"
    | "stopping";
  readonly sentence: string;
  /** The task, stage, signal or run that it waits for. */
  readonly of?: string;
  /** Status of that task. */
  readonly status?: TaskState["status"];
  /** Since when. */
  readonly sinceMs?: number;
  /** When it goes on by itself, or is given up. */
  readonly dueAtMs?: number;
  /** Of the error that it waits to repeat after, or to be decided about. */
  readonly code?: string;
}

export type StateBehindTask = Pick<
  RunState,
  "status" | "place" | "chart" | "pause" | "rollback" | "tasks" | "timers"
>;

/** @param key Of an instance; nothing is found for one that does not exist. */
export function taskCauses(run: StateBehindTask, plan: RunPlan, key: string): readonly TaskCause[] {
  const task = run.tasks.get(key);
  const planned = task && plan.tasks.get(task.plan);
  if (task === undefined || planned === undefined) return [];
  const causes = [...ofTask(run, plan, task, planned)];
  const holdsBack =
    task.status === "blocked" || task.status === "ready" || task.status === "retrying";
  if (holdsBack) causes.push(...ofRun(run));
  return causes;
}

function ofRun({ pause, rollback, status }: StateBehindTask): TaskCause[] {
  if (rollback !== null) {
    const { code } = rollback.cause;
    return [{ kind: "rollback", code, sentence: `the run is rolled back after ${code}` }];
  }
  if (status === "paused") {
    const since = pause === null ? {} : { sinceMs: pause.atMs };
    return [{ kind: "paused", sentence: "the run is paused", ...since }];
  }
  if (status === "pending") {
    return [{ kind: "run-pending", sentence: "the run has not begun" }];
  }
  return status === "running" ? [] : [{ kind: "run-over", sentence: `the run is ${status}` }];
}

function ofTask(
  run: StateBehindTask,
  plan: RunPlan,
  task: TaskState,
  planned: PlanTask,
): readonly TaskCause[] {
  if (task.stopping) {
    return [{ kind: "stopping", sentence: "its attempt was told to stop and has not yet" }];
  }
  switch (task.status) {
    case "blocked":
      return blocked(run, plan, task, planned);
    case "retrying":
      return [retrying(run, task)];
    case "running":
      return task.left === null ? waiting(run, task, planned) : [];
    case "parked": {
      const { code = "PARKED", message = "it is parked" } = task.error ?? {};
      return [{ kind: "operator", code, sentence: `waits for an operator's decision: ${message}` }];
    }
    case "ready":
    case "dispatched":
    case "compensating":
    case "compensated":
    case "succeeded":
    case "failed":
    case "cancelled":
    case "skipped":
      return [];
  }
}

function blocked(
  run: StateBehindTask,
  plan: RunPlan,
  task: TaskState,
  planned: PlanTask,
): TaskCause[] {
  // What has ended does not wait for anything any more.
  if (run.status !== "pending" && run.status !== "running" && run.status !== "paused") return [];
  const causes = planned.after.flatMap((name): TaskCause[] => {
    const other = run.tasks.get(instanceOf(run, plan, task, name));
    if (other !== undefined && isSatisfied(other.status)) return [];
    const status = other?.status ?? "blocked";
    const sinceMs = other?.startedAtMs ?? other?.readyAtMs ?? undefined;
    const since = sinceMs === undefined ? {} : { sinceMs };
    const of = other?.key ?? name;
    return [
      { kind: "dependency", of, status, ...since, sentence: `waits for "${of}" (${status})` },
    ];
  });
  const stage = stageInstance(planned.stage, task.iteration);
  const isActive = Object.values(run.chart?.invoked ?? {}).includes(stage);
  if (run.chart !== null && !isActive) {
    const sentence = `waits for its stage "${stage}"; the run is in "${run.place}"`;
    causes.push({ kind: "stage", of: stage, sentence });
  }
  const group = planned.group === null ? undefined : plan.groups.get(planned.group);
  if (causes.length === 0 && task.index !== null && group !== undefined) {
    const sentence = `waits for room: ${group.window} items of "${group.key}" are under way at once`;
    causes.push({ kind: "window", of: group.key, sentence });
  }
  return causes;
}

/** Key of the instance that a task waits for. */
function instanceOf(run: StateBehindTask, plan: RunPlan, task: TaskState, name: string): string {
  const [own, other] = [plan.tasks.get(task.plan), plan.tasks.get(name)];
  const isOfStage = own?.stage === other?.stage;
  const entered = run.chart?.entered[other?.stage ?? ""] ?? 1;
  const isOfGroup = own !== undefined && own.group !== null && own.group === other?.group;
  return taskInstance(name, isOfStage ? task.iteration : entered, isOfGroup ? task.index : null);
}

function retrying(run: StateBehindTask, task: TaskState): TaskCause {
  const { code = "UNKNOWN", message = "" } = task.error ?? {};
  const sentence = `waits to repeat after ${code}: ${message}`;
  return { kind: "retry", code, sentence, ...dueOf(run, `retry/${task.key}`) };
}

function dueOf({ timers }: StateBehindTask, name: string): { readonly dueAtMs?: number } {
  const dueAtMs = timers.get(name)?.dueAtMs ?? null;
  return dueAtMs === null ? {} : { dueAtMs };
}

function waiting(run: StateBehindTask, task: TaskState, planned: PlanTask): TaskCause[] {
  const since = task.startedAtMs === null ? {} : { sinceMs: task.startedAtMs };
  const limit = dueOf(run, `schedule-to-close/${task.key}`);
  switch (planned.kind) {
    case "action":
      return [];
    case "sleep":
      return [{ kind: "sleep", sentence: "sleeps", ...since, ...dueOf(run, `sleep/${task.key}`) }];
    case "signal": {
      const of = planned.signal ?? "";
      return [{ kind: "signal", of, sentence: `waits for the signal "${of}"`, ...since, ...limit }];
    }
    case "approval":
      return [{ kind: "approval", sentence: "waits for an approval", ...since, ...limit }];
    case "workflow": {
      const of = task.childId ?? planned.workflow ?? "";
      return [{ kind: "child", of, sentence: `waits for its child run "${of}"`, ...since }];
    }
    default:
      return planned.kind satisfies never;
  }
}
