/**
 * Durable state of the workflow engine: definitions, runs, tasks, journal, mailbox, outbox, timers
 * and node leases.
 *
 * @module
 */

import { sql } from "drizzle-orm";
import {
  bigint,
  bigserial,
  index,
  integer,
  json,
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

/** Definitions by content hash; a run is pinned to one and never sees another. */
export const definitions = spectraSchema.table("definitions", {
  hash: text("hash").primaryKey(),
  workflow: text("workflow").notNull(),
  /** `json`, not `jsonb`: the order of stages and tasks is what people see. */
  body: json("body").notNull(),
  createdAt: at("created_at").notNull().defaultNow(),
});

/** One row per run. Every write of its owner carries `epoch`: the fence against a former owner. */
export const workflows = spectraSchema.table(
  "workflows",
  {
    id: text("id").primaryKey(),
    workflow: text("workflow").notNull(),
    title: text("title").notNull(),
    definitionHash: text("definition_hash")
      .notNull()
      .references(() => definitions.hash),
    status: text("status").notNull(),
    /** State of the definition's statechart. */
    place: text("place").notNull(),
    priority: integer("priority").notNull(),
    input: jsonb("input").notNull(),
    error: jsonb("error"),
    /** Number of the newest journal entry. */
    seq: bigint("seq", { mode: "number" }).notNull().default(0),
    /** Incarnation of the node that owns the run; null when nobody does. */
    owner: text("owner"),
    epoch: bigint("epoch", { mode: "number" }).notNull().default(0),
    idempotencyKey: text("idempotency_key"),
    createdAt: at("created_at").notNull().defaultNow(),
    startedAt: at("started_at"),
    finishedAt: at("finished_at"),
  },
  (table) => [
    uniqueIndex("workflows_idempotency_key").on(table.idempotencyKey),
    index("workflows_created").on(table.createdAt.desc(), table.id.desc()),
    index("workflows_open")
      .on(table.owner)
      .where(sql`${table.status} in ('pending', 'running', 'paused')`),
  ],
);

/** One row per task of a run: its columns are the whole snapshot of its statechart. */
export const tasks = spectraSchema.table(
  "tasks",
  {
    workflowId: text("workflow_id")
      .notNull()
      .references(() => workflows.id, { onDelete: "cascade" }),
    key: text("key").notNull(),
    position: integer("position").notNull(),
    status: text("status").notNull(),
    attempt: integer("attempt").notNull().default(0),
    failures: integer("failures").notNull().default(0),
    /** Threads that died while they ran it: a poison task is given up after three. */
    deaths: integer("deaths").notNull().default(0),
    /** Incarnation of the node that runs, or ran, the newest attempt. */
    node: text("node"),
    output: jsonb("output"),
    error: jsonb("error"),
    /** Written by the running attempt only; a stale attempt writes nothing. */
    checkpoint: jsonb("checkpoint"),
    readyAt: at("ready_at"),
    startedAt: at("started_at"),
    finishedAt: at("finished_at"),
  },
  (table) => [
    primaryKey({ columns: [table.workflowId, table.key] }),
    index("tasks_in_flight")
      .on(table.status)
      .where(sql`${table.status} in ('dispatched', 'running')`),
  ],
);

/** Append-only journal; `seq` has no gaps within a run. */
export const journal = spectraSchema.table(
  "journal",
  {
    workflowId: text("workflow_id")
      .notNull()
      .references(() => workflows.id, { onDelete: "cascade" }),
    seq: bigint("seq", { mode: "number" }).notNull(),
    type: text("type").notNull(),
    at: at("at").notNull(),
    actor: text("actor").notNull(),
    payload: jsonb("payload").notNull(),
  },
  (table) => [primaryKey({ columns: [table.workflowId, table.seq] })],
);

/** Events that wait for a run's next turn; deleted by the transaction that applied them. */
export const mailbox = spectraSchema.table(
  "mailbox",
  {
    id: bigserial("id", { mode: "number" }).primaryKey(),
    workflowId: text("workflow_id")
      .notNull()
      .references(() => workflows.id, { onDelete: "cascade" }),
    event: jsonb("event").notNull(),
    /** The same key twice is one event. */
    dedupeKey: text("dedupe_key").notNull(),
    at: at("at").notNull().default(sql`clock_timestamp()`),
  },
  (table) => [
    uniqueIndex("mailbox_dedupe_key").on(table.dedupeKey),
    index("mailbox_by_workflow").on(table.workflowId, table.id),
  ],
);

/** Effects of a committed turn that are not performed yet; performing twice is harmless. */
export const outbox = spectraSchema.table(
  "outbox",
  {
    id: bigserial("id", { mode: "number" }).primaryKey(),
    workflowId: text("workflow_id")
      .notNull()
      .references(() => workflows.id, { onDelete: "cascade" }),
    effect: jsonb("effect").notNull(),
    at: at("at").notNull().default(sql`clock_timestamp()`),
  },
  (table) => [index("outbox_by_workflow").on(table.workflowId, table.id)],
);

/** Durable timers with an absolute due time, judged by the database clock. */
export const timers = spectraSchema.table(
  "timers",
  {
    workflowId: text("workflow_id")
      .notNull()
      .references(() => workflows.id, { onDelete: "cascade" }),
    key: text("key").notNull(),
    event: jsonb("event").notNull(),
    dueAt: at("due_at").notNull(),
  },
  (table) => [
    primaryKey({ columns: [table.workflowId, table.key] }),
    index("timers_due").on(table.dueAt),
  ],
);

/** Leases of nodes. `incarnation` names one process, never a host. */
export const nodes = spectraSchema.table("nodes", {
  incarnation: text("incarnation").primaryKey(),
  nodeId: text("node_id").notNull(),
  url: text("url"),
  startedAt: at("started_at").notNull().defaultNow(),
  expiresAt: at("expires_at").notNull(),
});

/** One row: names this database, so that nodes of different databases never share a Redis queue. */
export const cluster = spectraSchema.table("cluster", {
  id: text("id").primaryKey().default(sql`gen_random_uuid()::text`),
});
