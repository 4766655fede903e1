/**
 * Turns a row of `messages` with its user and medium into a source entry.
 *
 * @module
 */

import { isUtf8 } from "node:buffer";
import type Database from "libsql";
import {
  maxBodyBytes,
  type RejectReason,
  type SourceConversation,
  type SourceEntry,
  type SourceMedia,
  type SourceUser,
} from "./source-contract.ts";
import {
  decodeLenient,
  decodeStrict,
  parseIsoDate,
  parseUnixSeconds,
  shown,
  storable,
} from "./source-values.ts";
import { columnsOf } from "./sqlite-file.ts";

/** Users and media that are kept at hand at most. */
const maxCached = 10_000;

/** Texts come as bytes, ids and dates as SQLite casts them to text bytes. */
export interface MessageRow {
  readonly id: ArrayBuffer | null;
  readonly type: ArrayBuffer | null;
  readonly date: ArrayBuffer | null;
  readonly date_type: string;
  readonly edit_date: ArrayBuffer | null;
  readonly content: ArrayBuffer | null;
  readonly reply_to: ArrayBuffer | null;
  readonly user_id: ArrayBuffer | null;
  readonly media_id: ArrayBuffer | null;
}

/** The query for rows between two row ids; optional columns that the table lacks read as null. */
export function messageRowsSql(db: Database.Database): string {
  const columns = columnsOf(db, "messages");
  const optional = (name: string): string => (columns.includes(name) ? name : "null");
  return `select cast(id as blob) as id, cast(type as blob) as type,
      cast(date as blob) as date, typeof(date) as date_type,
      cast(${optional("edit_date")} as blob) as edit_date,
      case when octet_length(content) > ${maxBodyBytes} then null else cast(content as blob) end as content,
      cast(reply_to as blob) as reply_to, cast(user_id as blob) as user_id,
      cast(${optional("media_id")} as blob) as media_id
    from messages where rowid > ? and rowid <= ? order by rowid`;
}

class RowProblem extends Error {
  readonly reason: RejectReason;
  constructor(reason: RejectReason, detail: string) {
    super(detail);
    this.reason = reason;
  }
}

export type RowReader = (row: MessageRow, position: number, bodyBytes: number) => SourceEntry;

interface Decoder {
  /** UTF-16 databases hand out UTF-16 bytes; all others UTF-8. */
  readonly isWide: boolean;
  decode(bytes: ArrayBuffer, column: string): string;
}

function createDecoder(db: Database.Database): Decoder {
  const { encoding } = db.prepare("pragma encoding").get() as { encoding: string };
  const wide =
    encoding === "UTF-8" ? undefined : new TextDecoder(encoding.toLowerCase(), { fatal: true });
  const decode = (bytes: ArrayBuffer, column: string): string => {
    let text: string | undefined;
    try {
      text = wide === undefined ? decodeStrict(bytes) : wide.decode(bytes);
    } catch {
      text = undefined;
    }
    if (text === undefined) {
      throw new RowProblem("BAD_ENCODING", `${column} is not valid ${encoding}`);
    }
    return text;
  };
  return { isWide: wide !== undefined, decode };
}

