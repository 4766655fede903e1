/**
 * Rows of runs: creating, claiming and loading them.
 *
 * @module
 */

import { and, asc, eq, inArray, type SQL, sql } from "drizzle-orm";
import type { Json } from "../machines/error-code.ts";
import {
  blockedTask,
  type RunFields,
  type RunState,
  type RunTimer,
  type TaskState,
} from "../machines/run/state.ts";
import { readArchived } from "./archive-repo.ts";
import type { Database } from "./database.ts";
import { toJsonb } from "./jsonb.ts";
import { enterRun, type RunEntry } from "./run-queue-repo.ts";
import {
  archivedRuns,
  definitions,
  mailbox,
  tasks,
  timers,
  workflows,
} from "./schema/workflows.ts";

export interface NewRun {
  readonly run: RunState;
  readonly workflow: string;
  readonly title: string;
  readonly definitionHash: string;
  readonly definition: Json;
  readonly input: Json;
  readonly idempotencyKey: string | null;
  readonly attributes?: Readonly<Record<string, Json>>;
  readonly tenant?: string;
  readonly rootId?: string;
  readonly forkedFrom?: { readonly id: string; readonly seq: number };
  readonly scheduleId?: string;
  /** Agent and action by key of the definition's task; tasks that are none of an agent are missing. */
  readonly actions: ReadonlyMap<string, { readonly agent: string; readonly action: string }>;
  /** Incarnation of the node that will own the run from the start. */
  readonly owner: string;
  readonly startEvent: Json;
  /** Set when only so many runs of its kind may be open. */
  readonly entry?: RunEntry;
}

/** A run as its owner loads it. */
export interface LoadedRun {
  /** Without what is derived from its plan. */
  readonly run: Omit<RunState, "counts" | "inFlight" | "outputs" | "waiting">;
  readonly workflow: string;
  readonly title: string;
  readonly definitionHash: string;
  readonly definition: Json;
  readonly epoch: number;
  readonly tenant: string;
  readonly createdAtMs: number;
}

export interface Inserted {
  readonly id: string;
  readonly created: boolean;
  /** It starts when another run of its kind has ended. */
  readonly queued: boolean;
}

