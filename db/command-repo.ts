/**
 * Operators' commands: durable with their mail in one statement, known by key, answered by the turn
 * that applied them.
 *
 * @module
 */

import { and, eq, type SQL, sql } from "drizzle-orm";
import type { ErrorRecord, Json } from "../machines/error-code.ts";
import type { CommandAnswer } from "../machines/run/command.ts";
import type { Database } from "./database.ts";
import { toJsonb } from "./jsonb.ts";
import { noExtras, type RunExtras } from "./run-repo.ts";
import { bulkCommands, commands } from "./schema/workflows.ts";
import { isRefusal } from "./server-error.ts";
import { notifyMail } from "./wake-channel.ts";

export interface NewCommand {
  readonly workflowId: string;
  /** The same key is the same command. */
  readonly key: string;
  /** Hash of what is asked for. */
  readonly request: string;
  readonly event: Readonly<Record<string, Json>>;
  /** Incarnation that takes the run when nobody alive owns it. */
  readonly incarnation: string;
}

export type Posted =
  | { readonly type: "posted" }
  /** The key was used before; `answer` is null while that command waits. */
  | { readonly type: "known"; readonly request: string; readonly answer: CommandAnswer | null }
  | { readonly type: "no-run" };

/** Which runs a bulk command goes to; all that is set must hold. */
export interface RunSelection {
  readonly ids?: readonly string[];
  readonly status?: readonly string[];
  readonly workflow?: string;
  readonly tenant?: string;
  /** Has a task of this agent. */
  readonly agent?: string;
  /** Error code of the run, or of one of its tasks. */
  readonly code?: string;
  /** Created at or after, and before; epoch milliseconds. */
  readonly sinceMs?: number;
  readonly untilMs?: number;
  readonly attributes?: Readonly<Record<string, Json>>;
}

export interface MatchedRun {
  readonly id: string;
  readonly workflow: string;
  readonly status: string;
}

export interface BulkProgress {
  readonly id: string;
  readonly request: string;
  readonly body: Json;
  readonly matched: number;
  readonly taken: number;
  readonly refused: number;
  /** The first that refused. */
  readonly refusals: readonly { readonly workflowId: string; readonly message: string }[];
}

export interface CommandRepo {
  post(command: NewCommand): Promise<Posted>;
  /** Null while it waits, undefined when there is no such command. */
  answer(workflowId: string, key: string): Promise<CommandAnswer | null | undefined>;
  /**
   * Posts one event to all runs of a selection in one transaction. Does nothing when the id is known.
   * @throws {TooManyRunsError} When more than `limit` match; nothing was posted.
   */
  postBulk(bulk: {
    readonly id: string;
    readonly request: string;
    readonly body: Json;
    readonly event: Readonly<Record<string, Json>>;
    readonly selection: RunSelection;
    readonly incarnation: string;
    readonly limit: number;
  }): Promise<void>;
  /** Runs of a selection, oldest first. @throws {TooManyRunsError} When more than `limit` match. */
  matching(selection: RunSelection, limit: number): Promise<readonly MatchedRun[]>;
  /** @param shown Refusals that are listed at most. */
  bulk(id: string, shown: number): Promise<BulkProgress | undefined>;
  /** One statement reads all of it: it is the state at `seq`. */
  runState(workflowId: string): Promise<RunStateRow | undefined>;
  /** Makes a parked run open again, for its owner or, when that is dead, for `incarnation`. */
  unpark(workflowId: string, incarnation: string): Promise<void>;
}

/** A run's small state, in one read. */
export interface RunStateRow {
  readonly id: string;
  readonly status: string;
  readonly seq: number;
  readonly priority: number;
  readonly place: string;
  readonly extras: RunExtras;
  /** Only those that are at work, wait, or are parked. */
  readonly tasks: readonly {
    readonly key: string;
    readonly plan: string;
    readonly status: string;
    readonly isGroup: boolean;
    readonly stopping: boolean;
    readonly childId: string | null;
    readonly startedAtMs: number | null;
    readonly error: ErrorRecord | null;
  }[];
}

export class TooManyRunsError extends Error {
  override readonly name = "TooManyRunsError";
  readonly code = "TOO_MANY_RUNS";

  constructor(limit: number) {
    super(`Cannot command more than ${limit} runs at once: narrow the filter`);
  }
}

/** Nobody alive owns the run `w`. */
const isOrphan = sql`(w.owner is null or not exists (
  select 1 from spectra.nodes n where n.incarnation = w.owner and n.expires_at > now()))`;

