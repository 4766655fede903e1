/**
 * Runs the real PostgreSQL as a child process on the data folder, and ends it with this process.
 *
 * @module
 */

import { rm } from "node:fs/promises";
import { createServer } from "node:net";
import { join, resolve } from "node:path";
import { type BoundedLog, openBoundedLog } from "./bounded-log.ts";
import { type FileLock, tryFileLock } from "./file-lock.ts";
import { diskFull, ensureFolder, unwritable } from "./folders.ts";
import { NativeError } from "./native-error.ts";
import { type PostgresBinaries, preparePostgresBinaries } from "./postgres-binaries.ts";
import { DATABASE_NAME, DATABASE_USER, prepareCluster, writeOwned } from "./postgres-cluster.ts";
import { type GuardedProcess, startGuarded } from "./postgres-guard.ts";
import {
  type Placement,
  placeServer,
  prepareSocketDir,
  SOCKET_PORT,
} from "./postgres-placement.ts";
import { hbaConf, type Listen, postgresConf } from "./postgres-settings.ts";
import { findPostmaster, pause, removeStalePidFile, stopPostmaster } from "./postmaster.ts";

/** Crash recovery of a large write-ahead log may take this long. */
const START_LIMIT_MS = 120_000;
/** The guard's own limit, an immediate shutdown, and some room. */
const STOP_LIMIT_MS = 20_000;
/** Back-ends of a server that was killed may hold its memory for a moment. */
const OLD_SERVER_LIMIT_MS = 10_000;
const OLD_SERVER_POLL_MS = 100;
const READY_POLL_MS = 10;

export interface EmbeddedPostgresOptions {
  readonly dataDir: string;
  readonly log?: { info(message: string): void; warn(message: string): void };
  /** `loopback` also listens on a free port of 127.0.0.1. Default `socket`: no network at all. */
  readonly listen?: "socket" | "loopback";
  /** Server settings by name, over ours. */
  readonly settings?: Readonly<Record<string, string>>;
}

export type PostgresTarget =
  | { readonly type: "url"; readonly url: string }
  | {
      readonly type: "socket";
      readonly socketDir: string;
      readonly port: number;
      readonly user: string;
      readonly password: string;
      readonly database: string;
    };

export interface PostgresExit {
  /** 128 + n if signal n ended the server; null if the guard was killed. */
  readonly code: number | null;
  /** True after `stop()` or `kill()`. */
  readonly expected: boolean;
  /** End of the server's log since its start. */
  readonly logTail: string;
}