export interface RunRepo {
  /**
   * Makes the run durable, with its start event in the mailbox. Returns the id of an earlier run with
   * the same idempotency key instead.
   * @throws {RunNotStartedError} When its definition allows no more open runs, and skips or rejects.
   */
  insert(run: NewRun): Promise<Inserted>;
  /** Takes runs that nobody alive owns and that have something to do, and returns their ids. One statement decides. */
  claim(incarnation: string, limit: number): Promise<readonly string[]>;
  /** Loads runs owned by `incarnation`. */
  load(incarnation: string, ids: readonly string[]): Promise<readonly LoadedRun[]>;
  /** One run, whoever owns it, archived or not, with the database's time (epoch ms). */
  read(id: string): Promise<{ readonly loaded: LoadedRun; readonly nowMs: number } | undefined>;
  /** Outputs of the tasks that a run's plan observes, by key; instances of groups included. */
  outputs(id: string, plans: readonly string[]): Promise<ReadonlyMap<string, Json>>;
  /** Open runs that `incarnation` owns. */
  openIds(incarnation: string): Promise<readonly string[]>;
  /** The topmost run of the tree that a run belongs to. */
  rootOf(id: string): Promise<string | undefined>;
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
    load: (incarnation, ids) => load(db, ids, eq(workflows.owner, incarnation)),
    read: async (id) => {
      const loaded = (await load(db, [id]))[0] ?? (await archived(db, id));
      if (loaded === undefined) return undefined;
      const [clock] = await db.execute<{ now_ms: number }>(sql`
        select (extract(epoch from clock_timestamp()) * 1000)::float8 as now_ms`);
      return { loaded, nowMs: clock?.now_ms ?? Date.now() };
    },
    outputs: async (id, plans) => {
      if (plans.length === 0) return new Map();
      const rows = await db.execute<{ key: string; output: Json }>(sql`
        select key, output from spectra.tasks where workflow_id = ${id} and status = 'succeeded'
          and coalesce(plan, key) in (select jsonb_array_elements_text(${JSON.stringify(plans)}::jsonb))`);
      return new Map(rows.map(({ key, output }) => [key, output]));
    },
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
    rootOf: async (id) => {
      const [row] = await db
        .select({ rootId: workflows.rootId })
        .from(workflows)
        .where(eq(workflows.id, id));
      return row?.rootId ?? undefined;
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

async function archived(db: Database, id: string): Promise<LoadedRun | undefined> {
  const found = await readArchived(db, id);
  if (found === undefined) return undefined;
  const { definitionHash: hash } = found.loaded;
  const [stored] = await db
    .select({ body: definitions.body })
    .from(definitions)
    .where(eq(definitions.hash, hash));
  return { ...found.loaded, definition: (stored?.body ?? null) as Json };
}

/** A definition is stored once, whoever comes first. */
export async function storeDefinition(
  tx: Pick<Database, "insert">,
  { actions, definition, definitionHash, workflow }: StoredDefinition,
): Promise<void> {
  const agents = [...new Set([...actions.values()].map(({ agent }) => agent))];
  await tx
    .insert(definitions)
    .values({ hash: definitionHash, workflow, body: definition, agents })
    .onConflictDoNothing();
}

export type StoredDefinition = Pick<
  NewRun,
  "actions" | "definition" | "definitionHash" | "workflow"
>;

/** Rolls a start back whose key belongs to a run that has been archived meanwhile. */
class ArchivedKeyError extends Error {
  override readonly name = "ArchivedKeyError";
  readonly id: string;

  constructor(id: string) {
    super(`Cannot start the run: its key belongs to run ${id}`);
    this.id = id;
  }
}

async function insert(db: Database, run: NewRun): Promise<Inserted> {
  try {
    return await insertNew(db, run);
  } catch (error) {
    if (!(error instanceof ArchivedKeyError)) throw error;
    return { id: error.id, created: false, queued: false };
  }
}

async function insertNew(db: Database, run: NewRun): Promise<Inserted> {
  return await db.transaction(async (tx) => {
    await storeDefinition(tx, run);
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
        attributes: run.attributes ?? {},
        tenant: run.tenant ?? "",
        extras: runExtras(run.run),
        parentId: run.run.parent?.workflowId ?? null,
        parentTask: run.run.parent?.taskKey ?? null,
        rootId: run.rootId ?? run.run.id,
        forkedFrom: run.forkedFrom?.id ?? null,
        forkedAtSeq: run.forkedFrom?.seq ?? null,
        scheduleId: run.scheduleId ?? null,
      })
      .onConflictDoNothing({ target: workflows.idempotencyKey })
      .returning({ id: workflows.id });
    if (row === undefined) {
      const [earlier] = await tx
        .select({ id: workflows.id })
        .from(workflows)
        .where(eq(workflows.idempotencyKey, run.idempotencyKey ?? ""));
      return { id: earlier?.id ?? run.run.id, created: false, queued: false };
    }
    // After the insert: it has waited for whoever was moving a run of the same key to the archive.
    if (run.idempotencyKey !== null) {
      const [kept] = await tx
        .select({ id: archivedRuns.id })
        .from(archivedRuns)
        .where(eq(archivedRuns.idempotencyKey, run.idempotencyKey));
      if (kept !== undefined) throw new ArchivedKeyError(kept.id);
    }
    const rows = [...run.run.tasks.values()].map((task, position) => ({
      k: task.key,
      p: position,
      s: task.status,
      a: run.actions.get(task.plan)?.agent ?? null,
      n: run.actions.get(task.plan)?.action ?? null,
    }));
    if (rows.length > 0) {
      await tx.execute(sql`
        insert into spectra.tasks (workflow_id, key, position, status, agent, action)
        select ${run.run.id}, k, p, s, a, n from jsonb_to_recordset(${toJsonb(rows)}::jsonb)
          as x(k text, p int, s text, a text, n text)`);
    }
    const starts = run.entry === undefined || (await enterRun(tx, row.id, run.entry));
    await tx.insert(mailbox).values({
      workflowId: run.run.id,
      event: run.startEvent,
      dedupeKey: `${run.run.id}/start`,
      ...(starts ? {} : { at: sql`'infinity'` }),
    });
    return { id: row.id, created: true, queued: !starts };
  });
}

