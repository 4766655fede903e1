/**
 * The tables of the schema `archive` that every task of Phase 1 builds on.
 * DDL as data: ARCHITECT chooses the partitions, DATABASE applies it.
 *
 * @module
 */

/** Idempotent statements, in order. Month partitions of `archive.messages` come on top of these. */
export const baseDdl: readonly string[] = [
  `create schema if not exists archive`,
  // One row per migrated source. `id_base`: message ids of this run are id_base + position.
  // `owner`: token of the attempt that may write; the newest one has it.
  `create table if not exists archive.migrations (
    run_id text primary key, source text not null, id_base bigint not null,
    started_at timestamptz not null, finished_at timestamptz,
    read bigint not null default 0, migrated bigint not null default 0, rejected bigint not null default 0,
    owner text)`,
  // Positions in the source mean nothing any more once this has changed. Null: begun before it was kept.
  `alter table archive.migrations add column if not exists source_fingerprint text`,
  // One row per loaded batch, written in the transaction that loaded it: what makes the migration resumable.
  `create table if not exists archive.batches (
    run_id text not null, batch int not null, first_position bigint not null, last_position bigint not null,
    read int not null, migrated int not null, rejected int not null, checksum text not null,
    loaded_at timestamptz not null default now(), primary key (run_id, batch))`,
  `create table if not exists archive.users (
    id bigint generated always as identity primary key, source_id text not null unique,
    username text, first_name text, last_name text, tags text)`,
  `create table if not exists archive.conversations (
    id bigint generated always as identity primary key, source_id text not null unique,
    title text, kind text)`,
  `create table if not exists archive.media (
    id bigint generated always as identity primary key, source_id text not null unique,
    kind text, url text, title text, description text, thumb text, checksum text)`,
  `create table if not exists archive.messages (
    id bigint not null, conversation_id bigint not null, source_id text not null,
    sent_at timestamptz not null, edited_at timestamptz, kind text,
    user_id bigint, media_id bigint, reply_to text,
    body_bytes int not null, body_sha256 bytea not null, batch int not null, run_id text not null,
    primary key (id, sent_at)) partition by range (sent_at)`,
  // Exact bytes of each body as they stood in the source. STORAGE EXTERNAL: no hidden compression in the figures.
  `create table if not exists archive.bodies (message_id bigint primary key, raw bytea not null)`,
  `alter table archive.bodies alter column raw set storage external`,
  `create table if not exists archive.dictionaries (
    id int generated always as identity primary key, codec text not null, data bytea not null,
    sha256 text not null unique, created_at timestamptz not null default now())`,
  // A body is in \`bodies\` or here; in both only between compression and verification.
  `create table if not exists archive.compressed_bodies (
    message_id bigint primary key, codec text not null, dictionary_id int references archive.dictionaries (id),
    raw_bytes int not null, data bytea not null)`,
  `alter table archive.compressed_bodies alter column data set storage external`,
  // Everything read and not migrated. \`position\` counts source records from 1.
  `create table if not exists archive.rejects (
    run_id text not null, position bigint not null, source_id text,
    reason text not null, detail text not null, primary key (run_id, position))`,
];
