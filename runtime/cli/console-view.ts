/**
 * The live view of a run as lines of text: a bar per stage and per running task, health, counts.
 * A pure function of its arguments; `console-screen.ts` puts the lines on the terminal.
 *
 * @module
 */

import { styleText } from "node:util";
import type { TaskStatus, TaskView, WorkflowStatus } from "../system.ts";
import { bar, cellsOf, cutTo, fit } from "./console-text.ts";
import { durationText, numberText } from "./figures.ts";
import { isActive, isDone, type RunState, shareOf, tasksOf } from "./run-state.ts";

export interface ViewOptions {
  /** Cells of the terminal. */
  readonly columns: number;
  readonly rows: number;
  readonly colour: boolean;
  /** Of the dashboard. */
  readonly url: string;
  readonly now: Date;
}

type Style = Parameters<typeof styleText>[0];

/** Narrower than this, lines wrap. */
export const MIN_COLUMNS = 41;
/** Cells of a task's bar and percentage. */
const METER = 18;
const statusStyles: Readonly<Record<WorkflowStatus, Style>> = {
  pending: "gray",
  running: "cyan",
  paused: "yellow",
  completed: "green",
  failed: "red",
  cancelled: "yellow",
  parked: "red",
};

/** At most `rows - 1` lines, each of at most `columns - 1` cells, so that nothing wraps or scrolls. */
export function renderView(state: RunState, options: ViewOptions): string[] {
  const width = Math.max(MIN_COLUMNS, options.columns) - 1;
  const paint = (style: Style, text: string): string =>
    options.colour ? styleText(style, text, { validateStream: false }) : text;
  const active = [...state.tasks.values()].filter(({ status }) => isActive(status));
  const failed = [...state.tasks.values()].filter(({ status }) => isLost(status));
  const head = [headLine(state, options.now, width, paint), ""];
  const stages = state.stages.map((stage) => stageLine(state, stage, width, paint));
  const foot = ["", ...footLines(state, options, width, paint)];
  const room = Math.max(0, options.rows - 1 - head.length - stages.length - foot.length - 1);
  const tasks = [
    ...failed.map((task) => failedLine(task, width, paint)),
    ...active.map((task) => taskLine(task, options.now, width, paint)),
  ];
  const lines = [
    ...head,
    ...stages,
    ...(tasks.length > 0 ? [""] : []),
    ...within(tasks, room),
    ...foot,
  ];
  return lines.slice(0, Math.max(1, options.rows - 1));
}

type Paint = (style: Style, text: string) => string;

function headLine({ workflow }: RunState, now: Date, width: number, paint: Paint): string {
  const end = workflow.finishedAt === null ? now : new Date(workflow.finishedAt);
  const start = workflow.startedAt ?? workflow.createdAt;
  const { done, total } = workflow.tasks;
  const right = ` ${done}/${total} tasks  ${durationText(Math.max(0, end.getTime() - Date.parse(start)))}`;
  const status = ` ${workflow.status}`;
  const title = cutTo(workflow.title, width - right.length - status.length);
  const gap = " ".repeat(Math.max(0, width - right.length - status.length - cellsOf(title)));
  return paint("bold", title) + paint(statusStyles[workflow.status], status) + gap + right;
}

function stageLine(
  state: RunState,
  stage: RunState["stages"][number],
  width: number,
  paint: Paint,
): string {
  const tasks = tasksOf(state, stage);
  const done = tasks.filter(({ status }) => isDone(status)).length;
  const sum = tasks.reduce((total, task) => total + (shareOf(task) ?? 0), 0);
  const share = stage.tasks.length === 0 ? 1 : sum / stage.tasks.length;
  const right = ` ${percentText(share)}  ${done}/${stage.tasks.length}`;
  const name = Math.min(34, Math.floor(width * 0.45));
  const room = width - name - 1 - right.length;
  const style = stageStyle(state, stage, done);
  return `${fit(stage.title, name)} ${paint(style, bar(share, Math.max(4, room)))}${right}`;
}

function stageStyle(state: RunState, stage: RunState["stages"][number], done: number): Style {
  const tasks = tasksOf(state, stage);
  if (tasks.some(({ status }) => isLost(status))) return "red";
  if (done === stage.tasks.length) return "green";
  return tasks.some(({ status }) => isActive(status)) ? "cyan" : "gray";
}

function taskLine(task: TaskView, now: Date, width: number, paint: Paint): string {
  const share = shareOf(task);
  const since =
    task.startedAt === null ? 0 : Math.max(0, now.getTime() - Date.parse(task.startedAt));
  const elapsed = task.startedAt === null ? "" : ` ${durationText(since)}`;
  const attempt = task.attempt > 1 ? ` (attempt ${task.attempt})` : "";
  const label = `${task.title}${attempt}`;
  const name = Math.min(34, Math.floor(width * 0.45), width - METER - 1 - elapsed.length);
  const meter =
    share === undefined
      ? ` ${fit(statusWord(task.status), METER - 1)}`
      : ` ${bar(share, 11)} ${percentText(share)}`;
  const room = width - name - METER - 1 - elapsed.length;
  const message = room > 3 ? ` ${fit(messageOf(task), room)}` : " ".repeat(Math.max(0, room + 1));
  return `  ${fit(label, name - 2)}${paint("cyan", meter)}${message}${elapsed}`;
}

function failedLine(task: TaskView, width: number, paint: Paint): string {
  const why = task.error?.message ?? "no reason was recorded";
  return paint("red", `  ${cutTo(`✗ ${task.title}: ${why}`, width - 2)}`);
}

function footLines(state: RunState, options: ViewOptions, width: number, paint: Paint): string[] {
  const healthy = [...state.agents.values()].filter(Boolean).length;
  const { total, done, running, failed } = state.workflow.tasks;
  const agents = `${healthy}/${state.agents.size} agents healthy`;
  const counts = `${running} running, ${Math.max(0, total - done - running - failed)} waiting, ${failed} failed`;
  const style = healthy === state.agents.size ? "green" : "yellow";
  return [
    `${paint(style, agents)} ${cutTo(`· ${counts}`, width - agents.length - 1)}`,
    paint("gray", cutTo(`${options.url} · Ctrl-C stops`, width)),
  ];
}

function messageOf(task: TaskView): string {
  const { done, total, message } = task.progress ?? {};
  const counted =
    done === undefined
      ? ""
      : total === undefined
        ? numberText(done)
        : `${numberText(done)}/${numberText(total)}`;
  return [counted, message ?? ""].filter((part) => part !== "").join(" ");
}

/** The first lines, with a count of the others in the last one. */
function within(lines: readonly string[], room: number): readonly string[] {
  if (lines.length <= room) return lines;
  if (room < 1) return [];
  return [...lines.slice(0, room - 1), `  and ${lines.length - room + 1} more`];
}

function isLost(status: TaskStatus): boolean {
  return status === "failed" || status === "parked";
}

function statusWord(status: TaskStatus): string {
  return status === "running" ? "working" : status;
}

function percentText(share: number): string {
  return `${Math.floor(Math.min(1, Math.max(0, share)) * 100)} %`.padStart(5);
}
