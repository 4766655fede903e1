/**
 * The state of a run at any number of its journal.
 *
 * @module
 */

import type { WorkflowDefinition } from "../../actors/define-workflow.ts";
import type { HistoryEntry, RunHistory } from "../../db/history-repo.ts";
import { AgentError, type Json } from "../../machines/error-code.ts";
import { fold } from "../../machines/run/fold.ts";
import type { RunPlan } from "../../machines/run/plan.ts";
import { initialRun, type Patch, type RunState } from "../../machines/run/state.ts";
import { compileDefinition } from "../engine/compile-definition.ts";

/** A run as it was. */
export interface PastRun {
  readonly state: RunState;
  readonly plan: RunPlan;
  readonly definition: WorkflowDefinition;
  readonly definitionHash: string;
  /** Of the tasks that had succeeded by then, by key. */
  readonly outputs: ReadonlyMap<string, Json>;
  /** When the entry was written; null for `at` 0. */
  readonly atMs: number | null;
}

/**
 * @param at Number of a journal entry; 0 is before the first.
 * @throws {AgentError} `HISTORY_INCOMPLETE` when the journal has a gap, or an entry without a patch, up to there;
 *   `SEQ_UNKNOWN` when it is shorter; `DEFINITION_MISSING` when the definition of that time is not stored.
 */
export function stateAt(history: RunHistory, at: number): PastRun {
  const { loaded, journal, outputs } = history;
  const past = journal.slice(0, at);
  if (past.length < at) {
    throw new AgentError(
      "SEQ_UNKNOWN",
      `Cannot show run "${loaded.run.id}" at ${at}: its journal ends at ${journal.length}`,
    );
  }
  const patches = past.map((entry, index) => patchOf(loaded.run.id, entry, index + 1));
  const { input, parent } = loaded.run;
  const priority = patches.find(({ run }) => run?.priority !== undefined)?.run?.priority;
  const options = { input, parent, priority: priority ?? loaded.run.priority };
  const start = compiledAt(history, 0);
  const now = compiledAt(history, at);
  const state = fold(initialRun(loaded.run.id, start.plan, options), now.plan, patches);
  const known = [...state.tasks.values()].flatMap(({ key, status }) => {
    const output = outputs[key];
    return status === "succeeded" && output !== undefined ? [[key, output] as const] : [];
  });
  return { ...now, state, outputs: new Map(known), atMs: past.at(-1)?.atMs ?? null };
}

function patchOf(id: string, { seq, patch }: HistoryEntry, expected: number): Patch {
  if (seq === expected && patch !== null) return patch;
  const what = seq === expected ? `entry ${seq} has no patch` : `entry ${expected} is missing`;
  throw new AgentError("HISTORY_INCOMPLETE", `Cannot fold the journal of run "${id}": ${what}`);
}

/** The definition that the run was pinned to after entry `at`. */
function compiledAt(
  { loaded, journal, definitions }: RunHistory,
  at: number,
): Pick<PastRun, "plan" | "definition" | "definitionHash"> {
  const later = journal.slice(at).find(({ type }) => type === "run.moved");
  const { from } = (later?.payload ?? {}) as { from?: string };
  const definitionHash = from ?? loaded.definitionHash;
  const body = definitions[definitionHash];
  if (body === undefined) {
    const message = `Cannot read run "${loaded.run.id}": its definition ${definitionHash} is not stored`;
    throw new AgentError("DEFINITION_MISSING", message);
  }
  const definition = body as unknown as WorkflowDefinition;
  return { definition, definitionHash, plan: compileDefinition(definition).plan };
}
