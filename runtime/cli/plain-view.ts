/**
 * A run as plain lines for pipes and files: one when a task starts, one when it ends, with figures.
 *
 * @module
 */

import type { TaskView } from "../system.ts";
import { printable } from "./console-text.ts";
import { durationText, outputFigures } from "./figures.ts";

/** Figures of an output that fit on a line. */
const FIGURES = 4;

/** The line for what changed between two views of a task, or undefined when nothing worth a line did. */
export function taskLineOf(before: TaskView | undefined, after: TaskView): string | undefined {
  if (before?.status === after.status && before.attempt === after.attempt) return undefined;
  const what = verbs[after.status];
  if (what === undefined) return undefined;
  const does = after.kind === "action" ? `${after.agent}.${after.action}` : after.kind;
  const head = `${what.padEnd(9)} ${after.key} (${does})`;
  return printable([head, ...detailsOf(after)].join(" · "));
}

const verbs: Readonly<Partial<Record<TaskView["status"], string>>> = {
  running: "start",
  succeeded: "done",
  failed: "FAILED",
  cancelled: "cancelled",
  skipped: "skipped",
  retrying: "retry",
  compensating: "undo",
  compensated: "undone",
  parked: "PARKED",
};

function detailsOf(task: TaskView): string[] {
  const attempt = task.attempt > 1 ? [`attempt ${task.attempt}`] : [];
  if (task.status === "succeeded") {
    const took =
      task.startedAt === null || task.finishedAt === null
        ? []
        : [durationText(Date.parse(task.finishedAt) - Date.parse(task.startedAt))];
    return [...took, ...attempt, ...outputFigures(task.output, FIGURES)];
  }
  const error = task.error === undefined ? [] : [`${task.error.code}: ${task.error.message}`];
  return task.status === "running" ? attempt : [...attempt, ...error];
}
