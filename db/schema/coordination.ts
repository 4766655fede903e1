/**
 * Tables of the durable coordination objects: groups, barriers, reservations and votes.
 * Every object is found by the id that its creator chose, so that asking again changes nothing.
 *
 * @module
 */

import {
  bigint,
  boolean,
  doublePrecision,
  index,
  integer,
  jsonb,
  primaryKey,
  text,
  timestamp,
} from "drizzle-orm/pg-core";
import { spectraSchema } from "./schema.ts";

/** Named sets of agents. */
export const groups = spectraSchema.table("groups", {
  id: text("id").primaryKey(),
  createdAt: timestamp("created_at", { withTimezone: true }).notNull().defaultNow(),
});

export const groupMembers = spectraSchema.table(
  "group_members",
  {
    groupId: text("group_id")
      .notNull()
      .references(() => groups.id, { onDelete: "cascade" }),
    member: text("member").notNull(),
  },
  (table) => [
    primaryKey({ name: "group_members_pk", columns: [table.groupId, table.member] }),
    index("group_members_member_idx").on(table.member),
  ],
);

/** A barrier opens when all its participants arrived before `deadline_at`. */
export const barriers = spectraSchema.table(
  "barriers",
  {
    id: text("id").primaryKey(),
    createdAt: timestamp("created_at", { withTimezone: true }).notNull().defaultNow(),
    deadlineAt: timestamp("deadline_at", { withTimezone: true }).notNull(),
  },
  (table) => [index("barriers_deadline_idx").on(table.deadlineAt)],
);

/** One row per expected participant; `arrived_at` is null until it is there. */
export const barrierArrivals = spectraSchema.table(
  "barrier_arrivals",
  {
    barrierId: text("barrier_id")
      .notNull()
      .references(() => barriers.id, { onDelete: "cascade" }),
    participant: text("participant").notNull(),
    arrivedAt: timestamp("arrived_at", { withTimezone: true }),
  },
  (table) => [
    primaryKey({ name: "barrier_arrivals_pk", columns: [table.barrierId, table.participant] }),
  ],
);

/** Shares of a node's budget, in cores and MiB. A row counts until it is released or its lease ends. */
export const reservations = spectraSchema.table(
  "reservations",
  {
    id: text("id").primaryKey(),
    node: text("node").notNull(),
    holder: text("holder").notNull(),
    cpu: doublePrecision("cpu").notNull(),
    memoryMb: doublePrecision("memory_mb").notNull(),
    reservedAt: timestamp("reserved_at", { withTimezone: true }).notNull().defaultNow(),
    leaseEndsAt: timestamp("lease_ends_at", { withTimezone: true }).notNull(),
  },
  (table) => [
    index("reservations_node_idx").on(table.node, table.leaseEndsAt),
    index("reservations_holder_idx").on(table.holder),
  ],
);

/** A question to a fixed electorate; `outcome` is null until `required` agree or no longer can. */
export const votes = spectraSchema.table(
  "votes",
  {
    id: text("id").primaryKey(),
    proposal: jsonb("proposal").notNull(),
    voters: text("voters").array().notNull(),
    required: integer("required").notNull(),
    timeoutMs: bigint("timeout_ms", { mode: "number" }).notNull(),
    outcome: text("outcome", { enum: ["accepted", "rejected"] }),
    createdAt: timestamp("created_at", { withTimezone: true }).notNull().defaultNow(),
    decidedAt: timestamp("decided_at", { withTimezone: true }),
  },
  (table) => [index("votes_created_idx").on(table.createdAt)],
);

/** One per voter; the first one stands, and none is taken after the decision. */
export const ballots = spectraSchema.table(
  "ballots",
  {
    voteId: text("vote_id")
      .notNull()
      .references(() => votes.id, { onDelete: "cascade" }),
    voter: text("voter").notNull(),
    approve: boolean("approve").notNull(),
    reason: text("reason").notNull(),
    castAt: timestamp("cast_at", { withTimezone: true }).notNull().defaultNow(),
  },
  (table) => [primaryKey({ name: "ballots_pk", columns: [table.voteId, table.voter] })],
);
