/**
 * What became of a schedule's times, read from its tables.
 *
 * @module
 */

import type { Sql } from "postgres";
import { expect } from "vitest";

export interface FireRow {
  readonly ms: number;
  readonly outcome: string;
  readonly run: string | null;
}

export function firesOf(sql: Sql, id: string): Promise<FireRow[]> {
  return sql<FireRow[]>`
    select (extract(epoch from scheduled_for) * 1000)::float8 as ms, outcome, workflow_id as run
    from spectra.schedule_fires where schedule_id = ${id} order by scheduled_for`;
}

/** Every second between the first and the last has its row, and each row its own run. */
export async function expectEachOnce(sql: Sql, id: string): Promise<void> {
  const fires = await firesOf(sql, id);
  const first = fires[0]?.ms ?? 0;
  expect(fires.map(({ ms }) => ms)).toEqual(fires.map((_, at) => first + at * 1_000));
  expect(fires.map(({ outcome }) => outcome)).toEqual(fires.map(() => "started"));
  const runs = await sql<{ id: string; key: string }[]>`
    select id, idempotency_key as key from spectra.workflows order by idempotency_key`;
  expect(runs.map((run) => run.key)).toEqual(
    fires.map(({ ms }) => `schedule/${id}/${new Date(ms).toISOString()}`),
  );
  expect(runs.map((run) => run.id)).toEqual(fires.map(({ run }) => run));
}
