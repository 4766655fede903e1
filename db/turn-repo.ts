/**
 * The transactional mailbox: what waits for a turn, and the one transaction that a turn is.
 *
 * @module
 */

import { eq, sql } from "drizzle-orm";
import type { ErrorRecord, Json } from "../machines/error-code.ts";
import type { JournalDraft, RunState, TaskState } from "../machines/run-turn.ts";
import type { Database } from "./database.ts";
import { toJsonb } from "./jsonb.ts";
import { mailbox } from "./schema/workflows.ts";

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
  readonly state: RunState;
  readonly epoch: number;
  readonly tasks: readonly { readonly state: TaskState; readonly output: Json | undefined }[];
  readonly journal: readonly JournalDraft[];
  readonly effects: readonly Json[];
  readonly timers: readonly {
    readonly key: string;
    readonly event: Json;
    readonly dueAtMs: number;
  }[];
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
   */
  commit(
    incarnation: string,
    runs: readonly CommittedRun[],
    consumed: readonly PendingEvent[],
  ): Promise<readonly Outgoing[]>;
  /** Takes a run that cannot go on out of the way; its mail stays. False when it is no longer ours. */
  park(incarnation: string, id: string, epoch: number, error: ErrorRecord): Promise<boolean>;
  /** Puts an event into a run's mailbox; false when its dedupe key is there already. */
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
      const rows = await db
        .insert(mailbox)
        .values({ workflowId, event: sql`${toJsonb(event)}::jsonb`, dedupeKey })
        .onConflictDoNothing()
        .returning({ id: mailbox.id });
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
      const rows = await db.execute(sql`
        update spectra.workflows set status = 'parked', error = ${toJsonb(error)}::jsonb
        where id = ${id} and owner = ${incarnation} and epoch = ${epoch} returning 1`);
      return rows.length > 0;
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

