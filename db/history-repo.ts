/**
 * The journal of a run together with its rows, as of one moment.
 *
 * @module
 */

import { and, asc, eq, gt, inArray, type SQL, sql } from "drizzle-orm";
import type { Json } from "../machines/error-code.ts";
import type { Patch } from "../machines/run/state.ts";
import type { Database } from "./database.ts";
import { type LoadedRun, loadRuns } from "./run-repo.ts";
import { definitions, journal, tasks, workflows } from "./schema/workflows.ts";

export interface HistoryEntry {
  readonly seq: number;
  readonly type: string;
  readonly atMs: number;
  readonly actor: string;
  readonly payload: Json;
  /** Null: written before patches were kept. */
  readonly patch: Patch | null;
}

/** All that is known of a run. */
export interface RunHistory {
  readonly loaded: LoadedRun;
  /** In order. */
  readonly journal: readonly HistoryEntry[];
  /** By task key. */
  readonly outputs: Readonly<Record<string, Json>>;
  /** By content hash: the run's own, and those that it was moved away from. */
  readonly definitions: Readonly<Record<string, Json>>;
}

export interface HistoryRepo {
  /** One consistent look, however busy the run is. */
  read(id: string): Promise<RunHistory | undefined>;
  /** Ids of stored runs after `after`, in their order. */
  ids(after: string, limit: number): Promise<readonly string[]>;
}

export function createHistoryRepo(db: Database): HistoryRepo {
  return {
    read: (id) =>
      db.transaction((tx) => readHistory(tx, id), {
        isolationLevel: "repeatable read",
        accessMode: "read only",
      }),
    ids: async (after, limit) => {
      const rows = await db
        .select({ id: workflows.id })
        .from(workflows)
        .where(gt(workflows.id, after))
        .orderBy(asc(workflows.id))
        .limit(limit);
      return rows.map(({ id }) => id);
    },
  };
}

type Reads = Pick<Database, "select">;

/** In the transaction of the caller. */
export async function readHistory(tx: Reads, id: string): Promise<RunHistory | undefined> {
  const [loaded] = await loadRuns(tx, eq(workflows.id, id));
  if (loaded === undefined) return undefined;
  const rows = await tx
    .select({
      seq: journal.seq,
      type: journal.type,
      atMs: sql<number>`(extract(epoch from ${journal.at}) * 1000)::float8`,
      actor: journal.actor,
      payload: journal.payload,
      patch: journal.patch,
    })
    .from(journal)
    .where(eq(journal.workflowId, id))
    .orderBy(asc(journal.seq));
  const entries = rows as HistoryEntry[];
  const hashes = [loaded.definitionHash, ...entries.flatMap(movedFrom)];
  return {
    loaded,
    journal: entries,
    outputs: await outputsOf(tx, eq(tasks.workflowId, id)),
    definitions: await definitionsOf(tx, hashes),
  };
}

/** The definition that a run had before this entry moved it to another. */
function movedFrom({ type, payload }: HistoryEntry): string[] {
  const { from } = (payload ?? {}) as { from?: unknown };
  return type === "run.moved" && typeof from === "string" ? [from] : [];
}

async function outputsOf(tx: Reads, where: SQL): Promise<Record<string, Json>> {
  const rows = await tx
    .select({ key: tasks.key, output: tasks.output })
    .from(tasks)
    .where(and(where, sql`${tasks.output} is not null`));
  return Object.fromEntries(rows.map(({ key, output }) => [key, output as Json]));
}

async function definitionsOf(tx: Reads, hashes: readonly string[]): Promise<Record<string, Json>> {
  const rows = await tx
    .select({ hash: definitions.hash, body: definitions.body })
    .from(definitions)
    .where(inArray(definitions.hash, [...hashes]));
  return Object.fromEntries(rows.map(({ hash, body }) => [hash, body as Json]));
}
