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
  boolean,
  customType,
  doublePrecision,
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

const bytea = customType<{ data: Uint8Array }>({ dataType: () => "bytea" });

/** Definitions by content hash; a run is pinned to one and never sees another. */
export const definitions = spectraSchema.table(
  "definitions",
  {
    hash: text("hash").primaryKey(),
    workflow: text("workflow").notNull(),
    /** `json`, not `jsonb`: the order of stages and tasks is what people see. */
    body: json("body").notNull(),
    /** Of its tasks: what runs are searched by, without a look at their tasks. */
    agents: text("agents").array().notNull().default(sql`'{}'`),
    createdAt: at("created_at").notNull().defaultNow(),
  },
  (table) => [index("definitions_agents").using("gin", table.agents)],
);

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
    output: jsonb("output"),
    error: jsonb("error"),
    /** Small parts of the run's state: chart, signals, budget, rollback (`RunExtras`). */
    extras: jsonb("extras").notNull().default({}),
    /** User-set, searchable: flat, strings, numbers and booleans. */
    attributes: jsonb("attributes").notNull().default({}),
    /** Whom the run counts for in fairness; empty for nobody in particular. */
    tenant: text("tenant").notNull().default(""),
    /** The run and the task that started this one as a child. */
    parentId: text("parent_id"),
    parentTask: text("parent_task"),
    /** The topmost run of the tree; its own id when it has no parent. */
    rootId: text("root_id"),
    /** The run, and its journal number, that this one was forked from. */
    forkedFrom: text("forked_from"),
    forkedAtSeq: bigint("forked_at_seq", { mode: "number" }),
    /** The schedule that started it, and for which time. */
    scheduleId: text("schedule_id"),
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
    index("workflows_root").on(table.rootId),
    index("workflows_schedule").on(table.scheduleId).where(sql`${table.scheduleId} is not null`),
    index("workflows_forks").on(table.forkedFrom).where(sql`${table.forkedFrom} is not null`),
    index("workflows_parent").on(table.parentId).where(sql`${table.parentId} is not null`),
    index("workflows_by_definition").on(table.workflow, table.status, table.createdAt.desc()),
    index("workflows_by_status").on(table.status, table.createdAt.desc(), table.id.desc()),
    index("workflows_by_version").on(table.definitionHash, table.createdAt.desc()),
    index("workflows_error_code")
      .on(sql`(${table.error}->>'code')`)
      .where(sql`${table.error} is not null`),
    index("workflows_attributes").using("gin", sql`${table.attributes} jsonb_path_ops`),
    index("workflows_finished").on(table.finishedAt).where(sql`${table.finishedAt} is not null`),
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
    /** Key of the plan's task, with `#2` for its second iteration and `[7]` for the eighth item. */
    key: text("key").notNull(),
    position: integer("position").notNull(),
    /** Key of the task in the definition; null when it is `key`. */
    plan: text("plan"),
    /** Null for tasks that are no action of an agent. */
    agent: text("agent"),
    action: text("action"),
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
    /** Newest heartbeat of the newest attempt: when, and its progress. */
    heartbeatAt: at("heartbeat_at"),
    progress: jsonb("progress"),
    /** Small parts of the task's state (`TaskExtras`): item, child, compensation, overrides. */
    extras: jsonb("extras").notNull().default({}),
    /** First time that it was ready: what schedule-to-close counts from. */
    scheduledAt: at("scheduled_at"),
    readyAt: at("ready_at"),
    startedAt: at("started_at"),
    finishedAt: at("finished_at"),
  },
  (table) => [
    primaryKey({ columns: [table.workflowId, table.key] }),
    index("tasks_error_code")
      .on(sql`(${table.error}->>'code')`)
      .where(sql`${table.error} is not null`),
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
    /** What the entry changed in the run's state: folding the patches of 1 to n gives the state at n. */
    patch: jsonb("patch"),
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
    /** Null while its clock stands still (the run is paused): then `remainingMs` says how much is left. */
    dueAt: at("due_at"),
    remainingMs: bigint("remaining_ms", { mode: "number" }),
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

/** Operator commands by idempotency key: the second one with the same key changes nothing. */
export const commands = spectraSchema.table(
  "commands",
  {
    workflowId: text("workflow_id")
      .notNull()
      .references(() => workflows.id, { onDelete: "cascade" }),
    key: text("key").notNull(),
    /** Hash of the request: the same key for another request is a mistake. */
    request: text("request").notNull(),
    /** What the turn that applied it says (`CommandAnswer`); null while it waits. */
    answer: jsonb("answer"),
    at: at("at").notNull().default(sql`clock_timestamp()`),
  },
  (table) => [
    primaryKey({ columns: [table.workflowId, table.key] }),
    index("commands_by_key").on(table.key),
  ],
);

/** Commands to many runs at once; each run has a row of `commands` under the key `bulk/ID`. */
export const bulkCommands = spectraSchema.table("bulk_commands", {
  id: text("id").primaryKey(),
  /** Hash of the request: the same id for another request is a mistake. */
  request: text("request").notNull(),
  /** Operation, filter, who and why. */
  body: jsonb("body").notNull(),
  matched: integer("matched").notNull(),
  at: at("at").notNull().default(sql`clock_timestamp()`),
});

/** Tokens that complete an approval from outside. */
export const approvals = spectraSchema.table(
  "approvals",
  {
    token: text("token").primaryKey(),
    workflowId: text("workflow_id")
      .notNull()
      .references(() => workflows.id, { onDelete: "cascade" }),
    taskKey: text("task_key").notNull(),
    createdAt: at("created_at").notNull().default(sql`clock_timestamp()`),
    expiresAt: at("expires_at"),
    completedAt: at("completed_at"),
  },
  (table) => [index("approvals_by_task").on(table.workflowId, table.taskKey)],
);

/** Slots in use, over all nodes. A row counts only while its attempt is open: see `db/slot-repo.ts`. */
export const slots = spectraSchema.table(
  "slots",
  {
    /** `agent/NAME`, `key/…`, `global`. */
    pool: text("pool").notNull(),
    workflowId: text("workflow_id")
      .notNull()
      .references(() => workflows.id, { onDelete: "cascade" }),
    taskKey: text("task_key").notNull(),
    attempt: integer("attempt").notNull(),
    /** Incarnation of the run's owner that took the slot. */
    owner: text("owner").notNull(),
    takenAt: at("taken_at").notNull().default(sql`clock_timestamp()`),
  },
  (table) => [
    primaryKey({ columns: [table.pool, table.workflowId, table.taskKey] }),
    index("slots_by_task").on(table.workflowId, table.taskKey),
  ],
);

/** Token buckets of rate limits. */
export const rateBuckets = spectraSchema.table("rate_buckets", {
  pool: text("pool").primaryKey(),
  tokens: doublePrecision("tokens").notNull(),
  updatedAt: at("updated_at").notNull().default(sql`clock_timestamp()`),
});

/** Cron schedules; `spec` is `ScheduleSpec`. */
export const schedules = spectraSchema.table(
  "schedules",
  {
    id: text("id").primaryKey(),
    spec: jsonb("spec").notNull(),
    paused: boolean("paused").notNull().default(false),
    /** The next time for which a run is due; null when the schedule has ended. */
    nextAt: at("next_at"),
    /** Grows with each change: the fence of who fires it. */
    revision: bigint("revision", { mode: "number" }).notNull().default(0),
    createdAt: at("created_at").notNull().default(sql`clock_timestamp()`),
    updatedAt: at("updated_at").notNull().default(sql`clock_timestamp()`),
  },
  (table) => [index("schedules_due").on(table.nextAt).where(sql`not ${table.paused}`)],
);

/** One row for each time that a schedule decided about: started, skipped, buffered, failed. */
export const scheduleFires = spectraSchema.table(
  "schedule_fires",
  {
    scheduleId: text("schedule_id")
      .notNull()
      .references(() => schedules.id, { onDelete: "cascade" }),
    /** The time of the cron expression, before jitter. */
    scheduledFor: at("scheduled_for").notNull(),
    outcome: text("outcome").notNull(),
    workflowId: text("workflow_id"),
    reason: text("reason"),
    backfill: boolean("backfill").notNull().default(false),
    at: at("at").notNull().default(sql`clock_timestamp()`),
  },
  (table) => [primaryKey({ columns: [table.scheduleId, table.scheduledFor] })],
);

/** Durations of finished tasks of a definition, folded: what plans are estimated from. */
export const durations = spectraSchema.table(
  "durations",
  {
    workflow: text("workflow").notNull(),
    /** Key of the task in the definition. */
    task: text("task").notNull(),
    count: bigint("count", { mode: "number" }).notNull(),
    /** Of the natural logarithm of milliseconds: mean and sum of squared distances (Welford). */
    logMean: doublePrecision("log_mean").notNull(),
    logM2: doublePrecision("log_m2").notNull(),
    maxMs: doublePrecision("max_ms").notNull(),
    updatedAt: at("updated_at").notNull().default(sql`clock_timestamp()`),
  },
  (table) => [primaryKey({ columns: [table.workflow, table.task] })],
);

/**
 * Ended runs beyond their retention: one row each, so that the live tables stay flat. The columns are
 * what runs are listed and searched by; all else is in `body`.
 */
export const archivedRuns = spectraSchema.table(
  "archived_runs",
  {
    id: text("id").primaryKey(),
    workflow: text("workflow").notNull(),
    status: text("status").notNull(),
    definitionHash: text("definition_hash")
      .notNull()
      .references(() => definitions.hash),
    attributes: jsonb("attributes").notNull().default({}),
    parentId: text("parent_id"),
    rootId: text("root_id"),
    forkedFrom: text("forked_from"),
    scheduleId: text("schedule_id"),
    /** A start with this key is still this run. */
    idempotencyKey: text("idempotency_key"),
    /** Error codes of the run and of its tasks. */
    codes: text("codes").array().notNull().default(sql`'{}'`),
    /** The run as lists show it (`RunRow`). */
    summary: jsonb("summary").notNull(),
    createdAt: at("created_at").notNull(),
    finishedAt: at("finished_at").notNull(),
    archivedAt: at("archived_at").notNull().default(sql`clock_timestamp()`),
    /** Run, tasks, journal and commands as JSON, brotli. */
    body: bytea("body").notNull(),
  },
  (table) => [
    uniqueIndex("archived_runs_idempotency_key").on(table.idempotencyKey),
    index("archived_runs_finished").on(table.finishedAt),
    index("archived_runs_archived").on(table.archivedAt),
    index("archived_runs_created").on(table.createdAt.desc(), table.id.desc()),
    index("archived_runs_by_status").on(table.status, table.createdAt.desc(), table.id.desc()),
    index("archived_runs_by_definition").on(table.workflow, table.status, table.createdAt.desc()),
    index("archived_runs_by_version").on(table.definitionHash, table.createdAt.desc()),
    index("archived_runs_root").on(table.rootId),
    index("archived_runs_parent").on(table.parentId).where(sql`${table.parentId} is not null`),
    index("archived_runs_schedule")
      .on(table.scheduleId)
      .where(sql`${table.scheduleId} is not null`),
    index("archived_runs_forks").on(table.forkedFrom).where(sql`${table.forkedFrom} is not null`),
    index("archived_runs_codes").using("gin", table.codes),
    index("archived_runs_attributes").using("gin", sql`${table.attributes} jsonb_path_ops`),
  ],
);
