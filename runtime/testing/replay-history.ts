/**
 * Recorded histories as a compatibility test: what happened to a run then happens to it again, with
 * today's code and today's definition, and must lead to the same journal.
 *
 * What happened from outside (starts, ends of attempts, signals, decisions, timers, dispatches) is read from the
 * recorded entries; all that follows from it is computed and compared: number, type, time, actor, payload, and,
 * where it was recorded, the patch. Outputs are not in a journal, and are taken from `history.outputs`.
 *
 * @module
 */

import { AssertionError } from "node:assert";
import { isDeepStrictEqual } from "node:util";
import type { WorkflowDefinition } from "../../actors/define-workflow.ts";
import { AgentError, type Json } from "../../machines/error-code.ts";
import { fold } from "../../machines/run/fold.ts";
import {
  initialRun,
  type JournalDraft,
  type RunState,
  type RunStatus,
} from "../../machines/run/state.ts";
import { beginTurn, type MutableRunState } from "../../machines/run/turn.ts";
import { compileDefinition } from "../engine/compile-definition.ts";
import { recordedEvent } from "./recorded-event.ts";
import { checkGaps, type RecordedEntry, type RecordedHistory } from "./recorded-history.ts";

export interface ReplayDifference {
  readonly seq: number;
  /** Null: today's code writes an entry more. */
  readonly recorded: Json;
  /** Null: today's code writes no such entry. */
  readonly replayed: Json;
}

export interface ReplayReport {
  /** Entries that were compared and are the same. */
  readonly compared: number;
  /** Whether patches were compared too: false as soon as an entry had none. */
  readonly patches: boolean;
  /**
   * Numbers of entries that were taken over as they were recorded, because nothing in the engine's core
   * writes them first: `run.moved`, for one.
   */
  readonly adopted: readonly number[];
  /** The first entry that differs; null: the run is compatible. */
  readonly difference: ReplayDifference | null;
  /** What the run was after the last entry that is the same. */
  readonly status: RunStatus;
}

export interface ReplayOptions {
  /** Default: the one that the run was recorded with. */
  readonly definition?: WorkflowDefinition;
}

/** @throws {AgentError} `HISTORY_INCOMPLETE` when the journal has a gap, `HISTORY_FORKED` for a fork. */
export function replayHistory(history: RecordedHistory, options: ReplayOptions = {}): ReplayReport {
  const { id, input, journal, parent, priority } = history;
  checkGaps(id, journal);
  if (journal[0]?.type === "run.forked") {
    throw new AgentError(
      "HISTORY_FORKED",
      `Cannot replay run "${id}": it begins in the middle of another one; replay that one`,
    );
  }
  const { plan } = compileDefinition(options.definition ?? history.definition);
  const given = journal.find(({ patch }) => patch?.run?.priority !== undefined)?.patch?.run;
  const start = { input, parent, priority: given?.priority ?? priority };
  let state: MutableRunState = initialRun(id, plan, start);
  const adopted: number[] = [];
  const report = (at: number, difference: ReplayDifference | null): ReplayReport => ({
    compared: at - adopted.length,
    patches: journal.every(({ patch }) => patch !== undefined && patch !== null),
    adopted,
    difference,
    status: state.status,
  });
  for (let at = 0; at < journal.length; ) {
    const entry = journal[at];
    const next = recordedEvent({ state, plan, history, at });
    if (entry === undefined) break;
    if (next === undefined && isAdoptable(entry)) {
      state = adopt(state, entry, plan);
      adopted.push(entry.seq);
      at += 1;
      continue;
    }
    const turn = beginTurn(state, plan, () => next?.random ?? 0);
    let drafts: readonly JournalDraft[] = [];
    if (next !== undefined) {
      try {
        turn.apply(next.event, next.timer);
      } catch (error) {
        return report(at, { seq: entry.seq, recorded: shown(entry), replayed: String(error) });
      }
      drafts = turn.journal();
    }
    const written = drafts.length === 0 ? [undefined] : drafts;
    for (const [index, draft] of written.entries()) {
      const recorded = journal[at + index];
      const difference = differenceOf(recorded, draft, entry.seq + index);
      if (difference !== null) return report(at + index, difference);
    }
    turn.advance(state);
    at += drafts.length;
  }
  return report(journal.length, null);
}

/** @throws {AssertionError} With both forms of the first entry that differs. */
export function assertReplays(history: RecordedHistory, options: ReplayOptions = {}): void {
  const { difference } = replayHistory(history, options);
  if (difference === null) return;
  const { recorded, replayed, seq } = difference;
  throw new AssertionError({
    message: `Run "${history.id}" goes another way from entry ${seq} on:\n- recorded ${text(recorded)}\n+ replayed ${text(replayed)}`,
    expected: recorded,
    actual: replayed,
    operator: "assertReplays",
  });
}

function text(entry: Json): string {
  return entry === null ? "nothing" : JSON.stringify(entry);
}

/** What operators and migrations write besides the core's turns. */
const foreign = /^(?:run\.(?:moved|parked|queued)|state\.changed)$/;

function isAdoptable({ type }: RecordedEntry): boolean {
  return foreign.test(type);
}

function adopt(
  state: RunState,
  { patch, seq }: RecordedEntry,
  plan: Parameters<typeof fold>[1],
): MutableRunState {
  return { ...fold(state, plan, patch === undefined || patch === null ? [] : [patch]), seq };
}

function differenceOf(
  recorded: RecordedEntry | undefined,
  draft: JournalDraft | undefined,
  seq: number,
): ReplayDifference | null {
  if (recorded === undefined || draft === undefined) {
    return {
      seq,
      recorded: recorded === undefined ? null : shown(recorded),
      replayed: draft === undefined ? null : shown(draft),
    };
  }
  const hasPatch = recorded.patch !== undefined && recorded.patch !== null;
  const [was, is] = [shown(recorded, hasPatch), shown(draft, hasPatch)];
  return isDeepStrictEqual(was, is) ? null : { seq, recorded: was, replayed: is };
}

function shown({ actor, atMs, patch, payload, seq, type }: RecordedEntry, whole = false): Json {
  // Not what marks an event's last entry: older histories have no such mark.
  const { run, tasks, timers } = patch ?? {};
  const entry = { seq, type, atMs, actor, payload, ...(whole ? { run, tasks, timers } : {}) };
  return JSON.parse(JSON.stringify(entry)) as Json;
}