export function bulkKey(id: string): string {
  return `bulk/${id}`;
}

export function createCommandRepo(db: Database): CommandRepo {
  return {
    post: (command) => post(db, command),
    answer: async (workflowId, key) => {
      const [row] = await db
        .select({ answer: commands.answer })
        .from(commands)
        .where(and(eq(commands.workflowId, workflowId), eq(commands.key, key)));
      return row?.answer as CommandAnswer | null | undefined;
    },
    postBulk: async ({ id, request, body, event, selection, incarnation, limit }) => {
      await db.transaction(async (tx) => {
        const made = await tx
          .insert(bulkCommands)
          .values({ id, request, body, matched: 0 })
          .onConflictDoNothing()
          .returning({ id: bulkCommands.id });
        if (made.length === 0) return;
        const key = bulkKey(id);
        const rows = await tx.execute<{ id: string }>(sql`
          with chosen as (
            select w.id from spectra.workflows w where ${matching(selection)}
            order by w.created_at, w.id limit ${limit + 1}),
          ins as (
            insert into spectra.commands (workflow_id, key, request)
            select id, ${key}, ${request} from chosen returning workflow_id),
          adopted as (
            update spectra.workflows w set owner = ${incarnation}, epoch = epoch + 1
            from ins where w.id = ins.workflow_id and w.owner is distinct from ${incarnation}
              and ${isOrphan} returning w.id),
          mail as (
            insert into spectra.mailbox (workflow_id, event, dedupe_key)
            select workflow_id, ${toJsonb({ ...event, command: key })}::jsonb, 'command/' || workflow_id || '/' || ${key}::text
            from ins returning id)
          select workflow_id as id from ins`);
        if (rows.length > limit) throw new TooManyRunsError(limit);
        await tx.update(bulkCommands).set({ matched: rows.length }).where(eq(bulkCommands.id, id));
        await tx.execute(sql`select ${notifyMail("*")}`);
      });
    },
    matching: async (selection, limit) => {
      const rows = await db.execute<MatchedRun & Record<string, unknown>>(sql`
        select w.id, w.workflow, w.status from spectra.workflows w where ${matching(selection)}
        order by w.created_at, w.id limit ${limit + 1}`);
      if (rows.length > limit) throw new TooManyRunsError(limit);
      return rows;
    },
    bulk: async (id, shown) => {
      const [row] = await db.select().from(bulkCommands).where(eq(bulkCommands.id, id));
      if (row === undefined) return undefined;
      const [count] = await db.execute<{
        taken: number;
        refused: number;
        refusals: { workflowId: string; message: string }[] | null;
      }>(sql`
        with all_of as (
          select workflow_id, answer from spectra.commands where key = ${bulkKey(id)})
        select count(*) filter (where (answer->>'taken')::boolean)::int as taken,
          count(*) filter (where not (answer->>'taken')::boolean)::int as refused,
          (select jsonb_agg(jsonb_build_object('workflowId', workflow_id, 'message', answer->'refusal'->>'message'))
            from (select workflow_id, answer from all_of where not (answer->>'taken')::boolean
              order by workflow_id limit ${shown}) r) as refusals
        from all_of`);
      return {
        id,
        request: row.request,
        body: row.body as Json,
        matched: row.matched,
        taken: count?.taken ?? 0,
        refused: count?.refused ?? 0,
        refusals: count?.refusals ?? [],
      };
    },
    runState: async (workflowId) => {
      const [row] = await db.execute<{
        id: string;
        status: string;
        seq: string;
        priority: number;
        place: string;
        extras: Partial<RunExtras>;
        tasks: RunStateRow["tasks"] | null;
      }>(sql`
        select w.id, w.status, w.seq::text as seq, w.priority, w.place, w.extras,
          (select jsonb_agg(jsonb_build_object('key', t.key, 'plan', coalesce(t.plan, t.key),
              'status', t.status, 'isGroup', t.extras ? 'left',
              'stopping', coalesce((t.extras->>'stopping')::boolean, false),
              'childId', t.extras->>'childId', 'error', t.error,
              'startedAtMs', (extract(epoch from t.started_at) * 1000)::float8) order by t.position, t.key)
            from spectra.tasks t where t.workflow_id = w.id and (t.extras ? 'stopping'
              or t.status in ('dispatched', 'running', 'compensating', 'parked'))) as tasks
        from spectra.workflows w where w.id = ${workflowId}`);
      if (row === undefined) return undefined;
      const { extras, seq, tasks } = row;
      return { ...row, seq: Number(seq), extras: { ...noExtras, ...extras }, tasks: tasks ?? [] };
    },
    unpark: async (workflowId, incarnation) => {
      // Its status before stands in what it has: a start, a pause.
      const back = (seq: SQL) => sql`
          update spectra.workflows w set error = null, epoch = epoch + 1, seq = ${seq},
            owner = case when ${isOrphan} then ${incarnation} else owner end,
            status = case when started_at is null then 'pending'
              when coalesce(extras->'pause', 'null'::jsonb) <> 'null'::jsonb then 'paused'
              else 'running' end
          where w.id = ${workflowId} and status = 'parked' returning w.id, w.seq, w.status`;
      const journalled = sql`
        with back as (${back(sql`w.seq + 1`)})
        insert into spectra.journal (workflow_id, seq, type, at, actor, payload, patch)
        select id, seq, 'run.unparked', clock_timestamp(), ${incarnation}::text, '{}'::jsonb,
          jsonb_build_object('whole', true, 'run', jsonb_build_object('status', status,
            'error', null, 'seq', seq)) from back`;
      try {
        await db.execute(journalled);
      } catch (refused) {
        if (!isRefusal(refused)) throw refused;
        // As in parking: a journal that takes no entry does not keep an operator from trying again.
        await db.execute(back(sql`w.seq`));
      }
    },
  };
}

