/**
 * The journal of a run together with its rows, as of one moment.
 *
 * @module
 */

import { and, asc, eq, inArray, type SQL, sql } from "drizzle-orm";
import type { Json } from "../machines/error-code.ts";
import type { Patch } from "../machines/run/state.ts";
import { type ArchivedRun, readArchived } from "./archive-repo.ts";
import type { Database } from "./database.ts";
import { toJsonb } from "./jsonb.ts";
import { type LoadedRun, loadRuns } from "./run-repo.ts";
import { definitions, journal, mailbox, tasks, workflows } from "./schema/workflows.ts";

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
  /** Ids of stored runs after `after`, archived ones too, in their order. */
  ids(after: string, limit: number): Promise<readonly string[]>;
  /** Ids of open and parked runs of a workflow, oldest first. */
  openIds(workflow: string, limit: number): Promise<readonly string[]>;
  /** Workflows that have open or parked runs, in the order of their names. */
  openWorkflows(): Promise<readonly string[]>;
  /** Makes a parked run what it was before; any node may take it then. False when it is not parked. */
  unpark(id: string, actor: string): Promise<boolean>;
  attributes(id: string): Promise<Readonly<Record<string, Json>>>;
  /**
   * Sets attributes, or takes those away that are null, and puts the event into the run's mailbox,
   * both or neither. Undefined when there is no such run.
   */
  setAttributes(
    id: string,
    set: Readonly<Record<string, Json>>,
    event: Json,
    dedupeKey: string,
  ): Promise<Readonly<Record<string, Json>> | undefined>;
}

export function createHistoryRepo(db: Database): HistoryRepo {
  return {
    read: (id) =>
      db.transaction((tx) => readHistory(tx, id), {
        isolationLevel: "repeatable read",
        accessMode: "read only",
      }),
    ids: async (after, limit) => {
      const rows = await db.execute<{ id: string }>(sql`
        select id from spectra.workflows where id > ${after}
        union all select id from spectra.archived_runs where id > ${after}
        order by id limit ${limit}`);
      return rows.map(({ id }) => id);
    },
    openIds: async (workflow, limit) => {
      const rows = await db
        .select({ id: workflows.id })
        .from(workflows)
        .where(
          and(
            eq(workflows.workflow, workflow),
            inArray(workflows.status, ["pending", "running", "paused", "parked"]),
          ),
        )
        .orderBy(asc(workflows.createdAt))
        .limit(limit);
      return rows.map(({ id }) => id);
    },
    openWorkflows: async () => {
      const rows = await db
        .selectDistinct({ workflow: workflows.workflow })
        .from(workflows)
        .where(inArray(workflows.status, ["pending", "running", "paused", "parked"]))
        .orderBy(asc(workflows.workflow));
      return rows.map(({ workflow }) => workflow);
    },
    unpark: async (id, actor) => {
      const rows = await db.execute(sql`
        with was as (
          select w.id, j.payload->>'was' as status, nullif(j.payload->'error', 'null') as error
          from spectra.workflows w join spectra.journal j
            on j.workflow_id = w.id and j.seq = w.seq and j.type = 'run.parked'
          where w.id = ${id} and w.status = 'parked' for update of w),
          back as (update spectra.workflows w set status = was.status, error = was.error,
              seq = w.seq + 1, owner = null, epoch = w.epoch + 1
            from was where w.id = was.id returning w.id, w.seq, w.status, w.error)
        insert into spectra.journal (workflow_id, seq, type, at, actor, payload, patch)
        select id, seq, 'run.unparked', clock_timestamp(), ${actor}::text, '{}'::jsonb,
          jsonb_build_object('whole', true, 'run', jsonb_build_object('status', status,
            'error', error, 'seq', seq)) from back returning 1`);
      return rows.length > 0;
    },
    attributes: async (id) => {
      const [row] = await db
        .select({ attributes: workflows.attributes })
        .from(workflows)
        .where(eq(workflows.id, id));
      const known = row ?? (await readArchived(db, id));
      return (known?.attributes ?? {}) as Readonly<Record<string, Json>>;
    },
    setAttributes: (id, set, event, dedupeKey) =>
      db.transaction(async (tx) => {
        const [row] = await tx.execute<{ attributes: Record<string, Json> }>(sql`
          update spectra.workflows
          set attributes = jsonb_strip_nulls(attributes || ${toJsonb(set)}::jsonb)
          where id = ${id} returning attributes`);
        if (row === undefined) return undefined;
        await tx.insert(mailbox).values({ workflowId: id, event, dedupeKey });
        return row.attributes;
      }),
  };
}

/** What stands in for an attempt of a fork. */
export type Recorded =
  /** Nothing: it is run. */
  | { readonly type: "real" }
  | { readonly type: "recorded"; readonly output: Json }
  | { readonly type: "gone"; readonly from: string };

export interface StubRepo {
  recorded(forkId: string, taskKey: string): Promise<Recorded>;
}

export function createStubRepo(db: Database): StubRepo {
  return {
    recorded: async (forkId, taskKey) => {
      const [row] = await db.execute<{ from: string; output: Json | null; known: boolean }>(sql`
        select j.payload->>'from' as "from", t.output, t.output is not null as known
        from spectra.journal j left join spectra.tasks t
          on t.workflow_id = j.payload->>'from' and t.key = ${taskKey} and t.status = 'succeeded'
        where j.workflow_id = ${forkId} and j.seq = 1 and j.type = 'run.forked'
          and j.payload->'stubs' ? ${taskKey}`);
      if (row === undefined) return { type: "real" };
      if (row.known) return { type: "recorded", output: row.output };
      const kept = (await readArchived(db, row.from))?.tasks.find(({ key }) => key === taskKey);
      if (kept?.status === "succeeded" && kept.output !== null) {
        return { type: "recorded", output: kept.output };
      }
      return { type: "gone", from: row.from };
    },
  };
}

type Reads = Pick<Database, "select">;

/** In the transaction of the caller. */
export async function readHistory(tx: Reads, id: string): Promise<RunHistory | undefined> {
  const [loaded] = await loadRuns(tx, eq(workflows.id, id));
  if (loaded === undefined) {
    const archived = await readArchived(tx, id);
    return archived === undefined ? undefined : await historyOf(tx, archived);
  }
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

async function historyOf(
  tx: Reads,
  { journal: entries, loaded, tasks: rows }: ArchivedRun,
): Promise<RunHistory> {
  const hashes = [loaded.definitionHash, ...entries.flatMap(movedFrom)];
  const known = await definitionsOf(tx, hashes);
  return {
    loaded: { ...loaded, definition: known[loaded.definitionHash] ?? null },
    journal: entries,
    outputs: Object.fromEntries(
      rows.flatMap(({ key, output }) => (output === null ? [] : [[key, output] as const])),
    ),
    definitions: known,
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
