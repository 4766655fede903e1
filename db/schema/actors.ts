/**
 * Durable state of actors: snapshots, mailboxes, timers, restart counters, incidents, dead letters.
 *
 * @module
 */

import { sql } from "drizzle-orm";
import {
  bigint,
  bigserial,
  index,
  integer,
  jsonb,
  primaryKey,
  text,
  timestamp,
  uniqueIndex,
} from "drizzle-orm/pg-core";
import { spectraSchema } from "./schema.ts";

function at(name: string) {
  return timestamp(name, { withTimezone: true, precision: 3 });
}

/** The newest committed snapshot of each durable actor. */
export const actors = spectraSchema.table("actors", {
  /** Without the incarnation: `/root/agents/COUNTER`. */
  address: text("address").primaryKey(),
  /** Grows by one at each start; writes of an earlier incarnation are refused. */
  incarnation: bigint("incarnation", { mode: "number" }).notNull(),
  machineId: text("machine_id").notNull(),
  machineVersion: text("machine_version").notNull(),
  /** Of the ids of its state nodes: another shape is refused. */
  machineHash: text("machine_hash").notNull(),
  format: integer("format").notNull(),
  /** Newest mailbox event that the snapshot holds. */
  seq: bigint("seq", { mode: "number" }).notNull(),
  snapshot: jsonb("snapshot").notNull(),
  updatedAt: at("updated_at").notNull().default(sql`clock_timestamp()`),
});

/** Events that no snapshot holds yet; deleted with the commit that applied them. */
export const actorMailbox = spectraSchema.table(
  "actor_mailbox",
  {
    address: text("address").notNull(),
    seq: bigint("seq", { mode: "number" }).notNull(),
    sender: text("sender").notNull(),
    /** Number of the event at its sender: the same one twice is one event. */
    senderSeq: bigint("sender_seq", { mode: "number" }).notNull(),
    event: jsonb("event").notNull(),
    /** Threads that died while they applied it. */
    deaths: integer("deaths").notNull().default(0),
    at: at("at").notNull().default(sql`clock_timestamp()`),
  },
  (table) => [
    primaryKey({ columns: [table.address, table.seq] }),
    uniqueIndex("actor_mailbox_sender").on(table.address, table.sender, table.senderSeq),
  ],
);

/** Delayed events of actors (`after`, delayed `raise` and `sendTo`). */
export const actorTimers = spectraSchema.table(
  "actor_timers",
  {
    address: text("address").notNull(),
    id: text("id").notNull(),
    event: jsonb("event").notNull(),
    /** What a restart means: the same moment, the time that was left, or the whole delay again. */
    policy: text("policy", { enum: ["deadline", "remaining", "restart"] }).notNull(),
    delayMs: bigint("delay_ms", { mode: "number" }).notNull(),
    dueAt: at("due_at").notNull(),
  },
  (table) => [primaryKey({ columns: [table.address, table.id] })],
);

/** Restarts of each supervisor inside its period; they outlive the process. */
export const restartCounters = spectraSchema.table(
  "restart_counters",
  {
    node: text("node").notNull(),
    supervisor: text("supervisor").notNull(),
    /** Epoch milliseconds, oldest first, at most the intensity's number. */
    restartsAt: jsonb("restarts_at").notNull(),
    /** Restarts of each child since it was first started: `{ "DATABASE": 3 }`. */
    children: jsonb("children").notNull(),
    updatedAt: at("updated_at").notNull().default(sql`clock_timestamp()`),
  },
  (table) => [primaryKey({ columns: [table.node, table.supervisor] })],
);

/** What went wrong with an actor, and what was done about it. */
export const incidents = spectraSchema.table(
  "incidents",
  {
    id: bigserial("id", { mode: "number" }).primaryKey(),
    at: at("at").notNull().default(sql`clock_timestamp()`),
    node: text("node").notNull(),
    address: text("address").notNull(),
    incarnation: bigint("incarnation", { mode: "number" }).notNull(),
    /** `crash`, `out-of-memory`, `spin`, `hang`, `exit`, `unhandled-rejection`, `start-failed`, `poison`, `gave-up`, `node-lost`, `database-lost`. */
    kind: text("kind").notNull(),
    error: jsonb("error"),
    /** `restarted`, `quarantined`, `gave-up`, `terminated`, `taken-over`, `recovered`. */
    action: text("action").notNull(),
    detail: jsonb("detail").notNull(),
  },
  (table) => [index("incidents_at").on(table.at.desc())],
);

/** Events that reached nobody, with the reason. */
export const deadLetters = spectraSchema.table(
  "dead_letters",
  {
    id: bigserial("id", { mode: "number" }).primaryKey(),
    at: at("at").notNull().default(sql`clock_timestamp()`),
    node: text("node").notNull(),
    sender: text("sender"),
    target: text("target").notNull(),
    /** `unknown-address`, `stopped`, `stash-full`, `stale-incarnation`, `poison`, `expired`, `not-cloneable`. */
    reason: text("reason").notNull(),
    event: jsonb("event").notNull(),
  },
  (table) => [index("dead_letters_at").on(table.at.desc())],
);
