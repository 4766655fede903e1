/**
 * The transactional mailbox: what waits for a turn, and the one transaction that a turn is.
 *
 * @module
 */

import { eq, sql } from "drizzle-orm";
import type { ErrorRecord, Json } from "../machines/error-code.ts";
import type { CommandAnswer } from "../machines/run/command.ts";
import type { TaskChange } from "../machines/run/draft.ts";
import type { JournalDraft, RunFields, RunTimer, TaskState } from "../machines/run/state.ts";
import type { Database } from "./database.ts";
import { toJsonb } from "./jsonb.ts";
import { runExtras } from "./run-repo.ts";
import { mailbox } from "./schema/workflows.ts";
import { causeWith, isRefusal } from "./server-error.ts";
import { type RateClaim, type SlotClaim, takeSlots } from "./slot-repo.ts";

/** Another node owns these runs now; nothing of the batch was written. */
export class OwnershipLostError extends Error {
  override readonly name = "OwnershipLostError";
  readonly code = "OWNERSHIP_LOST";
  readonly workflowIds: readonly string[];

  constructor(workflowIds: readonly string[]) {
    super(`Cannot commit a turn: another node owns ${workflowIds.join(", ")}`);
    this.workflowIds = workflowIds;
  }
}

export interface PendingEvent {
  /** Mailbox id, or null for a timer. */
  readonly mailboxId: number | null;
  readonly timerKey: string | null;
  readonly workflowId: string;
  readonly event: Json;
  readonly atMs: number;
}

export interface Pending {
  /** Database clock. */
  readonly nowMs: number;
  /** Timers first, then mail in order of arrival. */
  readonly events: readonly PendingEvent[];
  /** When the next timer of this node is due, or null. */
  readonly nextDueMs: number | null;
}

export interface CommittedRun {
  readonly run: RunFields;
  readonly epoch: number;
  readonly tasks: readonly TaskChange[];
  readonly journal: readonly JournalDraft[];
  readonly effects: readonly Json[];
  /** Null: the timer is gone. */
  readonly timers: ReadonlyMap<string, RunTimer | null>;
  /** Agent and action by key of the definition's task, for new rows. */
  readonly actions: ReadonlyMap<string, { readonly agent: string; readonly action: string }>;
  /** What it answers to commands. */
  readonly answers?: ReadonlyMap<string, CommandAnswer>;
  /** What its dispatches take of the pools of all nodes. */
  readonly claims?: { readonly slots: readonly SlotClaim[]; readonly rates: readonly RateClaim[] };
}

export interface Outgoing {
  readonly outboxId: number;
  readonly workflowId: string;
  readonly effect: Json;
}

export interface TurnRepo {
  pending(incarnation: string, limit: number): Promise<Pending>;
  /**
   * One transaction for all runs of the batch.
   * @throws {OwnershipLostError} When the epoch of a run is no longer ours.
   * @throws {PoolsFullError} When other nodes have taken the slots or tokens that the batch claims.
   */
  commit(
    incarnation: string,
    runs: readonly CommittedRun[],
    consumed: readonly PendingEvent[],
  ): Promise<readonly Outgoing[]>;
  /** Takes a run that cannot go on out of the way; its mail stays. False when it is no longer ours. */
  park(incarnation: string, id: string, epoch: number, error: ErrorRecord): Promise<boolean>;
  /** Puts an event into a run's mailbox; false when its dedupe key is there already, or no such run. */
  post(workflowId: string, event: Json, dedupeKey: string): Promise<boolean>;
  /** True while the event with this dedupe key has not been applied. */
  isWaiting(dedupeKey: string): Promise<boolean>;
  /** Effects of owned runs that were committed and not performed. */
  outgoing(incarnation: string): Promise<readonly Outgoing[]>;
  performed(outboxIds: readonly number[]): Promise<void>;
}

export function createTurnRepo(db: Database): TurnRepo {
  return {
    pending: (incarnation, limit) => pending(db, incarnation, limit),
    commit: (incarnation, runs, consumed) => commit(db, incarnation, runs, consumed),
    post: async (workflowId, event, dedupeKey) => {
      const rows = await db.execute(sql`
        insert into spectra.mailbox (workflow_id, event, dedupe_key)
        select id, ${toJsonb(event)}::jsonb, ${dedupeKey} from spectra.workflows where id = ${workflowId}
        on conflict do nothing returning id`);
      return rows.length > 0;
    },
    isWaiting: async (dedupeKey) => {
      const rows = await db
        .select({ id: mailbox.id })
        .from(mailbox)
        .where(eq(mailbox.dedupeKey, dedupeKey));
      return rows.length > 0;
    },
    park: async (incarnation, id, epoch, error) => {
      try {
        return await park(db, incarnation, id, epoch, error);
      } catch (refused) {
        if (!isRefusal(refused)) throw refused;
        // A journal that takes no entry must not keep its run from being parked: the row alone says so.
        const rows = await db.execute(sql`
          update spectra.workflows set status = 'parked', error = ${toJsonb(error)}::jsonb
          where id = ${id} and owner = ${incarnation} and epoch = ${epoch} and status <> 'parked'
          returning 1`);
        return rows.length > 0;
      }
    },
    outgoing: async (incarnation) => {
      const rows = await db.execute<{ id: string; workflow_id: string; effect: Json }>(sql`
        select o.id::text as id, o.workflow_id, o.effect from spectra.outbox o
        join spectra.workflows w on w.id = o.workflow_id
        where w.owner = ${incarnation} order by o.id`);
      return rows.map((row) => ({
        outboxId: Number(row.id),
        workflowId: row.workflow_id,
        effect: row.effect,
      }));
    },
    performed: async (ids) => {
      await db.execute(sql`delete from spectra.outbox where id in (
        select value::bigint from jsonb_array_elements_text(${JSON.stringify(ids)}::jsonb))`);
    },
  };
}

