/**
 * Read side: rows as the API and the dashboard show them. Times are epoch milliseconds.
 *
 * @module
 */

import { and, asc, eq, gt, inArray, lt, or, type SQL, sql } from "drizzle-orm";
import type { ErrorRecord, Json } from "../machines/error-code.ts";
import { archivedRow, readArchived } from "./archive-repo.ts";
import type { Database } from "./database.ts";
import { toJsonb } from "./jsonb.ts";
import { archivedRuns, definitions, journal, tasks, workflows } from "./schema/workflows.ts";

export interface RunRow {
  readonly id: string;
  readonly workflow: string;
  readonly title: string;
  readonly definitionHash: string;
  readonly status: string;
  readonly place: string;
  readonly priority: number;
  readonly input: Json;
  /** Null until it completes, and when its definition declares none. */
  readonly output: Json | null;
  readonly error: ErrorRecord | null;
  readonly createdAtMs: number;
  readonly startedAtMs: number | null;
  readonly finishedAtMs: number | null;
  readonly total: number;
  readonly done: number;
  readonly running: number;
  readonly failed: number;
  /** Set when it is archived: it takes no command any more. */
  readonly archivedAtMs?: number;
}

export interface TaskRow {
  readonly key: string;
  readonly status: string;
  readonly attempt: number;
  readonly node: string | null;
  readonly output: Json | null;
  readonly error: ErrorRecord | null;
  readonly readyAtMs: number | null;
  readonly startedAtMs: number | null;
  readonly finishedAtMs: number | null;
}

export interface JournalRow {
  readonly seq: number;
  readonly type: string;
  readonly atMs: number;
  readonly actor: string;
  readonly payload: Json;
}

/** All that are given must hold. */
export interface RunSearch {
  readonly status?: string;
  readonly workflow?: string;
  /** Has a task of this agent. */
  readonly agent?: string;
  /** Error code of the run, or of one of its tasks. */
  readonly code?: string;
  /** Created at or after, and before; epoch milliseconds. */
  readonly sinceMs?: number;
  readonly untilMs?: number;
  readonly parent?: string;
  readonly root?: string;
  readonly schedule?: string;
  readonly forkedFrom?: string;
  /** As written in a query: `5` finds the number and the text. */
  readonly attributes?: Readonly<Record<string, string>>;
  /** Only archived runs, or only those that are not; absent: both. */
  readonly archived?: boolean;
}

export interface RunFilter extends RunSearch {
  /** Rows older than this one, in the order newest first. */
  readonly before?: { readonly createdAtMs: number; readonly id: string };
  readonly limit: number;
}

export interface ViewRepo {
  run(id: string): Promise<RunRow | undefined>;
  /** Newest first. */
  runs(filter: RunFilter): Promise<readonly RunRow[]>;
  definition(id: string): Promise<Json | undefined>;
  tasks(id: string): Promise<readonly TaskRow[]>;
  journal(id: string, after: number, limit: number): Promise<readonly JournalRow[]>;
  counts(): Promise<Readonly<Record<string, number>>>;
  /** Output of one finished task. */
  output(id: string, taskKey: string): Promise<Json | undefined>;
}

function ms(column: object): SQL<number | null> {
  return sql<number | null>`(extract(epoch from ${column}) * 1000)::float8`;
}

function countTasks(condition: SQL): SQL<number> {
  return sql<number>`(select count(*)::int from spectra.tasks t
    where t.workflow_id = "spectra"."workflows"."id" and ${condition})`;
}

const runColumns = {
  id: workflows.id,
  workflow: workflows.workflow,
  title: workflows.title,
  definitionHash: workflows.definitionHash,
  status: workflows.status,
  place: workflows.place,
  priority: workflows.priority,
  input: workflows.input,
  output: workflows.output,
  error: workflows.error,
  createdAtMs: ms(workflows.createdAt),
  startedAtMs: ms(workflows.startedAt),
  finishedAtMs: ms(workflows.finishedAt),
  total: countTasks(sql`true`),
  done: countTasks(sql`t.status in ('succeeded', 'skipped')`),
  running: countTasks(sql`t.status in ('dispatched', 'running')`),
  failed: countTasks(sql`t.status = 'failed'`),
};

