/**
 * A run as it was recorded: what a replay needs of it. Plain JSON, made to be kept in a file.
 *
 * @module
 */

import type { WorkflowDefinition } from "../../actors/define-workflow.ts";
import { AgentError, type ErrorRecord, type Json } from "../../machines/error-code.ts";
import type { Patch } from "../../machines/run/state.ts";

export interface RecordedEntry {
  readonly seq: number;
  readonly type: string;
  readonly atMs: number;
  readonly actor: string;
  readonly payload: Json;
  /** What it changed. Absent in what the HTTP API gives: then only the rest is compared. */
  readonly patch?: Patch | null;
}

export interface RecordedHistory {
  readonly id: string;
  readonly definition: WorkflowDefinition;
  readonly input: Json;
  readonly priority: number;
  readonly parent: { readonly workflowId: string; readonly taskKey: string } | null;
  /** From the first entry on, without gaps. */
  readonly journal: readonly RecordedEntry[];
  /** Of tasks that succeeded, by key: they do not stand in the journal. */
  readonly outputs: Readonly<Record<string, Json>>;
  /** Newest errors of tasks, by key: whether one may be repeated does not stand in the journal's payloads. */
  readonly errors?: Readonly<Record<string, ErrorRecord>>;
}

/** What the HTTP API says of a run. */
export interface HistoryParts {
  /** As it was started, or as `defineWorkflow` made it then. */
  readonly definition: WorkflowDefinition;
  /** `GET /api/v1/workflows/:id` */
  readonly run: { readonly id: string; readonly priority: number; readonly input: Json };
  /** `items` of all pages of `GET /api/v1/workflows/:id/history` */
  readonly journal: readonly (Omit<RecordedEntry, "atMs" | "patch"> & { readonly at: string })[];
  /** `items` of `GET /api/v1/workflows/:id/tasks` */
  readonly tasks: readonly {
    readonly key: string;
    readonly output?: Json;
    readonly error?: ErrorRecord;
  }[];
}

/**
 * Puts together what the HTTP API tells in several answers.
 * @throws {AgentError} `HISTORY_INCOMPLETE` when the journal has a gap.
 */
export function recordedHistory({
  definition,
  journal,
  run,
  tasks,
}: HistoryParts): RecordedHistory {
  const entries = journal.map(({ at, ...entry }) => ({ ...entry, atMs: Date.parse(at) }));
  checkGaps(run.id, entries);
  const outputs = tasks.flatMap(({ key, output }) =>
    output === undefined ? [] : [[key, output] as const],
  );
  const errors = tasks.flatMap(({ error, key }) =>
    error === undefined ? [] : [[key, error] as const],
  );
  return {
    id: run.id,
    definition,
    input: run.input,
    priority: run.priority,
    parent: null,
    journal: entries,
    outputs: Object.fromEntries(outputs),
    errors: Object.fromEntries(errors),
  };
}

/** @throws {AgentError} `HISTORY_INCOMPLETE` */
export function checkGaps(id: string, journal: readonly { readonly seq: number }[]): void {
  const gap = journal.findIndex(({ seq }, index) => seq !== index + 1);
  if (gap < 0) return;
  throw new AgentError(
    "HISTORY_INCOMPLETE",
    `Cannot replay run "${id}": its journal has ${journal[gap]?.seq} where entry ${gap + 1} must stand; export it from its beginning, all pages`,
  );
}
