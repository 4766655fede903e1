/**
 * Durable actors: their newest snapshot, the events that no snapshot holds yet, and their timers.
 *
 * A commit is one transaction and names its incarnation; one of an earlier incarnation writes nothing.
 *
 * @module
 */

import { sql } from "drizzle-orm";
import { type Address, readAddress } from "../machines/address.ts";
import type { Json } from "../machines/error-code.ts";
import type { Database } from "./database.ts";
import { toJsonb } from "./jsonb.ts";

/** What a restart means for a timer: the same moment, the time that was left, the whole delay again. */
export type TimerPolicy = "deadline" | "remaining" | "restart";

export interface SavedActor {
  readonly machineId: string;
  readonly machineVersion: string;
  readonly machineHash: string;
  /** Of the snapshot; 0 before the first commit. */
  readonly format: number;
  /** Newest event that the snapshot holds. */
  readonly seq: number;
  /** An object; its `senders` are the newest `senderSeq` of each sender that it holds. */
  readonly snapshot: Json;
}

export interface SavedTimer {
  readonly id: string;
  readonly event: Json;
  readonly policy: TimerPolicy;
  readonly delayMs: number;
  /** From now; negative when it is overdue. */
  readonly dueInMs: number;
}

export interface NewMail {
  readonly sender: string;
  /** Grows with each event of the sender. The same one twice is one event. */
  readonly senderSeq: number;
  readonly event: Json;
}

export interface Mail extends NewMail {
  readonly seq: number;
  /** Incarnations that died while they applied it. */
  readonly deaths: number;
}

export interface OutgoingMail {
  readonly target: string;
  readonly senderSeq: number;
  readonly event: Json;
}

export interface ActorClaim {
  readonly incarnation: number;
  /** Null before the first commit. */
  readonly saved: SavedActor | null;
  /** The soonest first. */
  readonly timers: readonly SavedTimer[];
}

export interface ActorCommit {
  readonly saved: SavedActor;
  readonly timers: { readonly set: readonly SavedTimer[]; readonly drop: readonly string[] };
  /** Events to other actors: in their mailboxes exactly when this commit holds. */
  readonly sends: readonly OutgoingMail[];
}

/** `fenced`: a later incarnation runs, or a newer snapshot is stored; nothing was written. */
export type CommitResult =
  | { readonly type: "fenced" }
  | { readonly type: "committed"; readonly unknown: readonly OutgoingMail[] };

export interface ActorRepo {
  /** Starts the next incarnation, of a new actor too; from now on commits of earlier ones are refused. */
  claim(address: string): Promise<ActorClaim>;
  /**
   * Puts events into the mailbox, in order; resolves when they are stored.
   * Returns for each its number, or null where it is there (or was applied) already. Undefined: no such actor.
   */
  append(
    address: string,
    mail: readonly NewMail[],
  ): Promise<readonly (number | null)[] | undefined>;
  /** Events after `seq`, oldest first. */
  pending(address: string, seq: number, limit: number): Promise<readonly Mail[]>;
  commit(address: string, incarnation: number, commit: ActorCommit): Promise<CommitResult>;
  /** An incarnation died over this event; returns how many have. 0 when it is not there any more. */
  noteDeath(address: string, seq: number): Promise<number>;
  /** Actors that this node ran and that have not ended: what their snapshots keep as `home`. */
  homes(node: string): Promise<readonly StoredHome[]>;
  /** It is not to be started with its node any more. */
  release(address: string): Promise<void>;
  /** Forgets the actor, its mail and its timers. */
  remove(address: string): Promise<void>;
}

export interface StoredHome {
  readonly address: string;
  readonly home: Json;
}

type Executor = Pick<Database, "execute">;

