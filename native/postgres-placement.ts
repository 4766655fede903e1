/**
 * Decides which account runs the embedded server and where its files are.
 *
 * PostgreSQL refuses to run as root, so a root supervisor runs it as the owner of the existing
 * database, or as `nobody`. That account must be able to reach the files: where the data folder
 * lies below a closed one (/root is 0700), they go to /var/lib/spectra instead, and a file in the
 * data folder says so.
 *
 * @module
 */

import { createHash } from "node:crypto";
import {
  chmod,
  chown,
  lstat,
  mkdir,
  readdir,
  readFile,
  realpath,
  rename,
  stat,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Account, canEnter, ensureFolder, isRoot, unwritable } from "./folders.ts";
import { NativeError, systemCode } from "./native-error.ts";

/** `nobody` on Linux. */
const NOBODY = { uid: 65_534, gid: 65_534 };
const SHARED_FOLDER = "/var/lib/spectra";
const LOCATION_FILE = "postgres.location";
const OWNER_FILE = "owner";
/** sun_path holds 104 bytes on macOS and 108 on Linux, with the closing zero. */
const MAX_SOCKET_PATH_BYTES = 103;
export const SOCKET_PORT = 5_432;

export interface Placement {
  /** The data folder, resolved. Secret, log and lock stand here, owned by this process. */
  readonly dataDir: string;
  readonly account: Account;
  /** Holds `cluster`: the data folder, or its substitute below /var/lib/spectra. */
  readonly home: string;
  /** What PostgreSQL calls the data directory; may not exist yet. */
  readonly cluster: string;
  /** For a copy of the binaries, if the package's own cannot be used. */
  readonly binariesFolder: string;
}

/** @throws {NativeError} `DATA_DIR_UNWRITABLE`, `DATA_DIR_FOREIGN`. */
export async function placeServer(dataDir: string): Promise<Placement> {
  await ensureFolder(dataDir);
  const folder = await realpath(dataDir);
  if (!isRoot()) {
    return {
      dataDir: folder,
      account: undefined,
      home: folder,
      cluster: join(folder, "postgres"),
      binariesFolder: folder,
    };
  }
  const home = (await recordedHome(folder)) ?? (await newHome(folder));
  const cluster = join(home, "postgres");
  return {
    dataDir: folder,
    account: await ownerOf(cluster),
    home,
    cluster,
    binariesFolder: SHARED_FOLDER,
  };
}

/** Folder for the unix socket: short, private to the server's account, the same at every start. */
export async function prepareSocketDir(placement: Placement): Promise<string> {
  const name = `spectra-${hashOf(placement.dataDir)}`;
  for (const parent of [tmpdir(), "/tmp"]) {
    const socketDir = join(parent, name);
    const socketPath = join(socketDir, `.s.PGSQL.${SOCKET_PORT}`);
    if (Buffer.byteLength(socketPath) > MAX_SOCKET_PATH_BYTES) continue;
    if (!(await canEnter(parent, placement.account))) continue;
    await ownSocketDir(socketDir, placement.account);
    return socketDir;
  }
  throw new NativeError(
    "DATA_DIR_UNWRITABLE",
    `Cannot place the database socket: neither "${tmpdir()}" nor "/tmp" is short and open ` +
      `enough; set TMPDIR to a short folder that all users can pass through`,
  );
}

async function ownSocketDir(socketDir: string, account: Account): Promise<void> {
  try {
    await mkdir(socketDir, { mode: 0o700 });
  } catch (error) {
    if (systemCode(error) !== "EEXIST") throw unwritable(socketDir, error);
  }
  // Others may write in the temporary folder: never use a link or a folder of somebody else.
  const found = await lstat(socketDir);
  const own = process.getuid?.() ?? 0;
  const wanted = account?.uid ?? own;
  if (!found.isDirectory() || (found.uid !== wanted && found.uid !== own)) {
    throw new NativeError(
      "DATA_DIR_FOREIGN",
      `Cannot use "${socketDir}" for the database socket: it belongs to another user; delete it`,
    );
  }
  if (account !== undefined && found.uid !== wanted) {
    await chown(socketDir, account.uid, account.gid);
  }
}

/** Where an earlier start put the files, if not into the data folder. */
async function recordedHome(folder: string): Promise<string | undefined> {
  const home = await readText(join(folder, LOCATION_FILE));
  if (home === undefined) return undefined;
  const owner = await readText(join(home, OWNER_FILE));
  if (owner === undefined || owner === folder) return home;
  // The data folder has another name now: moved, which is fine, or copied, which is not.
  if ((await readText(join(owner, LOCATION_FILE))) === home) {
    throw new NativeError(
      "DATA_DIR_FOREIGN",
      `Cannot use the data folder "${folder}": it is a copy of "${owner}", whose database ` +
        `is in "${home}"; delete "${join(folder, LOCATION_FILE)}" to start with an empty one`,
    );
  }
  await writeText(join(home, OWNER_FILE), folder);
  return home;
}

async function newHome(folder: string): Promise<string> {
  const account = await ownerOf(join(folder, "postgres"));
  if (await canEnter(folder, account)) return folder;
  if ((await openFreshFolder(folder)) && (await canEnter(folder, account))) return folder;
  const home = join(SHARED_FOLDER, hashOf(folder));
  try {
    await mkdir(SHARED_FOLDER, { recursive: true, mode: 0o755 });
    await mkdir(home, { recursive: true, mode: 0o711 });
    await writeText(join(home, OWNER_FILE), folder);
    await writeText(join(folder, LOCATION_FILE), home);
  } catch (error) {
    throw unwritable(home, error);
  }
  return home;
}

/**
 * Lets other users pass through (not list) a private folder of root's that holds nothing yet but
 * our locks, such as a new temporary one: there is nothing in it that the mode was to protect.
 */
async function openFreshFolder(folder: string): Promise<boolean> {
  const { uid, mode } = await stat(folder);
  const entries = await readdir(folder);
  if (uid !== 0 || !entries.every((name) => name.endsWith(".lock"))) return false;
  await chmod(folder, (mode & 0o777) | 0o011);
  return true;
}

/** Account of an existing database that an ordinary user made, else `nobody`. */
async function ownerOf(cluster: string): Promise<{ uid: number; gid: number }> {
  try {
    const { uid, gid } = await stat(cluster);
    return uid === 0 ? NOBODY : { uid, gid };
  } catch (error) {
    if (systemCode(error) === "ENOENT") return NOBODY;
    throw error;
  }
}

function hashOf(folder: string): string {
  return createHash("sha256").update(folder).digest("hex").slice(0, 12);
}

async function readText(path: string): Promise<string | undefined> {
  try {
    return (await readFile(path, "utf8")).trim() || undefined;
  } catch (error) {
    if (systemCode(error) === "ENOENT") return undefined;
    throw error;
  }
}

async function writeText(path: string, text: string): Promise<void> {
  await writeFile(`${path}.new`, `${text}\n`);
  await rename(`${path}.new`, path);
}
