/**
 * One supervisor per data folder: takes the folder, or says who has it.
 *
 * @module
 */

import { join, resolve } from "node:path";
import { type LockRecord, readLockHolder, tryFileLock } from "./file-lock.ts";
import { ensureFolder, unwritable } from "./folders.ts";
import { NativeError } from "./native-error.ts";

const LOCK_FILE = "supervisor.lock";

export interface DataDirHolder {
  readonly pid: number;
  readonly startedAt: Date;
  /** Where its API answers; undefined until it listens. */
  readonly url: string | undefined;
  readonly info: Readonly<Record<string, string>>;
}

export interface DataDirLock {
  readonly dataDir: string;
  /** Adds facts for `readDataDirLock`, such as `{ url }` once the API listens. */
  update(info: Readonly<Record<string, string>>): Promise<void>;
  /** Safe to call twice. */
  release(): Promise<void>;
}

/**
 * Takes the folder for this process, creating it if needed. A dead holder's lock is recovered.
 *
 * @param info Facts about this process for others, such as its version.
 * @throws {NativeError} `DATA_DIR_LOCKED` if a live process has it, `DATA_DIR_UNWRITABLE`.
 */
export async function acquireDataDirLock(
  dataDir: string,
  info: Readonly<Record<string, string>> = {},
): Promise<DataDirLock> {
  const folder = resolve(dataDir);
  await ensureFolder(folder);
  const attempt = await takeLock(folder, info);
  if (attempt.type === "held") {
    const { pid, startedAt, url } = asHolder(attempt.holder);
    throw new NativeError(
      "DATA_DIR_LOCKED",
      `Cannot use the data folder "${folder}": the supervisor with pid ${pid} has it since ` +
        `${startedAt.toISOString()}${url === undefined ? "" : ` (${url})`}; ` +
        `stop that one, or choose another folder with --data-dir`,
    );
  }
  const { lock } = attempt;
  return {
    dataDir: folder,
    update: (facts) => lock.update(facts),
    release: () => lock.release(),
  };
}

/** The live supervisor of this folder, or undefined. Never writes. */
export async function readDataDirLock(dataDir: string): Promise<DataDirHolder | undefined> {
  const holder = await readLockHolder(join(resolve(dataDir), LOCK_FILE));
  return holder === undefined ? undefined : asHolder(holder);
}

async function takeLock(folder: string, info: Readonly<Record<string, string>>) {
  try {
    return await tryFileLock(join(folder, LOCK_FILE), info);
  } catch (error) {
    throw unwritable(folder, error);
  }
}

function asHolder(record: LockRecord): DataDirHolder {
  return {
    pid: record.pid,
    startedAt: new Date(record.acquiredAt),
    url: record.info["url"],
    info: record.info,
  };
}
