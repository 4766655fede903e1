/**
 * What the node that runs an attempt reads and writes; every write is fenced by the attempt number.
 *
 * @module
 */

import { and, asc, eq, sql } from "drizzle-orm";
import type { Json } from "../machines/error-code.ts";
import type { Database } from "./database.ts";
import { toJsonb } from "./jsonb.ts";
import { definitions, tasks, workflows } from "./schema/workflows.ts";

export interface AttemptRow {
  readonly status: string;
  readonly attempt: number;
  readonly node: string | null;
  /** Its node's lease is valid: it is alive, as far as anybody can tell. */
  readonly nodeAlive: boolean;
  readonly checkpoint: Json | undefined;
  /** Threads that died of the task. */
  readonly deaths: number;
  readonly runStatus: string;
  readonly input: Json;
  readonly definitionHash: string;
  /** How often each stage was entered. */
  readonly entered: Readonly<Record<string, number>>;
  /** Key of the task in its definition. */
  readonly plan: string;
  readonly iteration: number;
  readonly index: number | null;
  readonly item: Json;
  /** Of the run's statechart. */
  readonly context: Json;
}

/** The output of a finished task, or of one instance of a group. */
export interface OutputRow {
  readonly plan: string;
  readonly iteration: number;
  readonly index: number | null;
  readonly output: Json;
  /** Of the whole of a group: how many instances it had. */
  readonly size: number | null;
}

/** A task as it was found, and whether the attempt that was asked for is the asker's now. */
export interface TakenRow extends AttemptRow {
  readonly workflowId: string;
  readonly taskKey: string;
  readonly taken: boolean;
}

export interface AttemptKey {
  readonly workflowId: string;
  readonly taskKey: string;
  readonly attempt: number;
}

export interface TaskTimeRow {
  readonly key: string;
  readonly startedAt: Date | null;
  readonly finishedAt: Date | null;
  readonly attempt: number;
}

export interface AttemptRepo {
  read(workflowId: string, taskKey: string): Promise<AttemptRow | undefined>;
  /**
   * Takes those of these attempts that are dispatched and that no other node ever took, and tells of
   * each task how it stood before; one that is missing from the answer is unknown. One statement looks
   * and decides, so that two deliveries of one job never run the same attempt twice. What a dead node
   * had taken stays in its name: that is how every later delivery knows that it may have run.
   */
  take(keys: readonly AttemptKey[], incarnation: string): Promise<readonly TakenRow[]>;
  definition(hash: string): Promise<Json | undefined>;
  /** Outputs of all finished instances of the definition's tasks; one that is missing here has none. */
  outputs(workflowId: string, plans: readonly string[]): Promise<readonly OutputRow[]>;
  /** Times of all tasks of the run, in the order in which they began; `attempt` is the newest. */
  times(workflowId: string): Promise<readonly TaskTimeRow[]>;
  /** False when the attempt is no longer the current one: then nothing was written. */
  checkpoint(key: AttemptKey, data: Json): Promise<boolean>;
  /** Which of these attempts lost their right to report. */
  stale(keys: readonly AttemptKey[]): Promise<readonly AttemptKey[]>;
}

