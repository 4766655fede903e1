/**
 * Tells another node that it has mail, or an attempt to stop, without waiting for its next look.
 * Notices may be lost: whoever misses one looks by itself a second or two later.
 *
 * @module
 */

import { type SQL, sql } from "drizzle-orm";
import { z } from "zod";
import type { Database, OpenDatabase } from "./database.ts";

const channel = "spectra_wake";

const stopNotice = z.object({
  workflowId: z.string(),
  taskKey: z.string(),
  attempt: z.number(),
  graceMs: z.number().optional(),
});

/** An attempt that a node is to stop. */
export type StopNotice = z.output<typeof stopNotice>;

const notice = z.object({
  /** Incarnation, or `*` for all. */
  to: z.string(),
  stop: stopNotice.optional(),
});

/** Tells the owner, or `*` for all nodes; part of the statement that posts the mail. */
export function notifyMail(to: SQL | string): SQL {
  return sql`pg_notify(${channel}, jsonb_build_object('to', ${to}::text)::text)`;
}

export interface WakeChannel {
  /**
   * Listens on a connection of the pool; repeat it, since a connection may have ended since. More
   * than one that listens makes notices come twice, which is harmless.
   */
  listen(): Promise<void>;
  stopElsewhere(node: string, stop: StopNotice): Promise<void>;
  close(): void;
}

export function openWakeChannel(
  db: Database,
  notices: OpenDatabase["notices"],
  incarnation: string,
  on: { mail(): void; stop(stop: StopNotice): void },
): WakeChannel {
  const leave = notices.subscribe((name, text) => {
    if (name !== channel) return;
    const parsed = notice.safeParse(readJson(text));
    if (!parsed.success) return;
    const { to, stop } = parsed.data;
    if (to !== "*" && to !== incarnation) return;
    if (stop === undefined) on.mail();
    else on.stop(stop);
  });
  return {
    listen: async () => {
      await db.execute(sql.raw(`listen ${channel}`));
    },
    stopElsewhere: async (node, stop) => {
      await db.execute(
        sql`select pg_notify(${channel}, ${JSON.stringify({ to: node, stop })}::text)`,
      );
    },
    close: leave,
  };
}

/** Anybody who may connect can notify: what is no JSON is nobody's. */
function readJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