async function post(db: Database, command: NewCommand): Promise<Posted> {
  const { workflowId, key, request, incarnation } = command;
  const event = toJsonb({ ...command.event, command: key });
  const [row] = await db.execute<{ posted: boolean }>(sql`
    with ins as (
      insert into spectra.commands (workflow_id, key, request)
      select id, ${key}, ${request} from spectra.workflows where id = ${workflowId}
      on conflict do nothing returning workflow_id),
    adopted as (
      update spectra.workflows w set owner = ${incarnation}, epoch = epoch + 1
      from ins where w.id = ins.workflow_id and w.owner is distinct from ${incarnation}
        and ${isOrphan} returning w.id),
    mail as (
      insert into spectra.mailbox (workflow_id, event, dedupe_key)
      select workflow_id, ${event}::jsonb, ${`command/${workflowId}/${key}`} from ins returning id),
    told as (
      select ${notifyMail(sql`w.owner`)} from spectra.workflows w, ins
      where w.id = ins.workflow_id and w.owner is distinct from ${incarnation})
    select exists (select 1 from ins) as posted, (select count(*) from told)`);
  if (row?.posted === true) return { type: "posted" };
  const [known] = await db
    .select({ request: commands.request, answer: commands.answer })
    .from(commands)
    .where(and(eq(commands.workflowId, workflowId), eq(commands.key, key)));
  if (known === undefined) return { type: "no-run" };
  return {
    type: "known",
    request: known.request,
    answer: known.answer as CommandAnswer | null,
  };
}

function matching(selection: RunSelection) {
  const { agent, attributes, code, ids, sinceMs, status, tenant, untilMs, workflow } = selection;
  const at = (ms: number) => sql`to_timestamp(${ms}::float8 / 1000)`;
  const all = [sql`true`];
  if (ids !== undefined) all.push(sql`w.id in (${listed(ids)})`);
  if (status !== undefined) all.push(sql`w.status in (${listed(status)})`);
  if (workflow !== undefined) all.push(sql`w.workflow = ${workflow}`);
  if (tenant !== undefined) all.push(sql`w.tenant = ${tenant}`);
  if (agent !== undefined)
    all.push(sql`w.definition_hash = any(array(
      select hash from spectra.definitions where agents @> array[${agent}::text]))`);
  if (code !== undefined)
    all.push(sql`w.id = any(array(
      select r.id from spectra.workflows r where r.error->>'code' = ${code}
      union select t.workflow_id from spectra.tasks t where t.error->>'code' = ${code}))`);
  if (sinceMs !== undefined) all.push(sql`w.created_at >= ${at(sinceMs)}`);
  if (untilMs !== undefined) all.push(sql`w.created_at < ${at(untilMs)}`);
  if (attributes !== undefined) all.push(sql`w.attributes @> ${toJsonb(attributes)}::jsonb`);
  return sql.join(all, sql` and `);
}

function listed(values: readonly string[]) {
  return sql`select jsonb_array_elements_text(${JSON.stringify(values)}::jsonb)`;
}