export function createAttemptRepo(db: Database): AttemptRepo {
  return {
    read: async (workflowId, taskKey) => {
      const [row] = await db
        .select({
          status: tasks.status,
          attempt: tasks.attempt,
          node: tasks.node,
          nodeAlive: sql<boolean>`exists (select 1 from spectra.nodes n
            where n.incarnation = ${tasks.node} and n.expires_at > now())`,
          entered: sql<Json>`${workflows.extras}->'chart'->'entered'`,
          checkpoint: tasks.checkpoint,
          deaths: tasks.deaths,
          runStatus: workflows.status,
          input: workflows.input,
          definitionHash: workflows.definitionHash,
          key: tasks.key,
          plan: tasks.plan,
          extras: tasks.extras,
          context: sql<Json>`${workflows.extras}->'chart'->'context'`,
        })
        .from(tasks)
        .innerJoin(workflows, eq(workflows.id, tasks.workflowId))
        .where(and(eq(tasks.workflowId, workflowId), eq(tasks.key, taskKey)));
      if (row === undefined) return undefined;
      const extras = row.extras as Partial<Pick<AttemptRow, "iteration" | "index" | "item">>;
      return {
        ...row,
        plan: row.plan ?? row.key,
        entered: (row.entered ?? {}) as Readonly<Record<string, number>>,
        iteration: extras.iteration ?? 1,
        index: extras.index ?? null,
        item: extras.item ?? null,
        input: row.input as Json,
        checkpoint: (row.checkpoint as Json | null) ?? undefined,
      };
    },
    take: async (keys, incarnation) => {
      const rows = await take(db, keys, incarnation);
      const seen = new Set(rows.map(({ workflowId, taskKey }) => `${workflowId}/${taskKey}`));
      const busy = keys.filter(({ workflowId, taskKey }) => !seen.has(`${workflowId}/${taskKey}`));
      // One at a time: who holds no other lock may wait for one.
      for (const key of busy) rows.push(...(await take(db, [key], incarnation, true)));
      return rows;
    },
    definition: async (hash) => {
      const [row] = await db
        .select({ body: definitions.body })
        .from(definitions)
        .where(eq(definitions.hash, hash));
      return row?.body as Json | undefined;
    },
    outputs: async (workflowId, plans) => {
      if (plans.length === 0) return [];
      return await db.execute<{
        plan: string;
        iteration: number;
        index: number | null;
        output: Json;
        size: number | null;
      }>(sql`
        select coalesce(plan, key) as plan, coalesce((extras->>'iteration')::int, 1) as iteration,
          (extras->>'index')::int as index, output, (extras->>'items')::int as size
        from spectra.tasks
        where workflow_id = ${workflowId} and status = 'succeeded' and coalesce(plan, key) in (
          select jsonb_array_elements_text(${JSON.stringify(plans)}::jsonb))
        order by position`);
    },
    times: (workflowId) =>
      db
        .select({
          key: tasks.key,
          startedAt: tasks.startedAt,
          finishedAt: tasks.finishedAt,
          attempt: tasks.attempt,
        })
        .from(tasks)
        .where(eq(tasks.workflowId, workflowId))
        .orderBy(asc(tasks.startedAt), asc(tasks.key)),
    checkpoint: async ({ workflowId, taskKey, attempt }, data) => {
      const rows = await db.execute(sql`
        update spectra.tasks set checkpoint = ${toJsonb(data)}::jsonb
        where workflow_id = ${workflowId} and key = ${taskKey} and attempt = ${attempt}
          and status in ('dispatched', 'running', 'compensating') returning 1`);
      return rows.length > 0;
    },
    stale: async (keys) => {
      const rows = await db.execute<{ workflowId: string; taskKey: string; attempt: number }>(sql`
        select x."workflowId", x."taskKey", x.attempt
        from jsonb_to_recordset(${JSON.stringify(keys)}::jsonb)
          as x("workflowId" text, "taskKey" text, attempt int)
        left join spectra.tasks t on t.workflow_id = x."workflowId" and t.key = x."taskKey"
        where t.key is null or t.attempt <> x.attempt or t.status not in ('dispatched', 'running', 'compensating')`);
      return rows;
    },
  };
}

/** @param waits For rows that a turn is writing; otherwise they are left out, since two who wait could wait for each other. */
async function take(
  db: Database,
  keys: readonly AttemptKey[],
  incarnation: string,
  waits = false,
): Promise<TakenRow[]> {
  const rows = await db.execute<
    Omit<TakenRow, "checkpoint" | "entered"> & { readonly checkpoint: Json; readonly entered: Json }
  >(sql`
    with asked as (
      select * from jsonb_to_recordset(${JSON.stringify(keys)}::jsonb)
        as x("workflowId" text, "taskKey" text, attempt int)),
    found as (
      select t.*, a.attempt as wanted from spectra.tasks t
      join asked a on a."workflowId" = t.workflow_id and a."taskKey" = t.key
      for update of t ${waits ? sql`` : sql`skip locked`}),
    judged as materialized (
      select f.*, exists (select 1 from spectra.nodes n
        where n.incarnation = f.node and n.expires_at > now()) as node_alive from found f),
    taken as (
      update spectra.tasks t set node = ${incarnation} from judged j
      where t.workflow_id = j.workflow_id and t.key = j.key and j.attempt = j.wanted
        and j.status in ('dispatched', 'compensating')
        and (j.node is null or j.node = ${incarnation})
      returning t.workflow_id, t.key)
    select j.workflow_id as "workflowId", j.key as "taskKey", k.key is not null as taken,
      j.status, j.attempt, j.node, j.node_alive as "nodeAlive", j.checkpoint, j.deaths,
      coalesce(j.plan, j.key) as plan, coalesce((j.extras->>'iteration')::int, 1) as iteration,
      (j.extras->>'index')::int as index, j.extras->'item' as item, w.status as "runStatus",
      w.input, w.definition_hash as "definitionHash", w.extras->'chart'->'entered' as entered,
      w.extras->'chart'->'context' as context
    from judged j join spectra.workflows w on w.id = j.workflow_id
    left join taken k on k.workflow_id = j.workflow_id and k.key = j.key`);
  return rows.map((row) => ({
    ...row,
    item: row.item ?? null,
    entered: (row.entered ?? {}) as AttemptRow["entered"],
    checkpoint: row.checkpoint ?? undefined,
  }));
}
