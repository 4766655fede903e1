/**
 * What two runs have in common, and where they part.
 *
 * @module
 */

import { isDeepStrictEqual } from "node:util";
import type { RunHistory } from "../../db/history-repo.ts";
import type { Json } from "../../machines/error-code.ts";
import type { TaskState } from "../../machines/run/state.ts";
import type { RunDiffView, TaskDifference, ValueDifference } from "../system/history.ts";

/** Differences within one value at most; the rest of it is not looked at. */
const valueDifferences = 100;

export function diffRuns(left: RunHistory, right: RunHistory): RunDiffView {
  const [one, other] = [left.loaded, right.loaded];
  const sameVersion = one.definitionHash === other.definitionHash;
  return {
    left: one.run.id,
    right: other.run.id,
    definition: sameVersion ? null : { left: one.definitionHash, right: other.definitionHash },
    status:
      one.run.status === other.run.status
        ? null
        : { left: one.run.status, right: other.run.status },
    input: diffValues(one.run.input, other.run.input),
    output: diffValues(one.run.output, other.run.output),
    tasks: diffTasks(left, right),
    journal: diffJournals(left, right),
  };
}

function diffTasks(left: RunHistory, right: RunHistory): TaskDifference[] {
  const [ones, others] = [left.loaded.run.tasks, right.loaded.run.tasks];
  return [...new Set([...ones.keys(), ...others.keys()])].flatMap((key) => {
    const [one, other] = [compared(ones.get(key)), compared(others.get(key))];
    const output = diffValues(left.outputs[key] ?? null, right.outputs[key] ?? null);
    const isSame =
      one?.status === other?.status && one?.attempt === other?.attempt && one?.code === other?.code;
    return isSame && output.length === 0 ? [] : [{ key, left: one, right: other, output }];
  });
}

function compared(task: TaskState | undefined): TaskDifference["left"] {
  if (task === undefined) return null;
  const { attempt, error, finishedAtMs, startedAtMs, status } = task;
  const durationMs =
    startedAtMs === null || finishedAtMs === null ? null : finishedAtMs - startedAtMs;
  return { status, attempt, durationMs, code: error?.code ?? null };
}

function diffJournals(left: RunHistory, right: RunHistory): RunDiffView["journal"] {
  const length = Math.max(left.journal.length, right.journal.length);
  for (let index = 0; index < length; index += 1) {
    const [one, other] = [lineOf(left, index), lineOf(right, index)];
    if (one !== other) return { seq: index + 1, left: one, right: other };
  }
  return null;
}

/** `task.started scan`. */
function lineOf({ journal }: RunHistory, index: number): string | null {
  const entry = journal[index];
  if (entry === undefined) return null;
  const { task, stage } = (entry.payload ?? {}) as { task?: string; stage?: string };
  return [entry.type, task ?? stage].filter((part) => part !== undefined).join(" ");
}

/** JSON pointers to where two values differ. */
export function diffValues(left: Json, right: Json): ValueDifference[] {
  const found: ValueDifference[] = [];
  collect("", left, right, found);
  return found;
}

function collect(path: string, left: Json, right: Json, found: ValueDifference[]): void {
  if (found.length >= valueDifferences || isDeepStrictEqual(left, right)) return;
  if (!isContainer(left) || !isContainer(right) || Array.isArray(left) !== Array.isArray(right)) {
    found.push({ path, left, right });
    return;
  }
  for (const key of new Set([...Object.keys(left), ...Object.keys(right)])) {
    const pointer = `${path}/${key.replaceAll("~", "~0").replaceAll("/", "~1")}`;
    collect(pointer, left[key] ?? null, right[key] ?? null, found);
  }
}

function isContainer(value: Json): value is { readonly [key: string]: Json } {
  return typeof value === "object" && value !== null;
}
