/**
 * Reads a SPECTRA/tgarchive database, read-only, page by page in the order of its row ids.
 *
 * Text is fetched as bytes and decoded here, because SQLite stores whatever it is given. A message that
 * names a user or medium which has no row is rejected as `DANGLING_REFERENCE`; `reply_to` may point
 * outside the archive. The whole database is one conversation, as tgarchive has none.
 *
 * @module
 */

import { stat } from "node:fs/promises";
import { basename } from "node:path";
import type Database from "libsql";
import { AgentError } from "../../machines/error-code.ts";
import {
  type ArchiveSource,
  maxBodyBytes,
  type SourceConversation,
  type SourceEntry,
} from "./source-contract.ts";
import { checkFile, fileError } from "./source-file.ts";
import { checkSchema, openReadOnly, sqliteError } from "./sqlite-file.ts";
import { createRowReader, type MessageRow, messageRowsSql } from "./sqlite-row.ts";

/** Rows and bytes of bodies that one page holds at most; a larger body is a page of its own. */
const pageRows = 1_000;
const pageBytes = 8 * 1024 * 1024;

export async function openSqlite(url: string, path: string): Promise<ArchiveSource> {
  const { sizeBytes, isDirectory, fingerprint } = await checkFile(path);
  if (isDirectory) {
    throw new AgentError(
      "ARCHIVE_NOT_A_DATABASE",
      `Cannot read "${path}" as a SQLite database: it is a folder, name the database file`,
    );
  }
  const logBytes = await sizeOfLog(path);
  const db = await openReadOnly(path, sizeBytes);
  try {
    const remarks = checkSchema(db, path);
    const counted = db.prepare("select count(*) as n from messages").get() as { n: number };
    return {
      url,
      format: "sqlite",
      sizeBytes,
      fingerprint: `${fingerprint}, log ${logBytes} bytes`,
      remarks,
      expected: counted.n,
      sameId: "reject",
      close: () => {
        if (db.open) db.close();
      },
      read: (options) => readMessages(db, path, options?.after ?? 0),
    };
  } catch (error) {
    db.close();
    throw sqliteError(path, error);
  }
}

/** Commits go to the write-ahead log first; the database file stays as it is meanwhile. */
async function sizeOfLog(path: string): Promise<number> {
  try {
    return (await stat(`${path}-wal`)).size;
  } catch (error) {
    if ((error as { code?: unknown }).code === "ENOENT") return 0;
    throw fileError(`${path}-wal`, error);
  }
}

interface Size {
  readonly row: bigint;
  readonly bytes: bigint | null;
}

async function* readMessages(
  db: Database.Database,
  path: string,
  after: number,
): AsyncGenerator<SourceEntry> {
  const name = basename(path);
  const conversation: SourceConversation = { sourceId: name, title: name, kind: "sqlite" };
  try {
    const toEntry = createRowReader(db, conversation);
    const sizes = db
      .prepare(
        `select rowid as row, octet_length(content) as bytes from messages
         where rowid > ? order by rowid limit ${pageRows}`,
      )
      .safeIntegers(true);
    const rows = db.prepare(messageRowsSql(db));
    let last = rowBefore(db, after);
    let position = after;
    while (last !== undefined) {
      const page = cutPage(sizes.all([last]) as Size[]);
      const end = page.at(-1)?.row;
      if (end === undefined) return;
      let index = 0;
      for (const row of rows.all([last, end]) as MessageRow[]) {
        position += 1;
        yield toEntry(row, position, Number(page[index]?.bytes ?? 0n));
        index += 1;
      }
      last = end;
      // The driver is synchronous: let timers, aborts and sockets in between two pages.
      await new Promise((resolve) => setImmediate(resolve));
    }
  } catch (error) {
    throw sqliteError(path, error);
  }
}

/** Row id of the record at `position`; undefined when the source ends before it. */
function rowBefore(db: Database.Database, position: number): bigint | undefined {
  if (position === 0) return -(2n ** 63n);
  const found = db
    .prepare("select rowid as row from messages order by rowid limit 1 offset ?")
    .safeIntegers(true)
    .get([position - 1]) as { row: bigint } | undefined;
  return found?.row;
}

/** The longest start of `sizes` that fits into a page, at least one row. */
function cutPage(sizes: readonly Size[]): readonly Size[] {
  let bytes = 0;
  const end = sizes.findIndex((size, index) => {
    bytes += Math.min(Number(size.bytes ?? 0n), maxBodyBytes);
    return index > 0 && bytes > pageBytes;
  });
  return end < 0 ? sizes : sizes.slice(0, end);
}
