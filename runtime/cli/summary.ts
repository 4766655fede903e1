/**
 * The closing words of a run: what came out, how long each stage took, where the report is.
 *
 * @module
 */

import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import type { TaskView } from "../system.ts";
import { durationText } from "./figures.ts";
import { type RunState, tasksOf } from "./run-state.ts";

/** Files of the report folder that were written since the run began. */
export function reportFiles(dataDir: string, since: Date): string[] {
  const folder = join(dataDir, "reports");
  return namesIn(folder)
    .map((name) => join(folder, name))
    .filter((path) => statSync(path).mtime >= since)
    .sort();
}

/** The folder is missing until the first report is written. */
function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}

/** Lines for the end of a run; `files` are named last. */
export function summaryLines(state: RunState, files: readonly string[]): string[] {
  const { workflow } = state;
  const took = spanText(workflow.startedAt ?? workflow.createdAt, workflow.finishedAt);
  const head = `${workflow.title}: ${workflow.status}${took === "" ? "" : ` in ${took}`}, ${workflow.tasks.done} of ${workflow.tasks.total} tasks done`;
  const stages = state.stages.map(
    (stage) => `  ${stage.title}: ${stageText(tasksOf(state, stage))}`,
  );
  const failures = [...state.tasks.values()]
    .filter(({ error, status }) => error !== undefined && status !== "succeeded")
    .map(({ key, error }) => `  ${key} failed: ${error?.message} (${error?.code})`);
  const error =
    workflow.error === undefined || failures.length > 0 ? [] : [`  ${workflow.error.message}`];
  return ["", head, ...stages, ...failures, ...error, ...files.map((file) => `  report: ${file}`)];
}

function stageText(tasks: readonly TaskView[]): string {
  const starts = tasks.flatMap(({ startedAt }) => startedAt ?? []).sort();
  const ends = tasks.flatMap(({ finishedAt }) => finishedAt ?? []).sort();
  const done = tasks.filter(({ status }) => status === "succeeded" || status === "skipped").length;
  const took = spanText(starts[0] ?? null, ends.at(-1) ?? null);
  return `${done} of ${tasks.length} tasks${took === "" ? "" : ` in ${took}`}`;
}

function spanText(start: string | null, end: string | null): string {
  return start === null || end === null ? "" : durationText(Date.parse(end) - Date.parse(start));
}