export function createActorRepo(db: Database): ActorRepo {
  return {
    claim: (address) => db.transaction((tx) => claim(tx, address)),
    append: (address, mail) =>
      db.transaction(async (tx) => {
        const found = await tx.execute(sql`
          select 1 from spectra.actors where address = ${address} for update`);
        return found.length === 0 ? undefined : await insertMail(tx, address, mail);
      }),
    pending: (address, seq, limit) => pending(db, address, seq, limit),
    commit: async (address, incarnation, change) => {
      if (change.sends.length > 0) {
        return await db.transaction((tx) => commitWithSends(tx, address, incarnation, change));
      }
      const done = await write(db, address, incarnation, change);
      return done ? { type: "committed", unknown: [] } : { type: "fenced" };
    },
    noteDeath: async (address, seq) => {
      const [row] = await db.execute<{ deaths: number }>(sql`
        update spectra.actor_mailbox set deaths = deaths + 1
        where address = ${address} and seq = ${seq} returning deaths`);
      return row?.deaths ?? 0;
    },
    homes: async (node) => {
      const rows = await db.execute<{ address: string; home: Json }>(sql`
        select address, snapshot->'home' as home from spectra.actors
        where snapshot->'home'->>'node' = ${node}
          and coalesce(snapshot->'state'->>'status', '') <> 'done' order by address`);
      return rows.map(({ address, home }) => ({ address, home }));
    },
    release: async (address) => {
      await db.execute(sql`
        update spectra.actors set snapshot = snapshot - 'home'
        where address = ${address} and jsonb_typeof(snapshot) = 'object'`);
    },
    remove: async (address) => {
      await db.execute(sql`
        with mail as (delete from spectra.actor_mailbox where address = ${address}),
          timers as (delete from spectra.actor_timers where address = ${address})
        delete from spectra.actors where address = ${address}`);
    },
  };
}

async function claim(tx: Executor, address: string): Promise<ActorClaim> {
  const [row] = await tx.execute<{
    incarnation: string;
    machine_id: string;
    machine_version: string;
    machine_hash: string;
    format: number;
    seq: string;
    snapshot: Json;
  }>(sql`
    insert into spectra.actors as a (address, incarnation, machine_id, machine_version, machine_hash,
      format, seq, snapshot)
    values (${address}, 1, '', '', '', 0, 0, 'null')
    on conflict (address) do update set incarnation = a.incarnation + 1
    returning incarnation::text, machine_id, machine_version, machine_hash, format, seq::text, snapshot`);
  if (row === undefined) throw new Error(`Cannot claim ${address}: the server returned no row`);
  const timers = await tx.execute<{
    id: string;
    event: Json;
    policy: TimerPolicy;
    delay_ms: string;
    due_in_ms: number;
  }>(sql`
    update spectra.actor_timers t set due_at = case t.policy
      when 'deadline' then t.due_at
      when 'remaining' then clock_timestamp() + (t.due_at - a.updated_at)
      else clock_timestamp() + t.delay_ms * interval '1 millisecond' end
    from spectra.actors a where a.address = t.address and t.address = ${address}
    returning t.id, t.event, t.policy, t.delay_ms::text,
      extract(epoch from t.due_at - clock_timestamp())::float8 * 1000 as due_in_ms`);
  // What is left of a timer counts from here, if this incarnation dies before it commits.
  await tx.execute(sql`
    update spectra.actors set updated_at = clock_timestamp() where address = ${address}`);
  const saved = {
    machineId: row.machine_id,
    machineVersion: row.machine_version,
    machineHash: row.machine_hash,
    format: row.format,
    seq: Number(row.seq),
    snapshot: row.snapshot,
  };
  return {
    incarnation: Number(row.incarnation),
    saved: saved.format === 0 ? null : saved,
    timers: timers
      .map((timer) => ({
        id: timer.id,
        event: timer.event,
        policy: timer.policy,
        delayMs: Number(timer.delay_ms),
        dueInMs: timer.due_in_ms,
      }))
      .sort((a, b) => a.dueInMs - b.dueInMs),
  };
}

/** The actor's row is locked by the caller, so that numbers are given in turn. */
async function insertMail(
  tx: Executor,
  address: string,
  mail: readonly NewMail[],
): Promise<(number | null)[]> {
  const rows = await tx.execute<{ seq: string; sender: string; sender_seq: string }>(sql`
    insert into spectra.actor_mailbox (address, seq, sender, sender_seq, event)
    select ${address}, base.seq + row_number() over (order by x.n), x.sender, x."senderSeq", x.event
    from jsonb_to_recordset(${toJsonb(mail.map((item, at) => ({ n: at + 1, ...item })))}::jsonb)
      as x(n int, sender text, "senderSeq" bigint, event jsonb),
      (select a.snapshot->'senders' as senders, greatest(a.seq,
        (select coalesce(max(m.seq), 0) from spectra.actor_mailbox m where m.address = a.address)) as seq
        from spectra.actors a where a.address = ${address}) as base
    where x."senderSeq" > coalesce((base.senders->>x.sender)::bigint, 0)
      and not exists (select 1 from spectra.actor_mailbox m where m.address = ${address}
        and m.sender = x.sender and m.sender_seq = x."senderSeq")
    on conflict (address, sender, sender_seq) do nothing
    returning seq::text, sender, sender_seq::text`);
  const given = new Map(rows.map((row) => [`${row.sender_seq} ${row.sender}`, Number(row.seq)]));
  return mail.map(({ sender, senderSeq }) => given.get(`${senderSeq} ${sender}`) ?? null);
}

