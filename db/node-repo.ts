/**
 * Leases of nodes, judged by the database clock.
 *
 * @module
 */

import { sql } from "drizzle-orm";
import type { Database } from "./database.ts";

/** A node that has not renewed for this long is dead to the others. */
export const nodeLeaseMs = 3_000;

/** A process that ended without giving its lease back. */
export interface LostNode {
  readonly incarnation: string;
  readonly nodeId: string;
  /** How long its lease has been over, in ms; negative where it holds still. */
  readonly overMs: number;
}

export interface NodeRepo {
  /**
   * Registers this process. Earlier incarnations of the same `nodeId` are dead for certain, since
   * the caller holds the lock of the data folder that the id comes from: their leases end now.
   */
  register(incarnation: string, nodeId: string): Promise<void>;
  /** Brings the lease back, too, when another node has removed its row meanwhile; not after `release`. */
  renew(incarnation: string): Promise<void>;
  /**
   * Removes and returns who is lost: earlier incarnations of `own`, if given, and all whose lease has been
   * over for `graceMs`. Each is returned once, to one caller. One that lives after all comes back with its next renewal.
   */
  sweep(graceMs: number, own: string | undefined): Promise<readonly LostNode[]>;
  /** Incarnations whose lease holds. */
  alive(): Promise<ReadonlySet<string>>;
  release(incarnation: string): Promise<void>;
  /** Name of this database, the same for all nodes; made at first use. */
  clusterId(): Promise<string>;
}

export function createNodeRepo(db: Database): NodeRepo {
  /** Node ids of the incarnations that this repo registered. */
  const registered = new Map<string, string>();
  return {
    register: async (incarnation, nodeId) => {
      registered.set(incarnation, nodeId);
      await db.transaction(async (tx) => {
        await tx.execute(sql`delete from spectra.nodes where node_id = ${nodeId}
          or expires_at < now() - interval '1 day'`);
        await tx.execute(sql`insert into spectra.nodes (incarnation, node_id, expires_at)
          values (${incarnation}, ${nodeId}, now() + ${nodeLeaseMs} * interval '1 millisecond')`);
      });
    },
    renew: async (incarnation) => {
      const nodeId = registered.get(incarnation);
      if (nodeId === undefined) return;
      await db.execute(sql`insert into spectra.nodes (incarnation, node_id, expires_at)
        values (${incarnation}, ${nodeId}, now() + ${nodeLeaseMs} * interval '1 millisecond')
        on conflict (incarnation) do update set expires_at = excluded.expires_at`);
    },
    sweep: async (graceMs, own) => {
      const rows = await db.execute<{ incarnation: string; node_id: string; over_ms: number }>(sql`
        delete from spectra.nodes
        where node_id = ${own ?? null} or expires_at < now() - ${graceMs} * interval '1 millisecond'
        returning incarnation, node_id, extract(epoch from now() - expires_at)::float8 * 1000 as over_ms`);
      return rows.map(({ incarnation, node_id, over_ms }) => ({
        incarnation,
        nodeId: node_id,
        overMs: Math.round(over_ms),
      }));
    },
    alive: async () => {
      const rows = await db.execute<{ incarnation: string }>(
        sql`select incarnation from spectra.nodes where expires_at > now()`,
      );
      return new Set(rows.map(({ incarnation }) => incarnation));
    },
    release: async (incarnation) => {
      registered.delete(incarnation);
      await db.execute(sql`delete from spectra.nodes where incarnation = ${incarnation}`);
    },
    clusterId: async () => {
      const [row] = await db.transaction(async (tx) => {
        // Nodes that start together must agree on one name.
        await tx.execute(sql`lock table spectra.cluster in share row exclusive mode`);
        await tx.execute(sql`insert into spectra.cluster (id) select gen_random_uuid()::text
          where not exists (select 1 from spectra.cluster)`);
        return await tx.execute<{ id: string }>(sql`select id from spectra.cluster`);
      });
      if (row === undefined)
        throw new Error("Cannot name the database: the server returned no row");
      return row.id;
    },
  };
}
