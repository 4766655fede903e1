/**
 * A database step that commits exactly once per task, however many attempts the task has.
 *
 * The output is stored by the transaction that made it, in the database that the agent works on. A
 * later attempt finds it there and does not run the body again; an attempt that goes on beside it (its
 * node is cut off and does not know yet) waits, and finds it too.
 *
 * @module
 */

import type { Sql, TransactionSql } from "postgres";
import { AgentError, type Json } from "../machines/error-code.ts";
import { checkJson } from "../machines/json.ts";
import { transaction } from "./archive/transaction.ts";

/** Keeps our advisory locks apart from those of others. */
const lockSpace = 7_726_201;

export interface Step {
  /** The same for all attempts of the task. */
  readonly task: string;
  /** It undoes what the task did. Each of the two makes the other count anew. */
  readonly undo: boolean;
  /** Tells several of one action apart. */
  readonly name: string;
}

/**
 * @returns What `work` returned in the attempt that committed.
 * @throws {AgentError} `TRANSACTION_INVALID` when that is no JSON; then nothing is committed.
 */
export async function transactionOnce<T extends Json>(
  sql: Sql,
  { name, task, undo }: Step,
  work: (tx: TransactionSql) => Promise<T>,
): Promise<T> {
  await createTable(sql);
  return await transaction(sql, async (tx) => {
    await tx`select pg_advisory_xact_lock(hashtextextended(${task}, ${lockSpace}))`;
    const [done] = await tx<{ output: T }[]>`
      select output from spectra_agents.transactions
      where task = ${task} and undo = ${undo} and name = ${name}`;
    if (done !== undefined) return done.output;
    const output = await work(tx);
    const checked = checkJson(output);
    if (checked.type === "not-json") {
      const message = `Cannot commit: "${checked.path}" of the result is ${checked.found}, must be JSON`;
      throw new AgentError("TRANSACTION_INVALID", message);
    }
    await tx`delete from spectra_agents.transactions where task = ${task} and undo <> ${undo}`;
    await tx`insert into spectra_agents.transactions (task, undo, name, output)
      values (${task}, ${undo}, ${name}, ${JSON.stringify(checked.value)}::text::jsonb)`;
    return output;
  });
}

async function createTable(sql: Sql): Promise<void> {
  const [found] = await sql<{ name: string | null }[]>`
    select to_regclass('spectra_agents.transactions')::text as name`;
  if (found?.name != null) return;
  await transaction(sql, async (tx) => {
    // `if not exists` alone fails when two do it at the same time.
    await tx`select pg_advisory_xact_lock(${lockSpace})`;
    await tx`create schema if not exists spectra_agents`;
    await tx`create table if not exists spectra_agents.transactions (
      task text, undo boolean, name text, output jsonb not null,
      at timestamptz not null default now(), primary key (task, undo, name))`;
  });
}
