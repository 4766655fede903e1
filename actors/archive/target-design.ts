/**
 * Designs the target tables for a profiled archive: which months get a partition, which indexes exist.
 *
 * Pure: the same profile gives the same design.
 *
 * @module
 */

import type { ArchiveProfile } from "./profile.ts";
import { baseDdl } from "./target-schema.ts";

/** More partitions would cost more planning than they save reading. */
export const maxPartitions = 120;

export interface PartitionDesign {
  readonly name: string;
  /** `YYYY-MM`; null for the default partition. */
  readonly month: string | null;
  readonly messages: number;
}

export interface IndexDesign {
  readonly name: string;
  readonly sql: string;
  /** Declared queries that it serves. */
  readonly serves: readonly string[];
}

export interface TargetDesign {
  readonly ddl: readonly string[];
  readonly partitions: readonly PartitionDesign[];
  readonly indexes: readonly IndexDesign[];
  readonly reasons: readonly string[];
}

/** Parts of a profile that the design depends on. */
export type DesignInput = Pick<ArchiveProfile, "messages" | "months" | "meanBodyBytes">;

const indexes: readonly IndexDesign[] = [
  {
    name: "messages_source_id",
    sql: "create index if not exists messages_source_id on archive.messages (source_id)",
    serves: ["message_with_body"],
  },
  {
    name: "messages_user_sent",
    sql: "create index if not exists messages_user_sent on archive.messages (user_id, sent_at desc)",
    serves: ["user_recent"],
  },
  {
    name: "messages_conversation_sent",
    sql: "create index if not exists messages_conversation_sent on archive.messages (conversation_id, sent_at desc)",
    serves: ["conversation_page"],
  },
];

export function designTarget(profile: DesignInput): TargetDesign {
  const chosen = [...profile.months]
    .sort((a, b) => b.messages - a.messages || a.month.localeCompare(b.month))
    .slice(0, maxPartitions)
    .sort((a, b) => a.month.localeCompare(b.month));
  const covered = chosen.reduce((sum, { messages }) => sum + messages, 0);
  const rest = profile.messages - covered;
  const partitions: PartitionDesign[] = chosen.map(({ month, messages }) => ({
    name: partitionName(month),
    month,
    messages,
  }));
  partitions.push({ name: "messages_default", month: null, messages: rest });
  const ddl = [
    ...baseDdl,
    ...chosen.map(({ month }) => partitionDdl(month)),
    "create table if not exists archive.messages_default partition of archive.messages default",
    ...indexes.map(({ sql }) => sql),
  ];
  return { ddl, partitions, indexes, reasons: reasonsFor(profile, chosen.length, rest) };
}

function reasonsFor(profile: DesignInput, months: number, rest: number): string[] {
  return [
    `${months} month partitions: those months hold ${profile.messages - rest} of ${profile.messages} messages; empty months get none`,
    rest > 0
      ? `${rest} messages of ${profile.months.length - months} sparse months go to the default partition, as more than ${maxPartitions} partitions slow planning down`
      : "the default partition is empty and takes messages of months that come later",
    `bodies apart from messages: with ${profile.meanBodyBytes} bytes a body on average, scans that need no body read a small table, and compression replaces bodies without touching messages`,
    "bodies with storage external: PostgreSQL must not compress them itself, so that the measured ratio is the codec's own",
    ...indexes.map(({ name, serves }) => `index ${name} serves ${serves.join(", ")}`),
    "senders_in_window, months and kinds_by_conversation read whole months: partitions bound them, no index would",
  ];
}

function partitionName(month: string): string {
  return `messages_${month.replace("-", "_")}`;
}

function partitionDdl(month: string): string {
  const year = Number(month.slice(0, 4));
  const next =
    Number(month.slice(5)) === 12
      ? `${pad(year + 1)}-01`
      : `${month.slice(0, 5)}${String(Number(month.slice(5)) + 1).padStart(2, "0")}`;
  return `create table if not exists archive.${partitionName(month)} partition of archive.messages
    for values from ('${month}-01T00:00:00Z') to ('${next}-01T00:00:00Z')`;
}

function pad(year: number): string {
  return String(year).padStart(4, "0");
}
