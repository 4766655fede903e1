/**
 * The checks that every archive file passes before it is read.
 *
 * @module
 */

import { constants } from "node:fs";
import { access, stat } from "node:fs/promises";
import { AgentError } from "../../machines/error-code.ts";

export interface FileFacts {
  readonly sizeBytes: number;
  readonly isDirectory: boolean;
  /** Size and time of the last change. */
  readonly fingerprint: string;
}

/** @throws {AgentError} `ARCHIVE_NOT_FOUND`, `ARCHIVE_UNREADABLE`, `ARCHIVE_EMPTY` (a file of 0 bytes). */
export async function checkFile(path: string): Promise<FileFacts> {
  try {
    const found = await stat(path);
    await access(path, constants.R_OK);
    if (!found.isFile() && !found.isDirectory()) {
      throw new AgentError(
        "ARCHIVE_UNREADABLE",
        `Cannot read the archive "${path}": it is neither a file nor a folder`,
      );
    }
    if (found.isFile() && found.size === 0) {
      throw new AgentError("ARCHIVE_EMPTY", `Cannot read the archive "${path}": the file is empty`);
    }
    return {
      sizeBytes: found.size,
      isDirectory: found.isDirectory(),
      fingerprint: fingerprintOf(found),
    };
  } catch (error) {
    throw fileError(path, error);
  }
}

/** Changes with the content of a file, unless somebody sets its time back. */
export function fingerprintOf({ size, mtimeMs }: { size: number; mtimeMs: number }): string {
  return `${size} bytes, changed ${mtimeMs}`;
}

/** Translates what the file system says about `path`. */
export function fileError(path: string, error: unknown): AgentError {
  if (error instanceof AgentError) return error;
  const code = (error as { code?: unknown }).code;
  if (code === "ENOENT" || code === "ENOTDIR") {
    return new AgentError(
      "ARCHIVE_NOT_FOUND",
      `Cannot read the archive "${path}": there is no such file or folder, check --archive`,
      { cause: error },
    );
  }
  return new AgentError(
    "ARCHIVE_UNREADABLE",
    `Cannot read the archive "${path}": ${error instanceof Error ? error.message : String(error)}`,
    { cause: error },
  );
}
