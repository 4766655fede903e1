/**
 * Opens a SQLite file that must not be written to, and checks that it is whole and a tgarchive database.
 *
 * @module
 */

import { existsSync } from "node:fs";
import { open } from "node:fs/promises";
import { resolve } from "node:path";
import Database from "libsql";
import { AgentError } from "../../machines/error-code.ts";
import { fileError } from "./source-file.ts";

const magic = "SQLite format 3\u0000";

/** Columns without which a message cannot be understood; others are read where they exist. */
const required: Readonly<Record<string, readonly string[]>> = {
  messages: ["id", "type", "date", "content", "reply_to", "user_id"],
  users: ["id", "username"],
};
const known: Readonly<Record<string, readonly string[]>> = {
  messages: [
    "id",
    "type",
    "date",
    "edit_date",
    "content",
    "reply_to",
    "user_id",
    "media_id",
    "checksum",
  ],
  users: ["id", "username", "first_name", "last_name", "tags", "avatar", "last_updated"],
  media: ["id", "type", "url", "title", "description", "thumb", "checksum"],
  checkpoints: ["id", "last_message_id", "checkpoint_time", "context"],
};

/** @throws {AgentError} `ARCHIVE_NOT_A_DATABASE`, `ARCHIVE_TRUNCATED`, `ARCHIVE_UNREADABLE` */
export async function openReadOnly(path: string, sizeBytes: number): Promise<Database.Database> {
  const { isWalMode } = await checkHeader(path, sizeBytes);
  // Opening a database in WAL mode creates files beside it, unless it is said to be immutable, which it
  // is not while it has a log. In other modes reading locks against writers and creates nothing.
  const mode = isWalMode && !existsSync(`${path}-wal`) ? "mode=ro&immutable=1" : "mode=ro";
  const name = encodeURI(resolve(path)).replaceAll("?", "%3f").replaceAll("#", "%23");
  try {
    return new Database(`file:${name}?${mode}`);
  } catch (error) {
    throw sqliteError(path, error);
  }
}

async function checkHeader(path: string, sizeBytes: number): Promise<{ isWalMode: boolean }> {
  const header = Buffer.alloc(100);
  try {
    const file = await open(path, "r");
    await file.read(header, 0, header.length, 0);
    await file.close();
  } catch (error) {
    throw fileError(path, error);
  }
  if (header.toString("latin1", 0, 16) !== magic) {
    throw new AgentError(
      "ARCHIVE_NOT_A_DATABASE",
      `Cannot read "${path}" as a SQLite database: the file does not start as one`,
    );
  }
  const rawPageSize = header.readUInt16BE(16);
  const pageSize = rawPageSize === 1 ? 65_536 : rawPageSize;
  // The page count is valid only when its version equals the change counter (SQLite file format, 1.3.8).
  const pages = header.readUInt32BE(24) === header.readUInt32BE(92) ? header.readUInt32BE(28) : 1;
  if (sizeBytes < Math.max(1, pages) * pageSize) {
    throw new AgentError(
      "ARCHIVE_TRUNCATED",
      `Cannot read "${path}": the database has ${pages} pages of ${pageSize} bytes but the file only ${sizeBytes} bytes, copy it again`,
    );
  }
  return { isWalMode: header[19] === 2 };
}

/** Names of the columns of a table, or nothing when there is no such table. */
export function columnsOf(db: Database.Database, table: string): readonly string[] {
  const rows = db.prepare("select name from pragma_table_info(?)").all([table]);
  return (rows as { name: string }[]).map(({ name }) => name);
}

/**
 * Remarks about unknown tables and columns.
 *
 * @throws {AgentError} `ARCHIVE_SCHEMA` Names every table and column that is missing.
 */
export function checkSchema(db: Database.Database, path: string): readonly string[] {
  const tables = db
    .prepare("select name from sqlite_master where type = 'table' and name not like 'sqlite_%'")
    .all() as { name: string }[];
  const missing: string[] = [];
  const remarks: string[] = [];
  for (const [table, columns] of Object.entries(required)) {
    const found = columnsOf(db, table);
    if (found.length === 0) missing.push(`table ${table}`);
    else {
      missing.push(
        ...columns
          .filter((column) => !found.includes(column))
          .map((column) => `column ${table}.${column}`),
      );
    }
  }
  if (missing.length > 0) {
    throw new AgentError(
      "ARCHIVE_SCHEMA",
      `Cannot read "${path}" as a SPECTRA archive: it has no ${missing.join(", no ")}`,
    );
  }
  for (const { name } of tables) {
    const columns = known[name];
    if (columns === undefined) {
      remarks.push(`unknown table "${name}" is not migrated`);
      continue;
    }
    for (const column of columnsOf(db, name)) {
      if (!columns.includes(column))
        remarks.push(`unknown column "${name}.${column}" is not migrated`);
    }
  }
  checkRowIds(db, path);
  return remarks;
}

function checkRowIds(db: Database.Database, path: string): void {
  try {
    db.prepare("select rowid from messages limit 1").get();
  } catch (error) {
    if (!/no such column/.test(String(error))) throw error;
    throw new AgentError(
      "ARCHIVE_SCHEMA",
      `Cannot read "${path}" as a SPECTRA archive: its table messages has no row ids, so that it has no fixed order`,
      { cause: error },
    );
  }
}

/** Translates what SQLite says; everything else passes unchanged. */
export function sqliteError(path: string, error: unknown): unknown {
  if (error instanceof AgentError) return error;
  const { code } = error as { code?: unknown };
  if (typeof code !== "string" || !code.startsWith("SQLITE_")) return error;
  const message = error instanceof Error ? error.message : String(error);
  if (code.startsWith("SQLITE_NOTADB")) {
    return new AgentError(
      "ARCHIVE_NOT_A_DATABASE",
      `Cannot read "${path}" as a SQLite database: ${message}`,
      { cause: error },
    );
  }
  if (code.startsWith("SQLITE_CORRUPT")) {
    return new AgentError(
      "ARCHIVE_TRUNCATED",
      `Cannot read "${path}": the database is damaged (${message}), restore it from a copy`,
      { cause: error },
    );
  }
  return new AgentError("ARCHIVE_UNREADABLE", `Cannot read "${path}": ${message}`, {
    cause: error,
  });
}
