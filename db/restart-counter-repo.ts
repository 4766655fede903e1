/**
 * Restarts that outlive the process: one row per supervisor of a node.
 *
 * @module
 */

import { sql } from "drizzle-orm";
import type { Database } from "./database.ts";
import { toJsonb } from "./jsonb.ts";

export interface RestartCounters {
  /** Epoch milliseconds, oldest first. */
  readonly restartsAt: readonly number[];
  /** By child id. */
  readonly children: Readonly<Record<string, number>>;
}

export interface RestartCounterRepo {
  load(supervisor: string): Promise<RestartCounters | undefined>;
  save(supervisor: string, counters: RestartCounters): Promise<void>;
  remove(supervisor: string): Promise<void>;
}

/** @param node Id of the data folder, the same after each start. */
export function createRestartCounterRepo(db: Database, node: string): RestartCounterRepo {
  return {
    load: async (supervisor) => {
      const [row] = await db.execute<{ restarts_at: number[]; children: Record<string, number> }>(
        sql`select restarts_at, children from spectra.restart_counters
          where node = ${node} and supervisor = ${supervisor}`,
      );
      return row && { restartsAt: row.restarts_at, children: row.children };
    },
    save: async (supervisor, { children, restartsAt }) => {
      await db.execute(sql`
        insert into spectra.restart_counters (node, supervisor, restarts_at, children)
        values (${node}, ${supervisor}, ${toJsonb(restartsAt)}::jsonb, ${toJsonb(children)}::jsonb)
        on conflict (node, supervisor) do update set restarts_at = excluded.restarts_at,
          children = excluded.children, updated_at = clock_timestamp()`);
      // Of supervisors that are no more: other code, other agents. Their periods are long over.
      await db.execute(sql`delete from spectra.restart_counters
        where node = ${node} and updated_at < now() - interval '1 day'`);
    },
    remove: async (supervisor) => {
      await db.execute(sql`delete from spectra.restart_counters
        where node = ${node} and supervisor = ${supervisor}`);
    },
  };
}