/** Both tables hold what runs are searched by under the same names. */
type Searched = typeof workflows | typeof archivedRuns;

/**
 * Looks at runs and their tasks, never at the journal. Each condition is one that an index answers
 * (`test/db/search-plans.int.test.ts`).
 */
function searchConditions(
  table: Searched,
  search: RunSearch,
  hasCode: (code: string) => SQL,
): SQL[] {
  const { agent, attributes = {}, code, sinceMs, untilMs } = search;
  const equal = [
    [table.status, search.status],
    [table.workflow, search.workflow],
    [table.parentId, search.parent],
    [table.rootId, search.root],
    [table.scheduleId, search.schedule],
    [table.forkedFrom, search.forkedFrom],
  ] as const;
  const at = (ms: number) => sql`to_timestamp(${ms}::float8 / 1000)`;
  return [
    ...equal.flatMap(([column, value]) => (value === undefined ? [] : [eq(column, value)])),
    ...(sinceMs === undefined ? [] : [sql`${table.createdAt} >= ${at(sinceMs)}`]),
    ...(untilMs === undefined ? [] : [sql`${table.createdAt} < ${at(untilMs)}`]),
    ...(agent === undefined
      ? []
      : [
          sql`${table.definitionHash} = any(array(
            select hash from spectra.definitions where agents @> array[${agent}::text]))`,
        ]),
    ...(code === undefined ? [] : [hasCode(code)]),
    ...Object.entries(attributes).map(([key, text]) => hasAttribute(table, key, text)),
  ];
}

/** Of the run or of one of its tasks. */
function liveCode(code: string): SQL {
  return sql`${workflows.id} = any(array(
    select w.id from spectra.workflows w where w.error->>'code' = ${code}
    union select t.workflow_id from spectra.tasks t where t.error->>'code' = ${code}))`;
}

function archivedCode(code: string): SQL {
  return sql`${archivedRuns.codes} @> array[${code}::text]`;
}

function hasAttribute(table: Searched, key: string, text: string): SQL {
  const values: unknown[] = [text];
  if (/^(true|false|-?(0|[1-9]\d{0,14})(\.\d{1,15})?)$/.test(text)) values.push(JSON.parse(text));
  const tests = values.map(
    (value) => sql`${table.attributes} @> ${toJsonb({ [key]: value })}::jsonb`,
  );
  return sql`(${sql.join(tests, sql` or `)})`;
}

export function createViewRepo(db: Database): ViewRepo {
  return {
    run: async (id) => {
      const [row] = await db.select(runColumns).from(workflows).where(eq(workflows.id, id));
      return (row as RunRow | undefined) ?? (await readArchived(db, id))?.row;
    },
    runs: async (filter) => {
      const { archived } = filter;
      const live = archived === true ? [] : await liveRuns(db, filter);
      const kept = archived === false ? [] : await archivedOnes(db, filter);
      return [...live, ...kept].sort(newestFirst).slice(0, filter.limit);
    },
    definition: async (id) => {
      const [row] = await db
        .select({ body: definitions.body })
        .from(workflows)
        .innerJoin(definitions, eq(definitions.hash, workflows.definitionHash))
        .where(eq(workflows.id, id));
      if (row !== undefined) return row.body as Json;
      const [kept] = await db
        .select({ body: definitions.body })
        .from(archivedRuns)
        .innerJoin(definitions, eq(definitions.hash, archivedRuns.definitionHash))
        .where(eq(archivedRuns.id, id));
      return kept?.body as Json | undefined;
    },
    tasks: async (id) => {
      const rows = await taskRows(db, [id]);
      return rows.get(id) ?? (await readArchived(db, id))?.tasks ?? [];
    },
    journal: async (id, after, limit) => {
      const rows = await db
        .select({
          seq: journal.seq,
          type: journal.type,
          atMs: ms(journal.at),
          actor: journal.actor,
          payload: journal.payload,
        })
        .from(journal)
        .where(and(eq(journal.workflowId, id), gt(journal.seq, after)))
        .orderBy(asc(journal.seq))
        .limit(limit);
      // Empty after the last entry, too: then there is no such archived run.
      if (rows.length > 0) return rows as JournalRow[];
      const kept = (await readArchived(db, id))?.journal ?? [];
      return kept
        .filter(({ seq }) => seq > after)
        .slice(0, limit)
        .map(({ patch: _patch, ...entry }) => entry);
    },
    counts: async () => {
      const rows = await db
        .select({ status: workflows.status, count: sql<number>`count(*)::int` })
        .from(workflows)
        .groupBy(workflows.status);
      return Object.fromEntries(rows.map(({ status, count }) => [status, count]));
    },
    output: async (id, taskKey) => {
      const [row] = await db
        .select({ output: tasks.output })
        .from(tasks)
        .where(and(eq(tasks.workflowId, id), eq(tasks.key, taskKey)));
      if (row !== undefined) return (row.output ?? undefined) as Json | undefined;
      const kept = (await readArchived(db, id))?.tasks.find(({ key }) => key === taskKey);
      return kept?.output ?? undefined;
    },
  };
}