async function pending(db: Database, incarnation: string, limit: number): Promise<Pending> {
  const [row] = await db.execute<{
    now_ms: number;
    next_due_ms: number | null;
    mail: { id: number; w: string; e: Json; at: number }[] | null;
    timers: { k: string; w: string; e: Json; at: number }[] | null;
  }>(sql`
    with mine as materialized (
      select id from spectra.workflows where owner = ${incarnation}
        and status in ('pending', 'running', 'paused')),
    due as (
      select t.key, t.workflow_id, t.event, t.due_at from spectra.timers t
      join mine on mine.id = t.workflow_id where t.due_at <= clock_timestamp()
      order by t.due_at limit ${limit}),
    mail as (
      select m.id, m.workflow_id, m.event, m.at from spectra.mailbox m
      join spectra.workflows w on w.id = m.workflow_id and w.owner = ${incarnation}
        and w.status <> 'parked'
      order by m.id limit ${limit})
    select extract(epoch from clock_timestamp())::float8 * 1000 as now_ms,
      (select extract(epoch from min(t.due_at))::float8 * 1000 from spectra.timers t
        join mine on mine.id = t.workflow_id where t.due_at > clock_timestamp()) as next_due_ms,
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
    atMs: timer.at,
  }));
  const mail = (row.mail ?? []).map((entry) => ({
    mailboxId: entry.id,
    timerKey: null,
    workflowId: entry.w,
    event: entry.e,
    atMs: entry.at,
  }));
  return { nowMs: row.now_ms, nextDueMs: row.next_due_ms, events: [...timers, ...mail] };
}

async function commit(
  db: Database,
  incarnation: string,
  runs: readonly CommittedRun[],
  consumed: readonly PendingEvent[],
): Promise<Outgoing[]> {
  return await db.transaction(async (tx) => {
    const fenced = await tx.execute<{ id: string }>(sql`
      update spectra.workflows w set status = x.status, place = x.place, seq = x.seq, error = x.error,
        started_at = to_timestamp(x.started / 1000), finished_at = to_timestamp(x.finished / 1000)
      from jsonb_to_recordset(${toJsonb(runs.map(runRow))}::jsonb) as x(id text, epoch bigint,
        status text, place text, seq bigint, error jsonb, started float8, finished float8)
      where w.id = x.id and w.epoch = x.epoch and w.owner = ${incarnation} returning w.id`);
    if (fenced.length !== runs.length) {
      const kept = new Set(fenced.map(({ id }) => id));
      throw new OwnershipLostError(runs.map(({ state }) => state.id).filter((id) => !kept.has(id)));
    }
    const changed = runs.flatMap(({ state, tasks }) =>
      tasks.map((task) => taskRow(state.id, task)),
    );
    if (changed.length > 0) {
      await tx.execute(sql`
        update spectra.tasks t set status = x.status, attempt = x.attempt, failures = x.failures,
          deaths = x.deaths, node = x.node, error = x.error, output = coalesce(x.output, t.output),
          ready_at = to_timestamp(x.ready / 1000), started_at = to_timestamp(x.started / 1000),
          finished_at = to_timestamp(x.finished / 1000)
        from jsonb_to_recordset(${toJsonb(changed)}::jsonb) as x(w text, k text, status text,
          attempt int, failures int, deaths int, node text, error jsonb, output jsonb, ready float8,
          started float8, finished float8)
        where t.workflow_id = x.w and t.key = x.k`);
    }
    const entries = runs.flatMap(({ state, journal }) =>
      journal.map((entry) => ({ w: state.id, ...entry })),
    );
    if (entries.length > 0) {
      await tx.execute(sql`
        insert into spectra.journal (workflow_id, seq, type, at, actor, payload)
        select w, seq, type, to_timestamp("atMs" / 1000), actor, payload
        from jsonb_to_recordset(${toJsonb(entries)}::jsonb) as x(w text, seq bigint, type text,
          "atMs" float8, actor text, payload jsonb)`);
    }
    const timers = runs.flatMap(({ state, timers: list }) =>
      list.map((timer) => ({ w: state.id, ...timer })),
    );
    if (timers.length > 0) {
      await tx.execute(sql`
        insert into spectra.timers (workflow_id, key, event, due_at)
        select w, key, event, to_timestamp("dueAtMs" / 1000)
        from jsonb_to_recordset(${toJsonb(timers)}::jsonb) as x(w text, key text, event jsonb, "dueAtMs" float8)
        on conflict (workflow_id, key) do update set event = excluded.event, due_at = excluded.due_at`);
    }
    await consume(tx, consumed);
    const effects = runs.flatMap(({ state, effects: list }) =>
      list.map((effect) => ({ w: state.id, effect })),
    );
    if (effects.length === 0) return [];
    const rows = await tx.execute<{ id: string; workflow_id: string; effect: Json }>(sql`
      insert into spectra.outbox (workflow_id, effect)
      select w, effect from jsonb_to_recordset(${toJsonb(effects)}::jsonb) as x(w text, effect jsonb)
      returning id::text as id, workflow_id, effect`);
    return rows.map((row) => ({
      outboxId: Number(row.id),
      workflowId: row.workflow_id,
      effect: row.effect,
    }));
  });
}

async function consume(
  tx: Pick<Database, "execute">,
  consumed: readonly PendingEvent[],
): Promise<void> {
  const mail = consumed.flatMap(({ mailboxId }) => (mailboxId === null ? [] : [mailboxId]));
  if (mail.length > 0) {
    await tx.execute(sql`delete from spectra.mailbox where id in (
      select value::bigint from jsonb_array_elements_text(${JSON.stringify(mail)}::jsonb))`);
  }
  const fired = consumed.flatMap(({ timerKey, workflowId }) =>
    timerKey === null ? [] : [{ w: workflowId, k: timerKey }],
  );
  if (fired.length > 0) {
    await tx.execute(sql`delete from spectra.timers t
      using jsonb_to_recordset(${JSON.stringify(fired)}::jsonb) as x(w text, k text)
      where t.workflow_id = x.w and t.key = x.k`);
  }
}

function runRow({ state, epoch }: CommittedRun) {
  return {
    id: state.id,
    epoch,
    status: state.status,
    place: state.place,
    seq: state.seq,
    error: state.error,
    started: state.startedAtMs,
    finished: state.finishedAtMs,
  };
}

function taskRow(workflowId: string, task: CommittedRun["tasks"][number]) {
  const { state } = task;
  return {
    w: workflowId,
    k: state.key,
    status: state.status,
    attempt: state.attempt,
    failures: state.failures,
    deaths: state.deaths,
    node: state.node,
    error: state.error,
    output: task.output ?? null,
    ready: state.readyAtMs,
    started: state.startedAtMs,
    finished: state.finishedAtMs,
  };
}
