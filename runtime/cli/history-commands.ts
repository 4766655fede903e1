/**
 * `spectra snapshot`, `fork`, `diff`, `check`, `audit`: the past of runs, and versions that fit them.
 *
 * @module
 */

import { type Command, InvalidArgumentError } from "commander";
import type { Json } from "../../machines/error-code.ts";
import type {
  AuditFinding,
  MoveCheckView,
  RetentionView,
  RunDiffView,
  SnapshotView,
  WorkflowView,
} from "../system.ts";
import type { ApiClient } from "./api-client.ts";
import { durationText } from "./figures.ts";
import { duration, jsonObject } from "./option-values.ts";
import type { VerbTools } from "./schedule-commands.ts";
import { tableLines } from "./table.ts";
import type { VerbOutput } from "./verbs.ts";

interface ForkFlags {
  readonly at: number;
  readonly input?: { readonly [key: string]: Json };
  readonly latest?: true;
  /** True without task keys. */
  readonly stub?: true | readonly string[];
}

interface ArchiveFlags {
  readonly olderThan?: number;
  readonly delete?: true;
}

/** @param workflows The verb `workflows`, which gets verbs of its own. */
export function addHistoryVerbs<Flags>(
  program: Command,
  workflows: Command,
  { act, verb }: VerbTools<Flags>,
): void {
  verb(program, "snapshot <run>", "show a run exactly as it was")
    .option("--at <seq>", "after this entry of its journal (default: the newest)", entryNumber)
    .action((id: string, flags: Flags & { at?: number }) =>
      act(flags, (api, out) => showSnapshot(api, id, flags.at, out)),
    );
  verb(program, "fork <run>", "start a new run that continues this one from any moment of it")
    .requiredOption("--at <seq>", "after this entry of its journal", entryNumber)
    .option("--input <json>", "another input, as a JSON object", jsonObject)
    .option("--latest", "with the definition that is registered now")
    .option("--stub [tasks...]", "take what these tasks, or all, have recorded; do not run them")
    .action((id: string, flags: Flags & ForkFlags) =>
      act(flags, (api, out) => fork(api, id, flags, out)),
    );
  verb(
    program,
    "diff <run> <other>",
    "show where two runs differ; exit code 1 when they do",
  ).action((left: string, right: string, flags: Flags) =>
    act(flags, (api, out) => diff(api, left, right, out)),
  );
  verb(
    program,
    "check [workflow]",
    "say which open runs fit the definitions that are registered now",
  ).action((workflow: string | undefined, flags: Flags) =>
    act(flags, (api, out) => check(api, workflow, out)),
  );
  verb(program, "unpark <run>", "let a parked run go on, once what was wrong is corrected").action(
    (id: string, flags: Flags) => act(flags, (api, out) => unpark(api, id, out)),
  );
  verb(workflows, "archive", "move ended runs out of the live tables now")
    .option("--older-than <duration>", "that ended before; default as configured", duration)
    .option("--delete", "keep nothing of them")
    .action((flags: Flags & ArchiveFlags) => act(flags, (api, out) => archive(api, flags, out)));
  verb(program, "audit", "check that every journal tells the truth about its run").action(
    (flags: Flags) => act(flags, audit),
  );
}

function entryNumber(text: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw new InvalidArgumentError("It must be a number of the run's journal.");
}

function pathOf(id: string): string {
  return `/workflows/${encodeURIComponent(id)}`;
}

async function showSnapshot(
  api: ApiClient,
  id: string,
  at: number | undefined,
  out: VerbOutput,
): Promise<number> {
  const query = at === undefined ? "" : `?at=${at}`;
  const snapshot = await api.get<SnapshotView>(`${pathOf(id)}/snapshot${query}`);
  out.json(snapshot);
  const where = snapshot.state === "" ? "" : ` in ${snapshot.state}`;
  out.line(
    `${id} after ${snapshot.seq}: ${snapshot.status}${where}, ${snapshot.at ?? "not begun"}`,
  );
  const rows = snapshot.tasks.map(({ key, status, attempt, error }) => [
    key,
    status,
    String(attempt),
    error?.message ?? "",
  ]);
  for (const line of tableLines(["TASK", "STATUS", "ATTEMPT", "ERROR"], rows)) out.line(line);
  for (const { key, dueAt, remainingMs } of snapshot.timers) {
    out.line(`timer ${key} ${dueAt ?? `stands still with ${durationText(remainingMs ?? 0)} left`}`);
  }
  return 0;
}