async function liveRuns(db: Database, { before, limit, ...search }: RunFilter): Promise<RunRow[]> {
  const rows = await db
    .select(runColumns)
    .from(workflows)
    .where(and(...searchConditions(workflows, search, liveCode), olderThan(workflows, before)))
    .orderBy(...inOrder(workflows))
    .limit(limit);
  return rows as RunRow[];
}

async function archivedOnes(
  db: Database,
  { before, limit, ...search }: RunFilter,
): Promise<RunRow[]> {
  const rows = await db
    .select({ summary: archivedRuns.summary, archivedAt: archivedRuns.archivedAt })
    .from(archivedRuns)
    .where(
      and(...searchConditions(archivedRuns, search, archivedCode), olderThan(archivedRuns, before)),
    )
    .orderBy(...inOrder(archivedRuns))
    .limit(limit);
  return rows.map(archivedRow);
}

function olderThan(table: Searched, before: RunFilter["before"]): SQL | undefined {
  if (before === undefined) return undefined;
  const at = sql`to_timestamp(${before.createdAtMs}::float8 / 1000)`;
  return or(lt(table.createdAt, at), and(eq(table.createdAt, at), lt(table.id, before.id)));
}

/** As the indexes are ordered: an order that differs in its nulls would be sorted anew. */
function inOrder(table: Searched): SQL[] {
  return [sql`${table.createdAt} desc nulls last`, sql`${table.id} desc nulls last`];
}

/** Each part comes sorted; ids are of lower case letters, digits and dashes, alike in any collation. */
function newestFirst(a: RunRow, b: RunRow): number {
  return b.createdAtMs - a.createdAtMs || (a.id < b.id ? 1 : -1);
}

/** Runs as lists show them. */
export async function runRows(
  db: Pick<Database, "select">,
  ids: readonly string[],
): Promise<RunRow[]> {
  const rows = await db
    .select(runColumns)
    .from(workflows)
    .where(inArray(workflows.id, [...ids]));
  return rows as RunRow[];
}

/** Tasks by run, in the order of its definition. */
export async function taskRows(
  db: Pick<Database, "select">,
  ids: readonly string[],
): Promise<ReadonlyMap<string, readonly TaskRow[]>> {
  const rows = await db
    .select({
      workflowId: tasks.workflowId,
      key: tasks.key,
      status: tasks.status,
      attempt: tasks.attempt,
      node: tasks.node,
      output: tasks.output,
      error: tasks.error,
      readyAtMs: ms(tasks.readyAt),
      startedAtMs: ms(tasks.startedAt),
      finishedAtMs: ms(tasks.finishedAt),
    })
    .from(tasks)
    .where(inArray(tasks.workflowId, [...ids]))
    .orderBy(asc(tasks.workflowId), asc(tasks.position));
  const byRun = new Map<string, TaskRow[]>();
  for (const { workflowId, ...row } of rows) {
    byRun.set(workflowId, [...(byRun.get(workflowId) ?? []), row as TaskRow]);
  }
  return byRun;
}
