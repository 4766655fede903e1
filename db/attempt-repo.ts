/**
 * What the node that runs an attempt reads and writes; every write is fenced by the attempt number.
 *
 * @module
 */

import { and, asc, eq, inArray, sql } from "drizzle-orm";
import type { Json } from "../machines/error-code.ts";
import type { Database } from "./database.ts";
import { toJsonb } from "./jsonb.ts";
import { definitions, tasks, workflows } from "./schema/workflows.ts";

export interface AttemptRow {
  readonly status: string;
  readonly attempt: number;
  readonly node: string | null;
  readonly checkpoint: Json | undefined;
  /** Threads that died of the task. */
  readonly deaths: number;
  readonly runStatus: string;
  readonly input: Json;
  readonly definitionHash: string;
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
   * Takes a dispatched attempt for a node; false when another living node has it. One statement
   * decides, so that two deliveries of one job never run the same attempt on two nodes.
   */
  claim(key: AttemptKey, incarnation: string): Promise<boolean>;
  definition(hash: string): Promise<Json | undefined>;
  /** Outputs of finished tasks by key; a key that is missing here has none. */
  outputs(workflowId: string, keys: readonly string[]): Promise<ReadonlyMap<string, Json>>;
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
          checkpoint: tasks.checkpoint,
          deaths: tasks.deaths,
          runStatus: workflows.status,
          input: workflows.input,
          definitionHash: workflows.definitionHash,
        })
        .from(tasks)
        .innerJoin(workflows, eq(workflows.id, tasks.workflowId))
        .where(and(eq(tasks.workflowId, workflowId), eq(tasks.key, taskKey)));
      if (row === undefined) return undefined;
      return {
        ...row,
        input: row.input as Json,
        checkpoint: (row.checkpoint as Json | null) ?? undefined,
      };
    },
    claim: async ({ workflowId, taskKey, attempt }, incarnation) => {
      const rows = await db.execute(sql`
        update spectra.tasks set node = ${incarnation}
        where workflow_id = ${workflowId} and key = ${taskKey} and attempt = ${attempt}
          and status = 'dispatched'
          and (node is null or node = ${incarnation} or not exists (
            select 1 from spectra.nodes n where n.incarnation = node and n.expires_at > now()))
        returning 1`);
      return rows.length > 0;
    },
    definition: async (hash) => {
      const [row] = await db
        .select({ body: definitions.body })
        .from(definitions)
        .where(eq(definitions.hash, hash));
      return row?.body as Json | undefined;
    },
    outputs: async (workflowId, keys) => {
      if (keys.length === 0) return new Map();
      const rows = await db
        .select({ key: tasks.key, output: tasks.output })
        .from(tasks)
        .where(
          and(
            eq(tasks.workflowId, workflowId),
            inArray(tasks.key, [...keys]),
            eq(tasks.status, "succeeded"),
          ),
        );
      return new Map(rows.map(({ key, output }) => [key, (output ?? null) as Json]));
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
          and status in ('dispatched', 'running') returning 1`);
      return rows.length > 0;
    },
    stale: async (keys) => {
      const rows = await db.execute<{ workflowId: string; taskKey: string; attempt: number }>(sql`
        select x."workflowId", x."taskKey", x.attempt
        from jsonb_to_recordset(${JSON.stringify(keys)}::jsonb)
          as x("workflowId" text, "taskKey" text, attempt int)
        left join spectra.tasks t on t.workflow_id = x."workflowId" and t.key = x."taskKey"
        where t.key is null or t.attempt <> x.attempt or t.status not in ('dispatched', 'running')`);
      return rows;
    },
  };
}