/** A function that turns rows into entries; it looks users and media up as they come. */
export function createRowReader(
  db: Database.Database,
  conversation: SourceConversation,
): RowReader {
  const decoder = createDecoder(db);
  const text = (bytes: ArrayBuffer | null, column: string): string | null =>
    bytes === null ? null : storable(decoder.decode(bytes, column));
  const findUser = createLookup<SourceUser>(
    db,
    "users",
    ["username", "first_name", "last_name", "tags"],
    (sourceId, row) => ({
      sourceId,
      username: text(row["username"] ?? null, "users.username"),
      firstName: text(row["first_name"] ?? null, "users.first_name"),
      lastName: text(row["last_name"] ?? null, "users.last_name"),
      tags: text(row["tags"] ?? null, "users.tags"),
    }),
  );
  const findMedia = createLookup<SourceMedia>(
    db,
    "media",
    ["type", "url", "title", "description", "thumb", "checksum"],
    (sourceId, row) => ({
      sourceId,
      kind: text(row["type"] ?? null, "media.type"),
      url: text(row["url"] ?? null, "media.url"),
      title: text(row["title"] ?? null, "media.title"),
      description: text(row["description"] ?? null, "media.description"),
      thumb: text(row["thumb"] ?? null, "media.thumb"),
      checksum: text(row["checksum"] ?? null, "media.checksum"),
    }),
  );
  const convert: RowReader = (row, position, bodyBytes) => {
    const id = text(row.id, "messages.id");
    if (id === null || id === "") throw new RowProblem("MISSING_ID", "messages.id is empty");
    if (bodyBytes > maxBodyBytes) {
      throw new RowProblem(
        "TOO_LARGE",
        `messages.content has ${bodyBytes} bytes, at most ${maxBodyBytes} are taken`,
      );
    }
    return {
      type: "record",
      position,
      sourceId: id,
      conversation,
      user: findUser(text(row.user_id, "messages.user_id")),
      media: findMedia(text(row.media_id, "messages.media_id")),
      sentAt: sentAt(text(row.date, "messages.date"), row.date_type),
      editedAt: editedAt(text(row.edit_date, "messages.edit_date")),
      kind: text(row.type, "messages.type"),
      replyTo: text(row.reply_to, "messages.reply_to"),
      content: body(row.content, decoder),
    };
  };
  return (row, position, bodyBytes) => {
    try {
      return convert(row, position, bodyBytes);
    } catch (error) {
      if (!(error instanceof RowProblem)) throw error;
      const sourceId = row.id === null ? null : storable(decodeLenient(row.id));
      return { type: "reject", position, sourceId, reason: error.reason, detail: error.message };
    }
  };
}

/** The body's own bytes where they are UTF-8; converted where the database is UTF-16. */
function body(bytes: ArrayBuffer | null, decoder: Decoder): Uint8Array {
  if (bytes === null) return new Uint8Array(0);
  const content = new Uint8Array(bytes);
  if (!decoder.isWide && isUtf8(content)) return content;
  return new TextEncoder().encode(decoder.decode(bytes, "messages.content"));
}

function sentAt(value: string | null, type: string): Date {
  if (value === null || value.trim() === "") {
    throw new RowProblem("NO_DATE", "messages.date is empty");
  }
  const date = readDate(value, type);
  if (date === undefined) {
    throw new RowProblem("BAD_DATE", `messages.date is ${shown(value)}, not an ISO 8601 date`);
  }
  return date;
}

function editedAt(value: string | null): Date | null {
  if (value === null || value.trim() === "") return null;
  const date = readDate(value, /^-?\d+$/.test(value) ? "integer" : "text");
  if (date === undefined) {
    throw new RowProblem("BAD_DATE", `messages.edit_date is ${shown(value)}, not an ISO 8601 date`);
  }
  return date;
}

function readDate(value: string, type: string): Date | undefined {
  return type === "integer" || type === "real"
    ? parseUnixSeconds(Number(value))
    : parseIsoDate(value);
}

function createLookup<T>(
  db: Database.Database,
  table: "users" | "media",
  wanted: readonly string[],
  build: (id: string, row: Readonly<Record<string, ArrayBuffer | null>>) => T,
): (id: string | null) => T | null {
  const found = columnsOf(db, table);
  const selected = wanted
    .filter((column) => found.includes(column))
    .map((column) => `cast(${column} as blob) as ${column}`);
  const statement = found.includes("id")
    ? db.prepare(
        `select ${["1 as found", ...selected].join(", ")} from ${table} where id = ? order by rowid limit 1`,
      )
    : undefined;
  const cache = new Map<string, T>();
  return (id) => {
    if (id === null) return null;
    const cached = cache.get(id);
    if (cached !== undefined) return cached;
    const key = /^-?\d{1,18}$/.test(id) ? BigInt(id) : id;
    const row = statement?.get([key]) as Record<string, ArrayBuffer | null> | undefined;
    if (row === undefined) {
      throw new RowProblem("DANGLING_REFERENCE", `${shown(id)} is not the id of a row in ${table}`);
    }
    const built = build(id, row);
    if (cache.size >= maxCached) cache.clear();
    cache.set(id, built);
    return built;
  };
}
