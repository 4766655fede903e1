/**
 * Events that reached nobody, kept with the reason until they are replayed or pushed out.
 *
 * @module
 */

import { sql } from "drizzle-orm";
import type { Json } from "../machines/error-code.ts";
import type { Database } from "./database.ts";
import { toJsonb } from "./jsonb.ts";

/** Older ones make room. */
export const keptDeadLetters = 10_000;

export interface NewDeadLetter {
  readonly node: string;
  readonly sender: string | null;
  readonly target: string;
  readonly reason: string;
  readonly event: Json;
}

export interface StoredDeadLetter extends NewDeadLetter {
  readonly id: number;
  readonly atMs: number;
}

export interface DeadLetterQuery {
  readonly target?: string | undefined;
  /** Only those with a smaller id. */
  readonly before?: number | undefined;
  readonly limit: number;
}

export interface DeadLetterRepo {
  /** Returns them with their ids, in order. */
  insert(letters: readonly NewDeadLetter[]): Promise<readonly StoredDeadLetter[]>;
  /** Newest first. */
  list(query: DeadLetterQuery): Promise<readonly StoredDeadLetter[]>;
  /** Removes and returns it; undefined when somebody else has. */
  take(id: number): Promise<StoredDeadLetter | undefined>;
}

interface Row extends Record<string, unknown> {
  readonly id: string;
  readonly at_ms: number;
  readonly node: string;
  readonly sender: string | null;
  readonly target: string;
  readonly reason: string;
  readonly event: Json;
}

export function createDeadLetterRepo(db: Database): DeadLetterRepo {
  return {
    insert: async (letters) => {
      const rows = await db.execute<Row & { id: string }>(sql`
        insert into spectra.dead_letters (node, sender, target, reason, event)
        select node, sender, target, reason, event
        from jsonb_to_recordset(${toJsonb(letters)}::jsonb)
          as x(node text, sender text, target text, reason text, event jsonb)
        returning id::text as id, extract(epoch from at)::float8 * 1000 as at_ms,
          node, sender, target, reason, event`);
      await db.execute(sql`
        delete from spectra.dead_letters where id <= (
          select id from spectra.dead_letters order by id desc offset ${keptDeadLetters} limit 1)`);
      return rows.map(letterOf);
    },
    list: async ({ target, before, limit }) => {
      const rows = await db.execute<Row>(sql`
        select id::text as id, extract(epoch from at)::float8 * 1000 as at_ms,
          node, sender, target, reason, event
        from spectra.dead_letters d
        where (${target ?? null}::text is null or target = ${target ?? null})
          and (${before ?? null}::bigint is null or d.id < ${before ?? null})
        order by d.id desc limit ${limit}`);
      return rows.map(letterOf);
    },
    take: async (id) => {
      const [row] = await db.execute<Row>(sql`
        delete from spectra.dead_letters where id = ${id}
        returning id::text as id, extract(epoch from at)::float8 * 1000 as at_ms,
          node, sender, target, reason, event`);
      return row === undefined ? undefined : letterOf(row);
    },
  };
}

function letterOf(row: Row): StoredDeadLetter {
  const { at_ms, id, ...rest } = row;
  return { ...rest, id: Number(id), atMs: at_ms };
}
