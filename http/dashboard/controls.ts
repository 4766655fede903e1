/**
 * What the page offers to do with a run and with a task: only what the engine takes as they are now.
 *
 * @module
 */

import type { Json } from "../../machines/error-code.ts";
import type { TaskStatus, WorkflowStatus, WorkflowView } from "../../runtime/system.ts";

export type Control = "pause" | "resume" | "cancel" | "retry";

/** `repeat`, `succeeded` and `failed` decide about a task that is parked. */
export type TaskControl = "retry" | "run-now" | "repeat" | "succeeded" | "failed" | "skip";

type RunFacts = Pick<WorkflowView, "status" | "archivedAt">;

const OF_RUN: Readonly<Record<WorkflowStatus, readonly Control[]>> = {
  pending: ["cancel"],
  running: ["pause", "cancel"],
  paused: ["resume", "cancel"],
  parked: ["retry"],
  failed: ["retry"],
  cancelled: ["retry"],
  completed: [],
};

const OF_TASK: Readonly<Partial<Record<TaskStatus, readonly TaskControl[]>>> = {
  blocked: ["skip"],
  ready: ["run-now", "skip"],
  retrying: ["run-now", "skip"],
  dispatched: ["skip"],
  running: ["skip"],
  failed: ["skip"],
  parked: ["repeat", "succeeded", "failed", "skip"],
};

export function runControls({ status, archivedAt }: RunFacts): readonly Control[] {
  return archivedAt === undefined ? OF_RUN[status] : [];
}

/** @param isUndoing The run is rolled back: what is parked then is what could not be undone. */
export function taskControls(
  { status: runStatus, archivedAt }: RunFacts,
  status: TaskStatus,
  isUndoing = false,
): readonly TaskControl[] {
  if (archivedAt !== undefined) return [];
  if (runStatus === "failed" || runStatus === "cancelled") {
    return status === "failed" || status === "cancelled" ? ["retry"] : [];
  }
  if (runStatus !== "running" && runStatus !== "paused") return [];
  const controls = OF_TASK[status] ?? [];
  if (!isUndoing) return controls;
  return status === "parked" ? controls.filter((control) => control !== "skip") : [];
}

/** The request of a control: its path below the run's, and its body but for the reason. */
export function requestOf(
  control: TaskControl,
  taskKey: string,
  output?: Json,
): { readonly path: string; readonly body: Readonly<Record<string, Json>> } {
  const task = `tasks/${encodeURIComponent(taskKey)}`;
  switch (control) {
    case "retry":
      return { path: "retry", body: { task: taskKey } };
    case "run-now":
    case "skip":
      return { path: `${task}/${control}`, body: {} };
    case "repeat":
      return { path: `${task}/resolve`, body: { as: "retry" } };
    case "failed":
      return { path: `${task}/resolve`, body: { as: control } };
    case "succeeded":
      return {
        path: `${task}/resolve`,
        body: { as: control, ...(output === undefined ? {} : { output }) },
      };
  }
}