async function fork(
  api: ApiClient,
  id: string,
  { at, input, latest, stub }: ForkFlags,
  out: VerbOutput,
): Promise<number> {
  const run = await api.post<WorkflowView>(`${pathOf(id)}/fork`, {
    at,
    ...(input === undefined ? {} : { input }),
    ...(latest === undefined ? {} : { definition: "latest" }),
    ...(stub === undefined ? {} : { stub }),
  });
  out.json(run);
  out.line(`forked ${id} at ${at} as ${run.id}`);
  return 0;
}

async function diff(api: ApiClient, left: string, right: string, out: VerbOutput): Promise<number> {
  const query = new URLSearchParams({ with: right });
  const view = await api.get<RunDiffView>(`${pathOf(left)}/diff?${query}`);
  out.json(view);
  const lines = diffLines(view);
  for (const line of lines) out.line(line);
  if (lines.length === 0) out.line("The runs do not differ");
  return lines.length === 0 ? 0 : 1;
}

function diffLines(view: RunDiffView): string[] {
  const { definition, journal, status } = view;
  const text = (value: Json) => JSON.stringify(value);
  const values = (name: string, list: RunDiffView["input"]) =>
    list.map(({ path, left, right }) => `${name}${path}: ${text(left)} | ${text(right)}`);
  const task = (one: RunDiffView["tasks"][number]["left"]) =>
    one === null
      ? "none"
      : `${one.status} at attempt ${one.attempt}${one.code === null ? "" : ` (${one.code})`}`;
  return [
    ...(definition === null ? [] : [`version: ${definition.left} | ${definition.right}`]),
    ...(status === null ? [] : [`status: ${status.left} | ${status.right}`]),
    ...values("input", view.input),
    ...view.tasks.flatMap(({ key, left, right, output }) => [
      ...(task(left) === task(right) ? [] : [`task ${key}: ${task(left)} | ${task(right)}`]),
      ...values(`output of ${key}`, output),
    ]),
    ...values("output", view.output),
    ...(journal === null
      ? []
      : [`journals part at ${journal.seq}: ${journal.left ?? "end"} | ${journal.right ?? "end"}`]),
  ];
}

async function unpark(api: ApiClient, id: string, out: VerbOutput): Promise<number> {
  const run = await api.post<WorkflowView>(`${pathOf(id)}/unpark`);
  out.json(run);
  out.line(`${run.id} is ${run.status}`);
  return 0;
}

/** 1 when some open run does not fit. */
async function check(
  api: ApiClient,
  workflow: string | undefined,
  out: VerbOutput,
): Promise<number> {
  const body = workflow === undefined ? {} : { workflow };
  const { items } = await api.post<{ items: readonly MoveCheckView[] }>("/definitions/check", body);
  out.json({ items });
  const rows = items.flatMap(({ workflow: name, runs }) =>
    runs.map(({ id, verdict, reasons }) => [name, id, verdict, reasons.join("; ")]),
  );
  if (rows.length === 0) out.line("No run is open");
  for (const line of tableLines(["WORKFLOW", "RUN", "VERDICT", "REASONS"], rows)) out.line(line);
  return rows.some(([, , verdict]) => verdict === "cannot") ? 1 : 0;
}

async function audit(api: ApiClient, out: VerbOutput): Promise<number> {
  const { items } = await api.post<{ items: readonly AuditFinding[] }>("/system/audit");
  out.json({ items });
  for (const { workflowId, rule, path, detail } of items)
    out.line(`${workflowId} ${rule} ${path}: ${detail}`);
  if (items.length === 0) out.line("Every journal is without gaps and folds to its run");
  return items.length === 0 ? 0 : 1;
}

async function archive(
  api: ApiClient,
  { delete: deletes, olderThan }: ArchiveFlags,
  out: VerbOutput,
): Promise<number> {
  const view = await api.post<RetentionView>("/system/archive", {
    ...(olderThan === undefined ? {} : { olderThanMs: olderThan }),
    ...(deletes === undefined ? {} : { then: "delete" }),
  });
  out.json(view);
  const { archived, busy, deleted, journal, runs, tasks } = view;
  const kept = archived === runs ? "archived" : "deleted";
  out.line(`${runs} ended runs ${kept}, with ${tasks} tasks and ${journal} journal entries`);
  if (deleted > 0) out.line(`${deleted} archived runs deleted`);
  if (busy) out.line("Another node is at it, and goes on");
  return 0;
}
