/**
 * Opens a message archive for reading, whatever its format.
 *
 * `sqlite:/path` (tgarchive schema), `telegram:/path/result.json` or its folder,
 * `mbox:/path` of an mbox file, a maildir, or a folder with one RFC 5322 message per file.
 *
 * @module
 */

import { AgentError } from "../../machines/error-code.ts";
import type { ArchiveSource } from "./source-contract.ts";
import { openMbox } from "./source-mbox.ts";
import { openSqlite } from "./source-sqlite.ts";
import { openTelegram } from "./source-telegram.ts";

/**
 * Opens the archive read-only; checks that it is there and of the right kind.
 *
 * @throws {AgentError} `ARCHIVE_URL`, `ARCHIVE_NOT_FOUND`, `ARCHIVE_EMPTY`, `ARCHIVE_UNREADABLE`,
 * `ARCHIVE_NOT_A_DATABASE`, `ARCHIVE_TRUNCATED`, `ARCHIVE_SCHEMA`
 */
export async function openSource(url: string): Promise<ArchiveSource> {
  const match = /^(sqlite|telegram|mbox):(?:\/\/(?=\/))?(.+)$/s.exec(url);
  const [, format, path] = match ?? [];
  if (format === undefined || path === undefined) {
    throw new AgentError(
      "ARCHIVE_URL",
      `Cannot open the archive "${url}": its URL must be sqlite:/path, telegram:/path/result.json or mbox:/path`,
    );
  }
  if (format === "sqlite") return openSqlite(url, path);
  if (format === "telegram") return openTelegram(url, path);
  return openMbox(url, path);
}