async function pending(
  db: Executor,
  address: string,
  seq: number,
  limit: number,
): Promise<readonly Mail[]> {
  const rows = await db.execute<{
    seq: string;
    sender: string;
    sender_seq: string;
    event: Json;
    deaths: number;
  }>(sql`
    select seq::text, sender, sender_seq::text, event, deaths from spectra.actor_mailbox
    where address = ${address} and actor_mailbox.seq > ${seq} order by actor_mailbox.seq limit ${limit}`);
  return rows.map((row) => ({
    seq: Number(row.seq),
    sender: row.sender,
    senderSeq: Number(row.sender_seq),
    event: row.event,
    deaths: row.deaths,
  }));
}

async function commitWithSends(
  tx: Executor,
  address: string,
  incarnation: number,
  change: ActorCommit,
): Promise<CommitResult> {
  const sends = change.sends.map((send) => ({ send, ...readAddress(send.target) }));
  const paths = [...new Set(sends.flatMap(({ path }) => path ?? []))];
  // All locks in one order: two actors may write to each other at once.
  const found = await tx.execute<{ address: string; incarnation: string }>(sql`
    select address, incarnation::text from spectra.actors where address in (
      select jsonb_array_elements_text(${toJsonb([address, ...paths])}::jsonb))
    order by address for update`);
  const incarnations = new Map(found.map((row) => [row.address, Number(row.incarnation)]));
  if (!(await write(tx, address, incarnation, change))) return { type: "fenced" };
  const isKnown = (target: Partial<Address>): boolean => {
    const runs = target.path === undefined ? undefined : incarnations.get(target.path);
    return runs !== undefined && (target.incarnation ?? runs) === runs;
  };
  for (const path of paths) {
    const mail = sends
      .filter((one) => one.path === path && isKnown(one))
      .map(({ send: { senderSeq, event } }) => ({ sender: address, senderSeq, event }));
    if (mail.length > 0) await insertMail(tx, path, mail);
  }
  const unknown = sends.filter((one) => !isKnown(one)).map(({ send }) => send);
  return { type: "committed", unknown };
}

/** Snapshot, mailbox and timers in one statement, as of one moment; false when another incarnation or a newer snapshot is there. */
async function write(
  db: Executor,
  address: string,
  incarnation: number,
  { saved, timers }: ActorCommit,
): Promise<boolean> {
  const [row] = await db.execute<{ fenced: boolean }>(sql`
    with mine as (
      update spectra.actors set machine_id = ${saved.machineId}, machine_version = ${saved.machineVersion},
        machine_hash = ${saved.machineHash}, format = ${saved.format}, seq = ${saved.seq},
        snapshot = ${toJsonb(saved.snapshot)}::jsonb, updated_at = statement_timestamp()
      where address = ${address} and incarnation = ${incarnation} and seq <= ${saved.seq}
      returning address),
    mail as (
      delete from spectra.actor_mailbox m using mine
      where m.address = mine.address and m.seq <= ${saved.seq}),
    dropped as (
      delete from spectra.actor_timers t using mine where t.address = mine.address and t.id in (
        select jsonb_array_elements_text(${toJsonb(timers.drop)}::jsonb))),
    kept as (
      insert into spectra.actor_timers (address, id, event, policy, delay_ms, due_at)
      select mine.address, x.id, x.event, x.policy, x."delayMs",
        statement_timestamp() + x."dueInMs" * interval '1 millisecond'
      from mine, jsonb_to_recordset(${toJsonb(timers.set)}::jsonb)
        as x(id text, event jsonb, policy text, "delayMs" bigint, "dueInMs" float8)
      on conflict (address, id) do update set event = excluded.event, policy = excluded.policy,
        delay_ms = excluded.delay_ms, due_at = excluded.due_at)
    select not exists (select 1 from mine) as fenced`);
  return row?.fenced === false;
}