async function park(
  db: Database,
  incarnation: string,
  id: string,
  epoch: number,
  error: ErrorRecord,
): Promise<boolean> {
  const text = toJsonb(error);
  const rows = await db.execute(sql`
    with was as (select id, status, error from spectra.workflows where id = ${id}
        and owner = ${incarnation} and epoch = ${epoch} and status <> 'parked' for update),
      parked as (update spectra.workflows w
        set status = 'parked', error = ${text}::jsonb, seq = w.seq + 1
        from was where w.id = was.id returning w.id, w.seq),
      noted as (insert into spectra.journal (workflow_id, seq, type, at, actor, payload, patch)
    select parked.id, parked.seq, 'run.parked', clock_timestamp(), ${incarnation}::text,
      jsonb_build_object('code', ${text}::jsonb->'code', 'message', ${text}::jsonb->'message',
        'was', was.status, 'error', was.error),
      jsonb_build_object('whole', true, 'run', jsonb_build_object('status', 'parked',
        'error', ${text}::jsonb, 'seq', parked.seq))
    from parked join was on was.id = parked.id on conflict do nothing)
    select 1 from parked`);
  return rows.length > 0;
}

async function pending(db: Database, incarnation: string, limit: number): Promise<Pending> {
  const [row] = await db.execute<{
    now_ms: number;
    next_due_ms: number | null;
    mail: { id: number; w: string; e: Json; at: number }[] | null;
    timers: { k: string; w: string; e: Json; at: number }[] | null;
  }>(sql`
    with due as (
      select t.key, t.workflow_id, t.event, t.due_at from spectra.timers t
      join spectra.workflows w on w.id = t.workflow_id and w.owner = ${incarnation}
        and w.status in ('pending', 'running', 'paused')
      where t.due_at <= now()
      order by t.due_at limit ${limit}),
    mail as (
      select m.id, m.workflow_id, m.event, m.at from spectra.mailbox m
      join spectra.workflows w on w.id = m.workflow_id and w.owner = ${incarnation}
        and w.status <> 'parked' and m.at < 'infinity'
      order by m.id limit ${limit})
    select extract(epoch from clock_timestamp())::float8 * 1000 as now_ms,
      (select extract(epoch from t.due_at)::float8 * 1000 from spectra.timers t
        join spectra.workflows w on w.id = t.workflow_id and w.owner = ${incarnation}
          and w.status in ('pending', 'running', 'paused')
        where t.due_at > now() order by t.due_at limit 1) as next_due_ms,
      (select jsonb_agg(jsonb_build_object('id', id, 'w', workflow_id, 'e', event,
        'at', extract(epoch from at)::float8 * 1000) order by id) from mail) as mail,
      (select jsonb_agg(jsonb_build_object('k', key, 'w', workflow_id, 'e', event,
        'at', extract(epoch from due_at)::float8 * 1000) order by due_at) from due) as timers`);
  if (row === undefined) throw new Error("Cannot read the mailbox: the server returned no row");
  const timers = (row.timers ?? []).map((timer) => ({
    mailboxId: null,
    timerKey: timer.k,
    workflowId: timer.w,
    event: timer.e,
    atMs: Math.round(timer.at),
  }));
  const mail = (row.mail ?? []).map((entry) => ({
    mailboxId: entry.id,
    timerKey: null,
    workflowId: entry.w,
    event: entry.e,
    atMs: Math.round(entry.at),
  }));
  // Whole milliseconds, as they are stored: folding the journal gives exactly the rows.
  return {
    nowMs: Math.floor(row.now_ms),
    nextDueMs: row.next_due_ms,
    events: [...timers, ...mail],
  };
}

/** SQLSTATE by which `spectra.commit_turn_1` says that a run is another node's now. */
const ownershipLost = "SP001";

