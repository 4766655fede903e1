/**
 * Leases of nodes, judged by the database clock.
 *
 * @module
 */

import { sql } from "drizzle-orm";
import type { Database } from "./database.ts";

/** A node that has not renewed for this long is dead to the others. */
export const nodeLeaseMs = 5_000;

export interface NodeRepo {
  /**
   * Registers this process. Earlier incarnations of the same `nodeId` are dead for certain, since
   * the caller holds the lock of the data folder that the id comes from: their leases end now.
   */
  register(incarnation: string, nodeId: string): Promise<void>;
  renew(incarnation: string): Promise<void>;
  /** Incarnations whose lease holds. */
  alive(): Promise<ReadonlySet<string>>;
  release(incarnation: string): Promise<void>;
  /** Name of this database, the same for all nodes; made at first use. */
  clusterId(): Promise<string>;
}

export function createNodeRepo(db: Database): NodeRepo {
  return {
    register: async (incarnation, nodeId) => {
      await db.transaction(async (tx) => {
        await tx.execute(sql`delete from spectra.nodes where node_id = ${nodeId}
          or expires_at < now() - interval '1 day'`);
        await tx.execute(sql`insert into spectra.nodes (incarnation, node_id, expires_at)
          values (${incarnation}, ${nodeId}, now() + ${nodeLeaseMs} * interval '1 millisecond')`);
      });
    },
    renew: async (incarnation) => {
      await db.execute(sql`update spectra.nodes
        set expires_at = now() + ${nodeLeaseMs} * interval '1 millisecond'
        where incarnation = ${incarnation}`);
    },
    alive: async () => {
      const rows = await db.execute<{ incarnation: string }>(
        sql`select incarnation from spectra.nodes where expires_at > now()`,
      );
      return new Set(rows.map(({ incarnation }) => incarnation));
    },
    release: async (incarnation) => {
      await db.execute(sql`delete from spectra.nodes where incarnation = ${incarnation}`);
    },
    clusterId: async () => {
      const [row] = await db.execute<{ id: string }>(sql`
        with made as (
          insert into spectra.cluster (id) select gen_random_uuid()::text
          where not exists (select 1 from spectra.cluster) returning id)
        select id from made union all select id from spectra.cluster limit 1`);
      if (row === undefined)
        throw new Error("Cannot name the database: the server returned no row");
      return row.id;
    },
  };
}