export interface EmbeddedPostgres {
  readonly target: PostgresTarget;
  /** Such as "18.4". */
  readonly version: string;
  /** Of the server, not of its guard. */
  readonly pid: number;
  /** The database was created by this start. */
  readonly created: boolean;
  readonly logPath: string;
  /** Settles once, when no server process is left; never rejects. */
  readonly exited: Promise<PostgresExit>;
  /** Fast shutdown: ends all sessions, writes everything. Safe to call twice. */
  stop(): Promise<void>;
  /** As a crash would: nothing is flushed, the next start recovers. */
  kill(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Starts the server and resolves when it accepts connections. A server that a killed supervisor
 * left on this folder is ended first.
 *
 * @throws {NativeError} See `NativeErrorCode`; no process is left behind.
 */
export async function startEmbeddedPostgres(
  options: EmbeddedPostgresOptions,
): Promise<EmbeddedPostgres> {
  const dataDir = resolve(options.dataDir);
  await ensureFolder(dataDir);
  const lock = await takeLock(dataDir);
  try {
    return await start(dataDir, lock, options);
  } catch (error) {
    await lock.release();
    throw unwritable(dataDir, error);
  }
}

async function takeLock(dataDir: string): Promise<FileLock> {
  try {
    const attempt = await tryFileLock(join(dataDir, "postgres.lock"), {});
    if (attempt.type === "acquired") return attempt.lock;
    throw new NativeError(
      "DATA_DIR_LOCKED",
      `Cannot start the database in "${dataDir}": the process with pid ${attempt.holder.pid} ` +
        `runs it since ${attempt.holder.acquiredAt}; stop that one, or choose another --data-dir`,
    );
  } catch (error) {
    throw unwritable(dataDir, error);
  }
}

async function start(
  dataDir: string,
  lock: FileLock,
  options: EmbeddedPostgresOptions,
): Promise<EmbeddedPostgres> {
  const placement = await placeServer(dataDir);
  if (placement.home !== placement.dataDir) {
    options.log?.info(
      `The database is in "${placement.home}", because "${placement.dataDir}" cannot be reached ` +
        `by the account that PostgreSQL runs as`,
    );
  }
  const binaries = await preparePostgresBinaries(placement.account, placement.binariesFolder);
  await endOldServer(placement, options);
  const { password, created } = await prepareCluster(placement, binaries);
  const socketDir = await prepareSocketDir(placement);
  const listen = await chooseListen(options);
  await writeConfiguration(placement, listen, socketDir, options.settings ?? {});
  const log = await openBoundedLog(join(placement.dataDir, "postgres.log"), (error) =>
    options.log?.warn(`Cannot bound the database log: ${String(error)}`),
  );
  try {
    const { guarded, pid } = await launch(placement, binaries, log);
    const target = targetOf(listen, socketDir, password);
    const details = { target, version: binaries.version, pid, created, logPath: log.path };
    return handle(details, { cluster: placement.cluster, socketDir }, guarded, log, lock);
  } catch (error) {
    await log.close();
    throw error;
  }
}

async function endOldServer(placement: Placement, options: EmbeddedPostgresOptions): Promise<void> {
  const old = await findPostmaster(placement.cluster);
  if (old !== undefined) {
    options.log?.warn(`Ending the database server that an earlier run left (pid ${old.pid})`);
    await stopPostmaster(placement.cluster);
  }
  await removeStalePidFile(placement.cluster);
}

async function writeConfiguration(
  { cluster, account }: Placement,
  listen: Listen,
  socketDir: string,
  settings: Readonly<Record<string, string>>,
): Promise<void> {
  const conf = postgresConf(listen, socketDir, settings);
  await writeOwned(join(cluster, "postgresql.conf"), conf, account);
  await writeOwned(join(cluster, "pg_hba.conf"), hbaConf(listen), account);
}

/** Starts the server, again while the memory of a killed one is still in use. */
async function launch(
  placement: Placement,
  binaries: PostgresBinaries,
  log: BoundedLog,
): Promise<{ guarded: GuardedProcess; pid: number }> {
  const deadlineMs = performance.now() + OLD_SERVER_LIMIT_MS;
  for (;;) {
    const args = ["-D", placement.cluster];
    const guarded = startGuarded(binaries.postgres, args, placement.account, log.fd);
    const outcome = await waitUntilReady(placement, guarded);
    if (outcome.type === "ready") return { guarded, pid: outcome.pid };
    const tail = await log.tail();
    if (outcome.type === "timeout") throw startTimeout(placement, log);
    const oldMemory = tail.includes("pre-existing shared memory block");
    if (!oldMemory || performance.now() > deadlineMs) throw startFailed(placement, log, tail);
    await pause(OLD_SERVER_POLL_MS);
  }
}

type StartOutcome =
  | { readonly type: "ready"; readonly pid: number }
  | { readonly type: "exited" }
  | { readonly type: "timeout" };

async function waitUntilReady(
  { cluster }: Placement,
  guarded: GuardedProcess,
): Promise<StartOutcome> {
  let exited = false;
  void guarded.exited.then(() => {
    exited = true;
  });
  const deadlineMs = performance.now() + START_LIMIT_MS;
  while (performance.now() < deadlineMs) {
    const server = await findPostmaster(cluster);
    if (server?.ready === true) return { type: "ready", pid: server.pid };
    if (exited) return { type: "exited" };
    await pause(READY_POLL_MS);
  }
  guarded.kill();
  await guarded.exited;
  return { type: "timeout" };
}

function startTimeout(placement: Placement, log: BoundedLog): NativeError {
  return new NativeError(
    "POSTGRES_START_TIMEOUT",
    `Cannot start the database in "${placement.cluster}": not ready after ` +
      `${START_LIMIT_MS / 1_000} s; see "${log.path}" and start again`,
  );
}

function startFailed(placement: Placement, log: BoundedLog, tail: string): NativeError {
  if (tail.includes("No space left on device")) return diskFull(placement.home, tail);
  const lines = tail.trim().split("\n");
  // The first of them is the cause; of a bad setting, the line before FATAL tells more.
  const cause = /FATAL:|PANIC:|invalid value|unrecognized configuration/;
  const reason = lines.find((line) => cause.test(line)) ?? lines.at(-1);
  return new NativeError(
    "POSTGRES_START_FAILED",
    `Cannot start the database in "${placement.cluster}": ` +
      `${reason?.trim() || "the server ended without a word"}; see "${log.path}"`,
    { cause: tail },
  );
}

function handle(
  details: Pick<EmbeddedPostgres, "target" | "version" | "pid" | "created" | "logPath">,
  { cluster, socketDir }: { cluster: string; socketDir: string },
  guarded: GuardedProcess,
  log: BoundedLog,
  lock: FileLock,
): EmbeddedPostgres {
  let expected = false;
  const finish = async (): Promise<PostgresExit> => {
    const { code } = await guarded.exited;
    // Where only the guard was killed, the server still runs, and nobody would end it.
    await stopPostmaster(cluster);
    const logTail = await log.tail();
    await log.close();
    await rm(socketDir, { recursive: true, force: true });
    await lock.release();
    return { code, expected, logTail };
  };
  const exited = finish().catch((error: unknown) => ({
    code: null,
    expected,
    logTail: String(error),
  }));
  const stop = async (): Promise<void> => {
    expected = true;
    guarded.shutDown();
    const force = setTimeout(() => guarded.kill(), STOP_LIMIT_MS);
    await exited;
    clearTimeout(force);
  };
  const kill = async (): Promise<void> => {
    expected = true;
    guarded.kill();
    await exited;
  };
  return { ...details, exited, stop, kill, [Symbol.asyncDispose]: stop };
}

function targetOf(listen: Listen, socketDir: string, password: string): PostgresTarget {
  if (listen.type === "loopback") {
    const login = `${DATABASE_USER}:${password}`;
    return { type: "url", url: `postgres://${login}@127.0.0.1:${listen.port}/${DATABASE_NAME}` };
  }
  return {
    type: "socket",
    socketDir,
    port: SOCKET_PORT,
    user: DATABASE_USER,
    password,
    database: DATABASE_NAME,
  };
}

/** PostgreSQL cannot take port 0, so ask the system for a free one first. */
async function chooseListen(options: EmbeddedPostgresOptions): Promise<Listen> {
  if (options.listen !== "loopback") return { type: "socket" };
  const probe = createServer();
  await new Promise<void>((done, fail) => {
    probe.once("error", fail);
    probe.listen(0, "127.0.0.1", done);
  });
  const address = probe.address();
  await new Promise((done) => probe.close(done));
  if (address === null || typeof address === "string") throw new Error("Cannot find a free port");
  return { type: "loopback", port: address.port };
}
