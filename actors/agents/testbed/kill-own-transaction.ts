/**
 * Chaos check: a connection is killed in the middle of a transaction, and nothing of it may stay.
 *
 * @module
 */

import postgres, { type Sql, type TransactionSql } from "postgres";
import { AgentError } from "../../../machines/error-code.ts";
import { transaction } from "../../archive/transaction.ts";
import type { Finding } from "./check.ts";

/** Messages that the doomed transaction inserts. Their ids are negative, as no real one is. */
const DOOMED_ROWS = 25;

/** Inserts messages and bodies, kills its own backend before the commit, and counts what is left. */
export async function killOwnTransaction(sql: Sql): Promise<Finding> {
  const before = await countRows(sql);
  let inserted = 0;
  const killedWith = await onExtraConnection(sql, async (tx) => {
    inserted = await insertDoomed(tx);
    await tx`select pg_terminate_backend(pg_backend_pid())`;
    throw new AgentError("KILL_REFUSED", "Cannot kill the transaction: the server let it live");
  });
  const after = await countRows(sql);
  const figures = {
    rowsInTransaction: inserted,
    messagesBefore: before.messages,
    messagesAfter: after.messages,
    bodiesBefore: before.bodies,
    bodiesAfter: after.bodies,
    leftBehind: after.doomed,
  };
  if (inserted === 0) return { figures, problem: "the archive has no message to copy" };
  if (killedWith !== "CONNECTION_CLOSED") {
    return { figures, problem: `the transaction ended with ${killedWith}, not by the kill` };
  }
  const same = after.messages === before.messages && after.bodies === before.bodies;
  const problem = same && after.doomed === 0 ? undefined : "a killed transaction left rows behind";
  return { figures, problem };
}

/**
 * Returns the code of the error that ended the transaction. A client of its own: postgres.js hands the
 * error that killed a connection to the next query on it, which must not be one of ours.
 */
async function onExtraConnection(
  sql: Sql,
  doom: (tx: TransactionSql) => Promise<never>,
): Promise<string> {
  // As postgres.js does for its own extra connections: parsed options are taken as they are.
  const options = { ...sql.options, max: 1 } as unknown as postgres.Options<Record<string, never>>;
  const client = postgres(options);
  try {
    return await transaction(client as Sql, doom);
  } catch (error) {
    return String((error as { code?: unknown }).code);
  } finally {
    await client.end({ timeout: 1 });
  }
}

/** Returns how many messages the transaction holds now. */
async function insertDoomed(tx: TransactionSql): Promise<number> {
  const rows = await tx<{ id: string }[]>`
    insert into archive.messages (id, conversation_id, source_id, sent_at, edited_at, kind, user_id,
      media_id, reply_to, body_bytes, body_sha256, batch, run_id)
    select -row_number() over (order by id), conversation_id, 'doomed-' || source_id, sent_at,
      edited_at, kind, user_id, media_id, reply_to, 0, sha256(''), batch, run_id
    from (select * from archive.messages order by id limit ${DOOMED_ROWS}) as copied
    returning id::text as id`;
  await tx`
    insert into archive.bodies (message_id, raw)
    select id, ''::bytea from unnest(${rows.map((row) => row.id)}::bigint[]) as id`;
  return rows.length;
}

async function countRows(sql: Sql) {
  const [counts] = await sql<{ messages: number; bodies: number; doomed: number }[]>`
    select (select count(*) from archive.messages)::float8 as messages,
      ((select count(*) from archive.bodies)
        + (select count(*) from archive.compressed_bodies))::float8 as bodies,
      ((select count(*) from archive.messages where id < 0)
        + (select count(*) from archive.bodies where message_id < 0))::float8 as doomed`;
  if (counts === undefined) throw new Error("Cannot count the archive: the server gave no row");
  return counts;
}