/** A run that has ended is taken, too, when its owner left effects behind, or mail came for it. */
async function claim(db: Database, incarnation: string, limit: number): Promise<string[]> {
  const isFree = sql`w.owner is distinct from ${incarnation} and (w.owner is null or not exists (
    select 1 from spectra.nodes n where n.incarnation = w.owner and n.expires_at > now()))`;
  const rows = await db.execute<{ id: string }>(sql`
    with open as (
      select w.id from spectra.workflows w
      where w.status in ('pending', 'running', 'paused') and ${isFree}
      order by w.created_at limit ${limit} for update skip locked),
    left_behind as (
      select w.id from spectra.workflows w
      where w.id in (select workflow_id from spectra.outbox
          union select workflow_id from spectra.mailbox where at < 'infinity')
        and w.status in ('completed', 'failed', 'cancelled') and ${isFree}
      limit ${limit} for update skip locked)
    update spectra.workflows set owner = ${incarnation}, epoch = epoch + 1
    where id in (select id from open union all select id from left_behind)
    returning id`);
  return rows.map(({ id }) => id);
}

/** @param condition Beyond the ids. */
async function load(db: Database, ids: readonly string[], condition?: SQL): Promise<LoadedRun[]> {
  if (ids.length === 0) return [];
  return await loadRuns(db, and(inArray(workflows.id, [...ids]), condition));
}

/** Loads runs whoever owns them. */
export async function loadRuns(
  db: Pick<Database, "select">,
  where: SQL | undefined,
): Promise<LoadedRun[]> {
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
    .where(where);
  const taskRows = await db
    .select({
      workflowId: tasks.workflowId,
      key: tasks.key,
      plan: tasks.plan,
      extras: tasks.extras,
      status: tasks.status,
      attempt: tasks.attempt,
      failures: tasks.failures,
      deaths: tasks.deaths,
      node: tasks.node,
      error: tasks.error,
      scheduledAtMs: epochMs(tasks.scheduledAt),
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
  for (const { workflowId, extras, ...task } of taskRows) {
    // Until it says that it began, the node is a claim of the runner's and no part of the state.
    const isClaim = task.status === "dispatched" || task.status === "compensating";
    const state = {
      ...blockedTask(task.key, task.plan ?? task.key, 1),
      ...task,
      ...(isClaim ? { node: null } : {}),
      plan: task.plan ?? task.key,
    };
    byRun.get(workflowId)?.set(task.key, { ...state, ...(extras as object) } as TaskState);
  }
  const timersByRun = await loadTimers(
    db,
    rows.map(({ row }) => row.id),
  );
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
      input: row.input as Json,
      output: (row.output ?? null) as Json,
      parent:
        row.parentId === null || row.parentTask === null
          ? null
          : { workflowId: row.parentId, taskKey: row.parentTask },
      ...noExtras,
      ...(row.extras as Partial<RunExtras>),
      tasks: byRun.get(row.id) ?? new Map(),
      timers: timersByRun.get(row.id) ?? new Map(),
    },
    workflow: row.workflow,
    title: row.title,
    definitionHash: row.definitionHash,
    definition: definition as Json,
    epoch: row.epoch,
    tenant: row.tenant,
    createdAtMs: createdAtMs ?? 0,
  }));
}

/** The parts of a run's state that have no column of their own. */
export type RunExtras = Pick<
  RunFields,
  "chart" | "signals" | "spent" | "raised" | "rollback" | "pause" | "stoodMs"
>;

export const noExtras: RunExtras = {
  chart: null,
  signals: [],
  spent: {},
  raised: {},
  rollback: null,
  pause: null,
  stoodMs: 0,
};

export function runExtras(run: RunFields): RunExtras {
  const { chart, signals, spent, raised, rollback, pause, stoodMs } = run;
  return { chart, signals, spent, raised, rollback, pause, stoodMs };
}

async function loadTimers(
  db: Pick<Database, "select">,
  ids: readonly string[],
): Promise<ReadonlyMap<string, Map<string, RunTimer>>> {
  const byRun = new Map<string, Map<string, RunTimer>>(ids.map((id) => [id, new Map()]));
  const rows = await db
    .select({
      workflowId: timers.workflowId,
      key: timers.key,
      event: timers.event,
      dueAtMs: epochMs(timers.dueAt),
      remainingMs: timers.remainingMs,
    })
    .from(timers)
    .where(inArray(timers.workflowId, [...ids]));
  for (const { workflowId, key, event, dueAtMs, remainingMs } of rows) {
    byRun.get(workflowId)?.set(key, { event: event as Json, dueAtMs, remainingMs });
  }
  return byRun;
}
