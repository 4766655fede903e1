/**
 * Read side: rows as the API and the dashboard show them. Times are epoch milliseconds.
 *
 * @module
 */

import { and, asc, desc, eq, gt, lt, or, type SQL, sql } from "drizzle-orm";
import type { ErrorRecord, Json } from "../machines/error-code.ts";
import type { Database } from "./database.ts";
import { toJsonb } from "./jsonb.ts";
import { definitions, journal, tasks, workflows } from "./schema/workflows.ts";

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

/** Looks only at runs and their tasks, never at the journal. */
function searchConditions(search: RunSearch): SQL[] {
  const { agent, attributes = {}, code, sinceMs, untilMs } = search;
  const equal = [
    [workflows.status, search.status],
    [workflows.workflow, search.workflow],
    [workflows.parentId, search.parent],
    [workflows.rootId, search.root],
    [workflows.scheduleId, search.schedule],
    [workflows.forkedFrom, search.forkedFrom],
  ] as const;
  const id = sql`"spectra"."workflows"."id"`;
  const at = (ms: number) => sql`to_timestamp(${ms}::float8 / 1000)`;
  return [
    ...equal.flatMap(([column, value]) => (value === undefined ? [] : [eq(column, value)])),
    ...(sinceMs === undefined ? [] : [sql`${workflows.createdAt} >= ${at(sinceMs)}`]),
    ...(untilMs === undefined ? [] : [sql`${workflows.createdAt} < ${at(untilMs)}`]),
    ...(agent === undefined
      ? []
      : [
          sql`exists (select 1 from spectra.tasks t where t.workflow_id = ${id} and t.agent = ${agent})`,
        ]),
    ...(code === undefined
      ? []
      : [
          sql`(${workflows.error}->>'code' = ${code} or exists (select 1 from spectra.tasks t
            where t.workflow_id = ${id} and t.error->>'code' = ${code}))`,
        ]),
    ...Object.entries(attributes).map(([key, text]) => hasAttribute(key, text)),
  ];
}

function hasAttribute(key: string, text: string): SQL {
  const values: unknown[] = [text];
  if (/^(true|false|-?\d{1,15}(\.\d{1,15})?)$/.test(text)) values.push(JSON.parse(text));
  const tests = values.map(
    (value) => sql`${workflows.attributes} @> ${toJsonb({ [key]: value })}::jsonb`,
  );
  return sql`(${sql.join(tests, sql` or `)})`;
}

export function createViewRepo(db: Database): ViewRepo {
  return {
    run: async (id) => {
      const [row] = await db.select(runColumns).from(workflows).where(eq(workflows.id, id));
      return row as RunRow | undefined;
    },
    runs: async ({ before, limit, ...search }) => {
      const cursorAt = sql`to_timestamp(${before?.createdAtMs ?? 0}::float8 / 1000)`;
      const rows = await db
        .select(runColumns)
        .from(workflows)
        .where(
          and(
            ...searchConditions(search),
            before === undefined
              ? undefined
              : or(
                  lt(workflows.createdAt, cursorAt),
                  and(eq(workflows.createdAt, cursorAt), lt(workflows.id, before.id)),
                ),
          ),
        )
        .orderBy(desc(workflows.createdAt), desc(workflows.id))
        .limit(limit);
      return rows as RunRow[];
    },
    definition: async (id) => {
      const [row] = await db
        .select({ body: definitions.body })
        .from(workflows)
        .innerJoin(definitions, eq(definitions.hash, workflows.definitionHash))
        .where(eq(workflows.id, id));
      return row?.body as Json | undefined;
    },
    tasks: async (id) => {
      const rows = await db
        .select({
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
        .where(eq(tasks.workflowId, id))
        .orderBy(asc(tasks.position));
      return rows as TaskRow[];
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
      return rows as JournalRow[];
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
      return (row?.output ?? undefined) as Json | undefined;
    },
  };
}
