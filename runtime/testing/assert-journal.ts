/**
 * Assertions about a run, for any test runner: they throw `AssertionError` with what was there.
 *
 * @module
 */

import { AssertionError } from "node:assert";
import { isDeepStrictEqual } from "node:util";
import type { Json } from "../../machines/error-code.ts";
import type { JournalDraft } from "../../machines/run/state.ts";
import type { TestRun, TestTask } from "./test-run.ts";

/** The type of an entry, `type task` as in `task.ready render[3]`, or what it holds. */
export type ExpectedEntry = string | { readonly type: string; readonly [field: string]: Json };

/**
 * The journal holds these entries, in this order; others may stand between them.
 * @throws {AssertionError}
 */
export function assertJournal(
  run: Pick<TestRun, "journal">,
  expected: readonly ExpectedEntry[],
): void {
  let at = 0;
  for (const [index, one] of expected.entries()) {
    const found = run.journal.slice(at).findIndex((entry) => fits(entry, one));
    if (found >= 0) {
      at += found + 1;
      continue;
    }
    throw new AssertionError({
      message: `The journal has no ${shown(one)}${at === 0 ? "" : ` after entry ${at}`}:\n${listing(run.journal, at)}`,
      expected: expected.slice(0, index + 1).map(shown),
      actual: run.journal.map(line),
      operator: "assertJournal",
    });
  }
}

/**
 * The journal holds no such entry.
 * @throws {AssertionError}
 */
export function assertNotInJournal(run: Pick<TestRun, "journal">, entry: ExpectedEntry): void {
  const found = run.journal.find((one) => fits(one, entry));
  if (found === undefined) return;
  throw new AssertionError({
    message: `The journal has ${shown(entry)}, as entry ${found.seq}:\n${listing(run.journal, found.seq)}`,
    expected: `no ${shown(entry)}`,
    actual: line(found),
    operator: "assertNotInJournal",
  });
}

/**
 * The task has these fields; the others do not matter.
 * @throws {AssertionError} With all that differ.
 */
export function assertTask(
  run: Pick<TestRun, "task">,
  key: string,
  expected: Partial<Omit<TestTask, "key" | "error">> & {
    /** Code of its error. */
    readonly error?: string | null;
  },
): void {
  const { error, ...task } = run.task(key);
  const actual: Readonly<Record<string, unknown>> = { ...task, error: error?.code ?? null };
  const wrong = Object.entries(expected).filter(
    ([name, value]) => !isDeepStrictEqual(actual[name], value),
  );
  if (wrong.length === 0) return;
  const lines = wrong.map(
    ([name, value]) => `  ${name}: ${text(actual[name])}, expected ${text(value)}`,
  );
  const because = error === null ? "" : `\n  (${error.code}: ${error.message})`;
  throw new AssertionError({
    message: `Task "${key}" is not as expected:\n${lines.join("\n")}${because}`,
    expected,
    actual: Object.fromEntries(wrong.map(([name]) => [name, actual[name]])),
    operator: "assertTask",
  });
}

/**
 * The run has completed; with `output`: with this one.
 * @throws {AssertionError} Naming the error it ended with, or the tasks that are open.
 */
export function assertCompleted(
  run: Pick<TestRun, "error" | "output" | "status" | "tasks">,
  output?: Json,
): void {
  const { error, status, tasks } = run;
  if (status !== "completed") {
    const open = tasks
      .filter((task) => !["succeeded", "skipped"].includes(task.status))
      .map((task) => `\n  ${task.key} is ${task.status}`);
    const why = error === null ? "" : `: ${error.code}, ${error.message}`;
    throw new AssertionError({
      message: `The run is ${status}, not completed${why}${open.join("")}`,
      expected: "completed",
      actual: status,
      operator: "assertCompleted",
    });
  }
  if (output === undefined || isDeepStrictEqual(run.output, output)) return;
  throw new AssertionError({
    message: `The run's output is ${text(run.output)}, expected ${text(output)}`,
    expected: output,
    actual: run.output,
    operator: "assertCompleted",
  });
}

function fits({ payload, type }: JournalDraft, expected: ExpectedEntry): boolean {
  const fields = (payload ?? {}) as { readonly [name: string]: Json };
  if (typeof expected === "string") {
    const [wanted, ...rest] = expected.split(" ");
    const task = rest.join(" ");
    return type === wanted && (task === "" || fields["task"] === task || fields["stage"] === task);
  }
  const { type: wanted, ...wantedFields } = expected;
  return (
    type === wanted &&
    Object.entries(wantedFields).every(([name, value]) => isDeepStrictEqual(fields[name], value))
  );
}

function shown(expected: ExpectedEntry): string {
  return typeof expected === "string" ? `"${expected}"` : text(expected);
}

function line({ payload, seq, type }: JournalDraft): string {
  return `${seq} ${type} ${text(payload)}`;
}

/** Entries that a message shows around the place, at most. */
const shownBefore = 10;
const shownAfter = 30;

function listing(journal: readonly JournalDraft[], at: number): string {
  const from = Math.max(0, at - shownBefore);
  const part = journal.slice(from, at + shownAfter);
  const left = journal.length - from - part.length;
  const lines = part.map((entry) => `${entry.seq === at ? "> " : "  "}${line(entry)}`);
  return [...lines, ...(left === 0 ? [] : [`  … ${left} more`])].join("\n");
}

function text(value: unknown): string {
  return JSON.stringify(value) ?? "undefined";
}
