/**
 * Where the supervisor command shows what happens: a live view on a terminal, lines in a pipe,
 * or JSON lines for programs.
 *
 * @module
 */

import type { TaskView } from "../system.ts";
import { type ConsoleScreen, openConsoleScreen } from "./console-screen.ts";
import { MIN_COLUMNS, renderView } from "./console-view.ts";
import { taskLineOf } from "./plain-view.ts";
import type { RunState } from "./run-state.ts";
import type { RunListener } from "./watch-run.ts";

export interface RunOutput {
  /** A line of the result, on stdout; dropped in JSON mode. */
  line(text: string): void;
  /** A line about what goes on, on stderr, above a live view. */
  note(text: string): void;
  /** One record on stdout in JSON mode; dropped otherwise. */
  record(value: { readonly type: string; readonly [key: string]: unknown }): void;
  /** Begins to show a run; the listener takes its changes until `stop`. */
  follow(url: string): { readonly listener: RunListener; stop(): void };
}

export interface OutputOptions {
  readonly json: boolean;
  /** False shows lines also on a terminal. */
  readonly live: boolean;
  readonly colour: boolean;
  readonly updateMs: number;
  readonly stdout: NodeJS.WriteStream;
  readonly stderr: NodeJS.WriteStream;
}

export function createRunOutput(options: OutputOptions): RunOutput {
  const { stdout, stderr, json } = options;
  let screen: ConsoleScreen | undefined;
  // A reader that has gone makes each write an error: the first one ends the writing, for a report
  // of the error would be the next such write.
  let isRead = true;
  for (const stream of [stdout, stderr]) {
    stream.on("error", () => {
      isRead = false;
    });
  }
  const line = (text: string): void => {
    if (json || !isRead) return;
    if (screen === undefined) stdout.write(`${text}\n`);
    else screen.printAbove(text);
  };
  const note = (text: string): void => {
    if (!isRead) return;
    // A terminal shows both streams in one place, so a note would tear the view; elsewhere they are apart.
    if (screen === undefined || !stderr.isTTY) stderr.write(`${text}\n`);
    else screen.printAbove(text);
  };
  const record: RunOutput["record"] = (value) => {
    if (json && isRead) stdout.write(`${JSON.stringify(value)}\n`);
  };
  const followLines = () => ({ listener: lineListener(line, record), stop: () => undefined });
  const followLive = (url: string) => {
    let state: RunState | undefined;
    const opened = openConsoleScreen(stdout);
    screen = opened;
    const draw = (): void => {
      if (state === undefined) return;
      const { columns, rows } = stdout;
      opened.draw(
        renderView(state, { columns, rows, colour: options.colour, url, now: new Date() }),
      );
    };
    const timer = setInterval(draw, options.updateMs);
    const listener: RunListener = (next) => {
      const first = state === undefined;
      state = next;
      if (first) draw();
    };
    const stop = (): void => {
      clearInterval(timer);
      draw();
      opened.close();
      screen = undefined;
    };
    return { listener, stop };
  };
  const isLive = !json && options.live && stdout.isTTY && stdout.columns >= MIN_COLUMNS;
  return { line, note, record, follow: isLive ? followLive : followLines };
}

/** One line, or one record, for each start and end of a task; first for what was there already. */
function lineListener(line: RunOutput["line"], record: RunOutput["record"]): RunListener {
  let told = false;
  const tell = (workflowId: string, before: TaskView | undefined, task: TaskView): void => {
    const text = taskLineOf(before, task);
    if (text === undefined) return;
    line(`${new Date().toTimeString().slice(0, 8)} ${text}`);
    record({ type: "task", workflowId, task });
  };
  return ({ workflow, tasks }, change) => {
    if (change !== undefined) tell(workflow.id, change.before, change.after);
    else if (!told) for (const task of tasks.values()) tell(workflow.id, undefined, task);
    told = true;
  };
}
