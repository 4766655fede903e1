/**
 * The database files: created once, whole or not at all, with a password that this process knows.
 *
 * A new cluster is built under another name and renamed when it is complete, so an interrupted
 * build can never be taken for a database.
 *
 * @module
 */

import { createHash, randomBytes } from "node:crypto";
import { chown, mkdir, open, readdir, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { type Account, diskFull, runChild, unwritable } from "./folders.ts";
import { NativeError, systemCode } from "./native-error.ts";
import type { PostgresBinaries } from "./postgres-binaries.ts";
import type { Placement } from "./postgres-placement.ts";

export const DATABASE_USER = "spectra";
export const DATABASE_NAME = "spectra";
const SECRET_FILE = "postgres.secret";
/** In the cluster, written last: says that the build succeeded and which password it has. */
const MARKER_FILE = "spectra-cluster.json";
const STAGING_PREFIX = "postgres.new-";

/**
 * Makes sure that the cluster exists and that the password is the one in `postgres.secret`.
 * No server may run on it.
 *
 * @returns The password.
 * @throws {NativeError} `POSTGRES_INIT_FAILED`, `DISK_FULL`, `DATA_DIR_FOREIGN`, `DATA_DIR_UNWRITABLE`.
 */
export async function prepareCluster(
  placement: Placement,
  binaries: PostgresBinaries,
): Promise<{ password: string; created: boolean }> {
  try {
    await removeLeftovers(placement);
    const saved = await readSecret(placement.dataDir);
    const state = await inspect(placement, binaries);
    if (state.type === "missing") {
      const password = saved ?? newPassword();
      await writeSecret(placement.dataDir, password);
      await build(placement, binaries, password);
      return { password, created: true };
    }
    if (saved !== undefined && state.secretHash === hashOf(saved)) {
      return { password: saved, created: false };
    }
    const password = newPassword();
    await resetPassword(placement, binaries, password);
    return { password, created: false };
  } catch (error) {
    throw unwritable(placement.home, error);
  }
}

/** Replaces a file as a whole, owned by `account`. */
export async function writeOwned(
  path: string,
  text: string,
  account: Account,
  mode = 0o600,
): Promise<void> {
  const draft = `${path}.new`;
  const file = await open(draft, "w", mode);
  try {
    await file.writeFile(text);
    if (account !== undefined) await file.chown(account.uid, account.gid);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(draft, path);
}

type ClusterState =
  | { readonly type: "missing" }
  | { readonly type: "present"; readonly secretHash: string };

async function inspect(placement: Placement, binaries: PostgresBinaries): Promise<ClusterState> {
  const { cluster } = placement;
  const entries = await listFolder(cluster);
  if (entries === undefined) return { type: "missing" };
  if (!entries.includes(MARKER_FILE)) {
    // Without the marker the build never ended; only a server that once ran leaves this file.
    if (entries.includes("postmaster.opts")) {
      throw new NativeError(
        "DATA_DIR_FOREIGN",
        `Cannot use "${cluster}": it holds a PostgreSQL database that SPECTRA did not create; ` +
          `move it away, choose another folder with --data-dir, or serve it and set DATABASE_URL`,
      );
    }
    await rm(cluster, { recursive: true, force: true });
    return { type: "missing" };
  }
  const major = (await readFile(join(cluster, "PG_VERSION"), "utf8")).trim();
  if (major !== binaries.version.split(".")[0]) {
    throw new NativeError(
      "DATA_DIR_FOREIGN",
      `Cannot open the database in "${cluster}" with PostgreSQL ${binaries.version}: it was made ` +
        `by version ${major}; use the SPECTRA version that made it, or choose another --data-dir`,
    );
  }
  const marker = JSON.parse(await readFile(join(cluster, MARKER_FILE), "utf8")) as {
    secretHash?: unknown;
  };
  return { type: "present", secretHash: String(marker.secretHash) };
}

async function build(
  placement: Placement,
  binaries: PostgresBinaries,
  password: string,
): Promise<void> {
  const { home, account } = placement;
  const staging = join(home, `${STAGING_PREFIX}${randomBytes(4).toString("hex")}`);
  await mkdir(staging, { mode: 0o700 });
  try {
    if (account !== undefined) await chown(staging, account.uid, account.gid);
    await check(placement, binaries.initdb, [
      `--pgdata=${staging}`,
      `--username=${DATABASE_USER}`,
      // Our own pg_hba.conf replaces it before the first start.
      "--auth=reject",
      "--encoding=UTF8",
      "--data-checksums",
      // The built-in provider sorts alike on every machine, whatever locales are installed.
      "--locale=C",
      "--locale-provider=builtin",
      "--builtin-locale=C.UTF-8",
      "--no-instructions",
      // Synced once, below, with what comes after.
      "--no-sync",
    ]);
    await runStatements(
      placement,
      binaries,
      staging,
      [`CREATE DATABASE ${DATABASE_NAME}`, `ALTER ROLE ${DATABASE_USER} PASSWORD '${password}'`],
      ["-c", "fsync=off"],
    );
    // One call for the file system is many times faster than one for each of 1,300 files.
    const method = process.platform === "linux" ? "syncfs" : "fsync";
    const sync = ["--sync-only", `--sync-method=${method}`, `--pgdata=${staging}`];
    await check(placement, binaries.initdb, sync);
    await writeMarker(staging, password, account);
    await rename(staging, placement.cluster);
    await syncFolder(home);
  } catch (error) {
    await rm(staging, { recursive: true, force: true });
    throw error;
  }
}

async function resetPassword(
  placement: Placement,
  binaries: PostgresBinaries,
  password: string,
): Promise<void> {
  // A crash in between leaves hash and secret unequal, and the next start does all of it again.
  await runStatements(placement, binaries, placement.cluster, [
    `ALTER ROLE ${DATABASE_USER} PASSWORD '${password}'`,
  ]);
  await writeSecret(placement.dataDir, password);
  await writeMarker(placement.cluster, password, placement.account);
}

/** Runs statements, one a line, without a server: PostgreSQL's single-user mode. */
function runStatements(
  placement: Placement,
  binaries: PostgresBinaries,
  cluster: string,
  statements: readonly string[],
  settings: readonly string[] = [],
): Promise<void> {
  return check(
    placement,
    binaries.postgres,
    // Without exit_on_error a failed statement would still end in exit code 0.
    [
      "--single",
      "-D",
      cluster,
      "-c",
      "exit_on_error=on",
      "-c",
      "log_checkpoints=off",
      ...settings,
      "postgres",
    ],
    `${statements.join("\n")}\n`,
  );
}

async function check(
  placement: Placement,
  program: string,
  args: readonly string[],
  input = "",
): Promise<void> {
  const { code, output } = await runChild(program, args, placement.account, input);
  if (code === 0) return;
  if (/No space left on device|Disk quota exceeded/i.test(output)) {
    throw diskFull(placement.home, output);
  }
  const reason = firstFailure(output);
  const remedy = output.includes("could not look up effective user ID")
    ? "add that user to /etc/passwd, run as another user, or set DATABASE_URL"
    : `see the message, or set DATABASE_URL to use another PostgreSQL`;
  throw new NativeError(
    "POSTGRES_INIT_FAILED",
    `Cannot create the database in "${placement.cluster}": ${reason}; ${remedy}`,
    { cause: output },
  );
}

function firstFailure(output: string): string {
  const lines = output.trim().split("\n");
  const failure = lines.find((line) => /error:|FATAL:|PANIC:|ERROR:/.test(line)) ?? lines.at(-1);
  return failure?.trim() || "the program was stopped";
}

/** Removes half-built clusters of starts that were killed. */
async function removeLeftovers({ home }: Placement): Promise<void> {
  for (const name of (await listFolder(home)) ?? []) {
    if (!name.startsWith(STAGING_PREFIX)) continue;
    // The orphaned initdb may still be writing there for a moment.
    await rm(join(home, name), { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  }
}

async function listFolder(folder: string): Promise<string[] | undefined> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (systemCode(error) === "ENOENT") return undefined;
    throw error;
  }
}

async function readSecret(dataDir: string): Promise<string | undefined> {
  try {
    const text = (await readFile(join(dataDir, SECRET_FILE), "utf8")).trim();
    return /^[0-9a-f]{64}$/.test(text) ? text : undefined;
  } catch (error) {
    if (systemCode(error) === "ENOENT") return undefined;
    throw error;
  }
}

function writeSecret(dataDir: string, password: string): Promise<void> {
  return writeOwned(join(dataDir, SECRET_FILE), `${password}\n`, undefined);
}

function writeMarker(cluster: string, password: string, account: Account): Promise<void> {
  const marker = { secretHash: hashOf(password) };
  return writeOwned(join(cluster, MARKER_FILE), `${JSON.stringify(marker)}\n`, account);
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Hex only, so that it needs no quoting in SQL or in a URL. */
function newPassword(): string {
  return randomBytes(32).toString("hex");
}

function hashOf(password: string): string {
  return createHash("sha256").update(password).digest("hex");
}
