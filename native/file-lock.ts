/**
 * An exclusive lock that is a file, held by one live process and recovered from a dead one.
 *
 * The file appears whole, through link(2), which succeeds for one caller only. A file whose
 * process is dead may be replaced only by the holder of a second lock beside it (`<path>.takeover`),
 * taken in the same way, who looks again before replacing. So of any number of racing starters
 * that all saw the same dead holder, one replaces it and the others find a live one.
 * It does not guard a folder that several machines share.
 *
 * @module
 */

import { randomUUID } from "node:crypto";
import { link, readFile, rename, unlink, writeFile } from "node:fs/promises";
import { systemCode } from "./native-error.ts";
import { isSameProcessAlive, ownIdentity, type ProcessIdentity } from "./process-identity.ts";

/** Attempts at most; each one lost means that another process moved in between. */
const MAX_ATTEMPTS = 200;
const RETRY_PAUSE_MS = 5;
/** Each level needs a process that died within a takeover, which lasts under a millisecond. */
const MAX_TAKEOVER_DEPTH = 3;

export interface LockRecord extends ProcessIdentity {
  /** Names this one holding; never used twice. */
  readonly token: string;
  readonly acquiredAt: string;
  /** What the holder tells about itself. */
  readonly info: Readonly<Record<string, string>>;
}

export interface FileLock {
  readonly record: LockRecord;
  /** Merges into the holder's `info`; readers see the old or the new file, never a part. */
  update(info: Readonly<Record<string, string>>): Promise<void>;
  /** Gives the lock up. Safe to call twice. */
  release(): Promise<void>;
}

export type LockAttempt =
  | { readonly type: "acquired"; readonly lock: FileLock }
  | { readonly type: "held"; readonly holder: LockRecord };

/**
 * Takes the lock, or tells who holds it. Waits for nobody.
 * @throws A system error if the folder cannot be written or cannot hold links.
 */
export async function tryFileLock(
  path: string,
  info: Readonly<Record<string, string>>,
  depth = 0,
): Promise<LockAttempt> {
  const record: LockRecord = {
    ...(await ownIdentity()),
    token: randomUUID(),
    acquiredAt: new Date().toISOString(),
    info,
  };
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt += 1) {
    if (await placeNew(path, record)) return { type: "acquired", lock: heldLock(path, record) };
    const holder = await readLockFile(path);
    if (holder === "missing") continue;
    if (holder !== "unreadable" && (await isSameProcessAlive(holder))) {
      return { type: "held", holder };
    }
    if (await replaceDead(path, record, depth)) {
      return { type: "acquired", lock: heldLock(path, record) };
    }
    await new Promise((resolve) => setTimeout(resolve, RETRY_PAUSE_MS));
  }
  throw new Error(`Cannot lock "${path}": other processes keep taking it; try again`);
}

/** The live holder of the lock, or undefined. */
export async function readLockHolder(path: string): Promise<LockRecord | undefined> {
  const holder = await readLockFile(path);
  if (typeof holder === "string") return undefined;
  return (await isSameProcessAlive(holder)) ? holder : undefined;
}

/** True if the file was absent and is now ours. */
async function placeNew(path: string, record: LockRecord): Promise<boolean> {
  const draft = await writeDraft(path, record);
  try {
    await link(draft, path);
    return true;
  } catch (error) {
    if (systemCode(error) === "EEXIST") return false;
    throw error;
  } finally {
    await unlink(draft);
  }
}

/** True if the dead holder's file is now ours; false if someone else was faster. */
async function replaceDead(path: string, record: LockRecord, depth: number): Promise<boolean> {
  if (depth >= MAX_TAKEOVER_DEPTH) {
    throw new Error(`Cannot lock "${path}": left over by crashes; delete it and try again`);
  }
  const takeover = await tryFileLock(`${path}.takeover`, {}, depth + 1);
  if (takeover.type === "held") return false;
  try {
    const holder = await readLockFile(path);
    if (holder === "missing") return false;
    if (holder !== "unreadable" && (await isSameProcessAlive(holder))) return false;
    await rename(await writeDraft(path, record), path);
    return true;
  } finally {
    await takeover.lock.release();
  }
}

async function writeDraft(path: string, record: LockRecord): Promise<string> {
  const draft = `${path}.${randomUUID()}`;
  await writeFile(draft, `${JSON.stringify(record)}\n`, { mode: 0o644 });
  return draft;
}

/** An unreadable file is a dead holder's: links appear whole, so only a power cut leaves half of one. */
async function readLockFile(path: string): Promise<LockRecord | "missing" | "unreadable"> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    if (systemCode(error) === "ENOENT") return "missing";
    throw error;
  }
  try {
    return asLockRecord(JSON.parse(text)) ?? "unreadable";
  } catch {
    return "unreadable";
  }
}

function asLockRecord(value: unknown): LockRecord | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const record = value as Partial<LockRecord>;
  const whole =
    typeof record.pid === "number" &&
    Number.isInteger(record.pid) &&
    record.pid > 0 &&
    typeof record.startedTicks === "string" &&
    typeof record.bootId === "string" &&
    typeof record.token === "string" &&
    typeof record.acquiredAt === "string" &&
    typeof record.info === "object" &&
    record.info !== null;
  return whole ? (record as LockRecord) : undefined;
}

function heldLock(path: string, initial: LockRecord): FileLock {
  let record = initial;
  let released = false;
  return {
    get record() {
      return record;
    },
    update: async (info) => {
      if (released) return;
      record = { ...record, info: { ...record.info, ...info } };
      await rename(await writeDraft(path, record), path);
    },
    release: async () => {
      if (released) return;
      released = true;
      const current = await readLockFile(path);
      // Whoever deleted the data folder also deleted the lock; and a new owner's file is not ours.
      if (typeof current === "string" || current.token !== record.token) return;
      await unlink(path);
    },
  };
}
