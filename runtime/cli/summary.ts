/**
 * The closing words of a run: what came out, how long each stage took, where the report is.
 *
 * @module
 */

import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import type { Json } from "../../machines/error-code.ts";
import type { TaskView, WorkflowStatus } from "../system.ts";
import { printable } from "./console-text.ts";
import { durationText, numberText } from "./figures.ts";
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

/** What the closing words take from a phase report; other reports have other parts. */
const reportParts = z.object({
  result: z.string().optional(),
  vote: z
    .object({
      outcome: z.string(),
      required: z.number(),
      ballots: z.array(z.object({ voter: z.string(), approve: z.boolean(), reason: z.string() })),
    })
    .optional(),
  archive: z.object({ read: z.number(), migrated: z.number(), rejected: z.number() }).optional(),
  criteria: z
    .array(
      z.object({
        name: z.string(),
        unit: z.string(),
        required: z.number(),
        measured: z.number().nullable(),
        met: z.boolean(),
      }),
    )
    .optional(),
});

type Vote = NonNullable<z.infer<typeof reportParts>["vote"]>;

/** The measured outcome and the vote on it, one line each; empty for a report without these parts. */
export function reportLines(report: Json | undefined): string[] {
  const { archive, criteria = [], result, vote } = reportParts.safeParse(report).data ?? {};
  const counts =
    archive === undefined
      ? []
      : [
          `  ${numberText(archive.read)} records read: ${numberText(archive.migrated)} migrated, ${numberText(archive.rejected)} rejected`,
        ];
  const judged = criteria.map(({ name, unit, required, measured, met }) => {
    const figure = measured === null ? "not measured" : `${numberText(measured)} ${unit}`;
    const verdict = met ? "met" : "NOT MET";
    return `  ${name.replaceAll("_", " ")}: ${figure}, required ${numberText(required)}: ${verdict}`;
  });
  const outcome = result === undefined ? [] : [`  result: ${result.replaceAll("_", " ")}`];
  return [...counts, ...judged, ...outcome, ...(vote === undefined ? [] : voteLines(vote))];
}

/** 0 when the run completed, and no vote rejected the phase that its report is of. */
export function exitCodeOf(status: WorkflowStatus, report: Json | undefined): 0 | 1 {
  const { result } = reportParts.safeParse(report).data ?? {};
  return status === "completed" && result !== "rejected_by_vote" ? 0 : 1;
}

/** The count, and each ballot against with its reason. A voter that was not needed has no ballot. */
function voteLines({ outcome, required, ballots }: Vote): string[] {
  const against = ballots.filter(({ approve }) => !approve);
  const agree = ballots.length - against.length;
  return [
    `  vote: ${outcome}, ${agree} for and ${against.length} against, ${required} must agree`,
    ...against.map(({ voter, reason }) => `    ${voter} is against: ${printable(reason)}`),
  ];
}

/** Lines for the end of a run; `files` are named last. */
export function summaryLines(
  state: RunState,
  report: Json | undefined,
  files: readonly string[],
): string[] {
  const { workflow } = state;
  const took = spanText(workflow.startedAt ?? workflow.createdAt, workflow.finishedAt);
  const inTime = took === "" ? "" : ` in ${took}`;
  const head = `${workflow.title}: ${workflow.status}${inTime}, ${workflow.tasks.done} of ${workflow.tasks.total} tasks done`;
  const stages = state.stages.map(
    (stage) => `  ${stage.title}: ${stageText(tasksOf(state, stage))}`,
  );
  const failures = [...state.tasks.values()]
    .filter(({ error, status }) => error !== undefined && status !== "succeeded")
    .map(({ key, error }) => `  ${key} failed: ${error?.message} (${error?.code})`);
  const error =
    workflow.error === undefined || failures.length > 0 ? [] : [`  ${workflow.error.message}`];
  return [
    "",
    head,
    ...stages,
    ...failures,
    ...error,
    ...reportLines(report),
    ...files.map((file) => `  report: ${file}`),
  ];
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
