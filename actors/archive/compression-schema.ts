/**
 * What compression adds to the schema `archive`: which codec was chosen, when, and why.
 *
 * @module
 */

import type { Sql } from "postgres";

/** Idempotent statements, in order; they need the base tables. */
export const compressionDdl: readonly string[] = [
  // One row per task that chose a codec; the newest one is in force for new messages.
  `create table if not exists archive.codec_choices (
    id int generated always as identity primary key, task text not null unique,
    codec text not null, dictionary_id int references archive.dictionaries (id),
    sample_space_saved double precision not null, reasons jsonb not null,
    chosen_at timestamptz not null default now(), raw_dropped_at timestamptz)`,
];

export async function applyCompressionDdl(sql: Sql): Promise<void> {
  for (const statement of compressionDdl) await sql.unsafe(statement);
}
