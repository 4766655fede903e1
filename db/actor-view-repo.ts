/**
 * Read side of what went wrong with actors: incidents, and events that reached nobody.
 *
 * @module
 */

import { and, desc, eq, lt, sql } from "drizzle-orm";
import type { ErrorRecord, Json } from "../machines/error-code.ts";
import type { Database } from "./database.ts";
import { deadLetters, incidents } from "./schema/actors.ts";

export interface IncidentRow {
  readonly id: number;
  readonly atMs: number;
  readonly node: string;
  readonly address: string;
  readonly incarnation: number;
  readonly kind: string;
  readonly action: string;
  readonly error: ErrorRecord | null;
  readonly detail: Json;
}

export interface DeadLetterRow {
  readonly id: number;
  readonly atMs: number;
  readonly node: string;
  readonly sender: string | null;
  readonly target: string;
  readonly reason: string;
  readonly event: Json;
}

export interface ActorViewRepo {
  /** Newest first, those with an id below `before`. */
  incidents(query: {
    readonly address: string | undefined;
    readonly before: number | undefined;
    readonly limit: number;
  }): Promise<readonly IncidentRow[]>;
  deadLetters(query: {
    readonly target: string | undefined;
    readonly before: number | undefined;
    readonly limit: number;
  }): Promise<readonly DeadLetterRow[]>;
  deadLetter(id: number): Promise<DeadLetterRow | undefined>;
}

const incidentColumns = {
  id: incidents.id,
  atMs: sql<number>`(extract(epoch from ${incidents.at}) * 1000)::float8`,
  node: incidents.node,
  address: incidents.address,
  incarnation: incidents.incarnation,
  kind: incidents.kind,
  action: incidents.action,
  error: incidents.error,
  detail: incidents.detail,
};

const letterColumns = {
  id: deadLetters.id,
  atMs: sql<number>`(extract(epoch from ${deadLetters.at}) * 1000)::float8`,
  node: deadLetters.node,
  sender: deadLetters.sender,
  target: deadLetters.target,
  reason: deadLetters.reason,
  event: deadLetters.event,
};

export function createActorViewRepo(db: Database): ActorViewRepo {
  return {
    incidents: async ({ address, before, limit }) => {
      const rows = await db
        .select(incidentColumns)
        .from(incidents)
        .where(
          and(
            address === undefined ? undefined : eq(incidents.address, address),
            before === undefined ? undefined : lt(incidents.id, before),
          ),
        )
        .orderBy(desc(incidents.id))
        .limit(limit);
      return rows as readonly IncidentRow[];
    },
    deadLetters: async ({ target, before, limit }) => {
      const rows = await db
        .select(letterColumns)
        .from(deadLetters)
        .where(
          and(
            target === undefined ? undefined : eq(deadLetters.target, target),
            before === undefined ? undefined : lt(deadLetters.id, before),
          ),
        )
        .orderBy(desc(deadLetters.id))
        .limit(limit);
      return rows as readonly DeadLetterRow[];
    },
    deadLetter: async (id) => {
      const [row] = await db.select(letterColumns).from(deadLetters).where(eq(deadLetters.id, id));
      return row as DeadLetterRow | undefined;
    },
  };
}