/** One statement is one transaction; with claims on pools of all nodes, whose locks it needs, they are one. */
async function commit(
  db: Database,
  incarnation: string,
  runs: readonly CommittedRun[],
  consumed: readonly PendingEvent[],
): Promise<Outgoing[]> {
  const batch = toJsonb(batchOf(runs, consumed));
  const slots = runs.flatMap(({ claims }) => claims?.slots ?? []);
  const rates = runs.flatMap(({ claims }) => claims?.rates ?? []);
  try {
    if (slots.length === 0 && rates.length === 0) return await store(db, incarnation, batch);
    return await db.transaction(async (tx) => {
      const outgoing = await store(tx, incarnation, batch);
      await takeSlots(tx, incarnation, slots, rates);
      return outgoing;
    });
  } catch (error) {
    const refused = causeWith(error, ownershipLost);
    if (refused === undefined) throw error;
    throw new OwnershipLostError(JSON.parse(refused.detail ?? "[]") as string[]);
  }
}

async function store(
  db: Pick<Database, "execute">,
  incarnation: string,
  batch: string,
): Promise<Outgoing[]> {
  const [row] = await db.execute<{ sent: { id: number; w: string; e: Json }[] | null }>(
    sql`select spectra.commit_turn_1(${incarnation}, ${batch}::jsonb) as sent`,
  );
  return (row?.sent ?? []).map(({ id, w, e }) => ({ outboxId: id, workflowId: w, effect: e }));
}

/** What the function of the database takes; parts that are empty are left out, and cost nothing there. */
function batchOf(runs: readonly CommittedRun[], consumed: readonly PendingEvent[]) {
  const timers = runs.flatMap(({ run, timers: all }) =>
    [...all].map(([key, timer]) => ({ w: run.id, key, timer })),
  );
  const fired = consumed.flatMap(({ timerKey, workflowId }) =>
    timerKey === null ? [] : [{ w: workflowId, k: timerKey }],
  );
  const parts = {
    added: runs.flatMap(addedRows),
    changed: runs.flatMap(({ run, tasks }) =>
      tasks.filter(({ isNew }) => !isNew).map((task) => taskRow(run.id, task)),
    ),
    journal: runs.flatMap(({ run, journal }) => journal.map((entry) => ({ w: run.id, ...entry }))),
    answers: runs.flatMap(({ run, answers }) =>
      [...(answers ?? [])].map(([key, answer]) => ({ w: run.id, key, answer })),
    ),
    mail: consumed.flatMap(({ mailboxId }) => (mailboxId === null ? [] : [mailboxId])),
    gone: [
      ...fired,
      ...timers.flatMap(({ w, key, timer }) => (timer === null ? [{ w, k: key }] : [])),
    ],
    timers: timers.flatMap(({ w, key, timer }) => (timer === null ? [] : [{ w, key, ...timer }])),
    effects: runs.flatMap(({ run, effects }) => effects.map((effect) => ({ w: run.id, effect }))),
  };
  const filled = Object.entries(parts).filter(([, rows]) => rows.length > 0);
  return { runs: runs.map(runRow), ...Object.fromEntries(filled) };
}

function addedRows({ run, tasks, actions }: CommittedRun) {
  return tasks
    .filter(({ isNew }) => isNew)
    .map((task) => ({
      ...taskRow(run.id, task),
      plan: task.state.plan,
      ...(actions.get(task.state.plan) ?? { agent: null, action: null }),
    }));
}

function runRow({ run, epoch }: CommittedRun) {
  return {
    id: run.id,
    epoch,
    status: run.status,
    place: run.place,
    seq: run.seq,
    error: run.error,
    priority: run.priority,
    output: run.output,
    extras: runExtras(run),
    started: run.startedAtMs,
    finished: run.finishedAtMs,
  };
}

function taskRow(workflowId: string, { state, output }: TaskChange) {
  return {
    w: workflowId,
    k: state.key,
    status: state.status,
    attempt: state.attempt,
    failures: state.failures,
    deaths: state.deaths,
    node: state.node,
    error: state.error,
    output: output ?? null,
    extras: taskExtras(state),
    scheduled: state.scheduledAtMs,
    ready: state.readyAtMs,
    started: state.startedAtMs,
    finished: state.finishedAtMs,
  };
}

/** The parts of a task's state that have no column of their own; what is as at the beginning is left out. */
function taskExtras(state: TaskState): Partial<TaskState> {
  const {
    iteration,
    index,
    item,
    items,
    left,
    admitted,
    inside,
    priority,
    urgent,
    unknownOutcome,
    stopping,
    childId,
  } = state;
  return {
    ...(iteration === 1 ? {} : { iteration }),
    ...(index === null ? {} : { index, item }),
    ...(left === null ? {} : { left }),
    ...(items === null ? {} : { items }),
    ...(admitted === null ? {} : { admitted }),
    ...(inside === null ? {} : { inside }),
    ...(priority === null ? {} : { priority }),
    ...(urgent ? { urgent } : {}),
    ...(unknownOutcome ? { unknownOutcome } : {}),
    ...(stopping ? { stopping } : {}),
    ...(childId === null ? {} : { childId }),
  };
}
