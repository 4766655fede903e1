/**
 * Rows of runs: creating, claiming and loading them.
 *
 * @module
 */

import { and, asc, eq, inArray, type SQL, sql } from "drizzle-orm";
import type { Json } from "../machines/error-code.ts";
import type { RunState, TaskState } from "../machines/run-turn.ts";
import type { Database } from "./database.ts";
import { definitions, mailbox, tasks, workflows } from "./schema/workflows.ts";

export interface NewRun {
  readonly run: RunState;
  readonly workflow: string;
  readonly title: string;
  readonly definitionHash: string;
  readonly definition: Json;
  readonly input: Json;
  readonly idempotencyKey: string | null;
  /** Incarnation of the node that will own the run from the start. */
  readonly owner: string;
  readonly startEvent: Json;
}

/** A run as its owner loads it. */
export interface LoadedRun {
  readonly run: RunState;
  readonly workflow: string;
  readonly title: string;
  readonly definitionHash: string;
  readonly definition: Json;
  readonly input: Json;
  readonly epoch: number;
  readonly createdAtMs: number;
}

export interface RunRepo {
  /** Makes the run durable, with its start event in the mailbox. Returns the id of an earlier run with the same idempotency key instead. */
  insert(run: NewRun): Promise<{ readonly id: string; readonly created: boolean }>;
  /** Takes open runs that nobody alive owns, and returns their ids. One statement decides. */
  claim(incarnation: string, limit: number): Promise<readonly string[]>;
  /** Loads runs owned by `incarnation`. */
  load(incarnation: string, ids: readonly string[]): Promise<readonly LoadedRun[]>;
  /** Open runs that `incarnation` owns. */
  openIds(incarnation: string): Promise<readonly string[]>;
  /** Who owns the run now, or undefined when there is no such run. */
  owner(id: string): Promise<{ readonly owner: string | null } | undefined>;
  /** Makes a finished run claimable again (for an operator's retry) unless it is owned. */
  adopt(id: string, incarnation: string): Promise<void>;
}

const epochMs = (column: SQL | object): SQL<number | null> =>
  sql<number | null>`(extract(epoch from ${column}) * 1000)::float8`;

export function createRunRepo(db: Database): RunRepo {
  return {
    insert: (run) => insert(db, run),
    claim: (incarnation, limit) => claim(db, incarnation, limit),
    load: (incarnation, ids) => load(db, incarnation, ids),
    openIds: async (incarnation) => {
      const rows = await db
        .select({ id: workflows.id })
        .from(workflows)
        .where(
          and(
            eq(workflows.owner, incarnation),
            inArray(workflows.status, ["pending", "running", "paused"]),
          ),
        );
      return rows.map(({ id }) => id);
    },
    owner: async (id) => {
      const [row] = await db
        .select({ owner: workflows.owner })
        .from(workflows)
        .where(eq(workflows.id, id));
      return row;
    },
    adopt: async (id, incarnation) => {
      await db.execute(sql`
        update spectra.workflows set owner = ${incarnation}, epoch = epoch + 1
        where id = ${id} and owner is distinct from ${incarnation} and (owner is null or not exists (
          select 1 from spectra.nodes n where n.incarnation = owner and n.expires_at > now()))`);
    },
  };
}

async function insert(db: Database, run: NewRun): Promise<{ id: string; created: boolean }> {
  return await db.transaction(async (tx) => {
    await tx
      .insert(definitions)
      .values({ hash: run.definitionHash, workflow: run.workflow, body: run.definition })
      .onConflictDoNothing();
    const [row] = await tx
      .insert(workflows)
      .values({
        id: run.run.id,
        workflow: run.workflow,
        title: run.title,
        definitionHash: run.definitionHash,
        status: run.run.status,
        place: run.run.place,
        priority: run.run.priority,
        input: run.input,
        owner: run.owner,
        epoch: 1,
        idempotencyKey: run.idempotencyKey,
      })
      .onConflictDoNothing({ target: workflows.idempotencyKey })
      .returning({ id: workflows.id });
    if (row === undefined) {
      const [earlier] = await tx
        .select({ id: workflows.id })
        .from(workflows)
        .where(eq(workflows.idempotencyKey, run.idempotencyKey ?? ""));
      return { id: earlier?.id ?? run.run.id, created: false };
    }
    const rows = [...run.run.tasks.values()].map((task, position) => ({
      workflowId: run.run.id,
      key: task.key,
      position,
      status: task.status,
    }));
    if (rows.length > 0) await tx.insert(tasks).values(rows);
    await tx.insert(mailbox).values({
      workflowId: run.run.id,
      event: run.startEvent,
      dedupeKey: `${run.run.id}/start`,
    });
    return { id: row.id, created: true };
  });
}

async function claim(db: Database, incarnation: string, limit: number): Promise<string[]> {
  const rows = await db.execute<{ id: string }>(sql`
    update spectra.workflows set owner = ${incarnation}, epoch = epoch + 1
    where id in (
      select w.id from spectra.workflows w
      where w.status in ('pending', 'running', 'paused')
        and w.owner is distinct from ${incarnation}
        and (w.owner is null or not exists (
          select 1 from spectra.nodes n where n.incarnation = w.owner and n.expires_at > now()))
      order by w.created_at limit ${limit} for update skip locked)
    returning id`);
  return rows.map(({ id }) => id);
}

async function load(
  db: Database,
  incarnation: string,
  ids: readonly string[],
): Promise<LoadedRun[]> {
  if (ids.length === 0) return [];
  const owned = and(inArray(workflows.id, [...ids]), eq(workflows.owner, incarnation));
  const rows = await db
    .select({
      row: workflows,
      definition: definitions.body,
      createdAtMs: epochMs(workflows.createdAt),
      startedAtMs: epochMs(workflows.startedAt),
      finishedAtMs: epochMs(workflows.finishedAt),
    })
    .from(workflows)
    .innerJoin(definitions, eq(definitions.hash, workflows.definitionHash))
    .where(owned);
  const taskRows = await db
    .select({
      workflowId: tasks.workflowId,
      key: tasks.key,
      status: tasks.status,
      attempt: tasks.attempt,
      failures: tasks.failures,
      deaths: tasks.deaths,
      node: tasks.node,
      error: tasks.error,
      readyAtMs: epochMs(tasks.readyAt),
      startedAtMs: epochMs(tasks.startedAt),
      finishedAtMs: epochMs(tasks.finishedAt),
    })
    .from(tasks)
    .where(
      inArray(
        tasks.workflowId,
        rows.map(({ row }) => row.id),
      ),
    )
    .orderBy(asc(tasks.workflowId), asc(tasks.position));
  const byRun = new Map<string, Map<string, TaskState>>(rows.map(({ row }) => [row.id, new Map()]));
  for (const { workflowId, ...task } of taskRows) {
    byRun.get(workflowId)?.set(task.key, task as TaskState);
  }
  return rows.map(({ row, definition, createdAtMs, startedAtMs, finishedAtMs }) => ({
    run: {
      id: row.id,
      status: row.status as RunState["status"],
      place: row.place,
      priority: row.priority,
      seq: row.seq,
      startedAtMs,
      finishedAtMs,
      error: row.error as RunState["error"],
      tasks: byRun.get(row.id) ?? new Map(),
    },
    workflow: row.workflow,
    title: row.title,
    definitionHash: row.definitionHash,
    definition: definition as Json,
    input: row.input as Json,
    epoch: row.epoch,
    createdAtMs: createdAtMs ?? 0,
  }));
}
