/**
 * Incidents of actors: written as they happen, read newest first.
 *
 * @module
 */

import { and, desc, eq, lt, type SQL, sql } from "drizzle-orm";
import type { ErrorRecord, Json } from "../machines/error-code.ts";
import type { Database } from "./database.ts";
import { toJsonb } from "./jsonb.ts";
import { incidents } from "./schema/actors.ts";

/** Rows of one page at most. */
const maxPage = 500;
/** Older ones are deleted. */
const keptIncidents = 10_000;

export interface NewIncident {
  readonly atMs: number;
  readonly node: string;
  readonly address: string;
  readonly incarnation: number;
  readonly kind: string;
  readonly action: string;
  readonly error: ErrorRecord | null;
  readonly detail: Json;
}

export interface IncidentRow extends NewIncident {
  readonly id: number;
}

export interface IncidentFilter {
  readonly limit: number;
  /** Only rows older than the one with this id. */
  readonly before?: number | undefined;
  readonly address?: string | undefined;
}

export interface IncidentRepo {
  insert(rows: readonly NewIncident[]): Promise<void>;
  /** Newest first. */
  list(filter: IncidentFilter): Promise<readonly IncidentRow[]>;
}

export function createIncidentRepo(db: Database): IncidentRepo {
  return {
    insert: async (rows) => {
      if (rows.length === 0) return;
      await db.insert(incidents).values(
        rows.map(({ atMs, error, detail, ...row }) => ({
          ...row,
          at: new Date(atMs),
          error: error === null ? null : sql`${toJsonb(error)}::jsonb`,
          detail: sql`${toJsonb(detail)}::jsonb`,
        })),
      );
      await db.execute(sql`
        delete from spectra.incidents where id <= (
          select id from spectra.incidents order by id desc offset ${keptIncidents} limit 1)`);
    },
    list: async ({ limit, before, address }) => {
      const only: SQL[] = [];
      if (before !== undefined) only.push(lt(incidents.id, before));
      if (address !== undefined) only.push(eq(incidents.address, address));
      const rows = await db
        .select()
        .from(incidents)
        .where(and(...only))
        .orderBy(desc(incidents.id))
        .limit(Math.min(limit, maxPage));
      return rows.map(({ at, error, detail, ...row }) => ({
        ...row,
        atMs: at.getTime(),
        error: error as ErrorRecord | null,
        detail: detail as Json,
      }));
    },
  };
}
