/**
 * The embedded server: its life, its death, and the folders that it is given.
 *
 * @module
 */

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from "vitest";
import { openSql } from "../../db/client.ts";
import {
  type EmbeddedPostgres,
  type PostgresTarget,
  startEmbeddedPostgres,
} from "../../native/embedded-postgres.ts";
import { bundle, type Child, startChild } from "../support/child.ts";
import { isAlive, noServerOn } from "../support/postgres-processes.ts";

let supervisor = "";
let dataDir = "";
/** A data folder with an empty database, copied to where the making of one is not the subject. */
let template = "";
const socketDirs: string[] = [];
const children: Child[] = [];
const servers: EmbeddedPostgres[] = [];

beforeAll(async () => {
  supervisor = await bundle("native/programs/postgres-supervisor.ts");
  template = await mkdtemp(join(tmpdir(), "spectra-pg-template-"));
  await chmod(template, 0o711);
  await (await startEmbeddedPostgres({ dataDir: template })).stop();
});
afterAll(() => rm(template, { recursive: true, force: true }));
beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), "spectra-pg-"));
  await chmod(dataDir, 0o711);
  execFileSync("cp", ["-a", `${template}/.`, dataDir]);
});
afterEach(async () => {
  for (const server of servers.splice(0)) await server.stop();
  for (const child of children.splice(0)) {
    child.process.kill("SIGKILL");
    await child.ended;
  }
  await noServerOn(dataDir);
  // A killed supervisor cannot tidy up, and these have no next start that would.
  for (const folder of [dataDir, ...socketDirs.splice(0)]) {
    await rm(folder, { recursive: true, force: true });
  }
});

async function removeDatabase(): Promise<void> {
  await rm(join(dataDir, "postgres"), { recursive: true });
  await rm(join(dataDir, "postgres.secret"));
}

async function start(listen: "socket" | "loopback" = "socket"): Promise<EmbeddedPostgres> {
  const server = await startEmbeddedPostgres({ dataDir, listen });
  servers.push(server);
  return server;
}

async function startSupervisor(): Promise<{ child: Child; target: PostgresTarget; pid: number }> {
  const child = startChild(supervisor, [dataDir]);
  children.push(child);
  const ready = await child.next();
  if (ready["type"] !== "ready") throw new Error(JSON.stringify(ready));
  const target = ready["target"] as PostgresTarget;
  if (target.type === "socket") socketDirs.push(target.socketDir);
  return { child, target, pid: Number(ready["pid"]) };
}

/** Runs statements on a connection of their own; the rows of the last one. */
async function query(target: PostgresTarget, ...statements: string[]) {
  const sql = openSql(target, { name: "test", max: 1 });
  try {
    let rows: readonly Record<string, unknown>[] = [];
    for (const statement of statements) rows = await sql.unsafe(statement);
    return rows;
  } finally {
    await sql.end({ timeout: 1 });
  }
}

const WRITE = ["create table if not exists kept(n int)", "insert into kept values (1)"];
const COUNT = "select count(*)::int as n from kept";

it("startEmbeddedPostgres() serves a safe, portable database on a private socket", async () => {
  await removeDatabase();
  const server = await start();
  expect(server.created).toBe(true);
  expect(server.version).toMatch(/^18\./);
  const [row] = await query(
    server.target,
    `select current_database() as database, current_user as role, version() as version,
       current_setting('fsync') as fsync, current_setting('data_checksums') as checksums,
       current_setting('server_encoding') as encoding, current_setting('TimeZone') as zone,
       current_setting('listen_addresses') as addresses,
       current_setting('password_encryption') as passwords, 'ä' < 'b' as sorted`,
  );
  expect(row).toMatchObject({
    database: "spectra",
    role: "spectra",
    version: expect.stringContaining(`PostgreSQL ${server.version}`),
    fsync: "on",
    checksums: "on",
    encoding: "UTF8",
    zone: "UTC",
    addresses: "",
    passwords: "scram-sha-256",
    sorted: false,
  });
  const { target } = server;
  if (target.type !== "socket") throw new Error("expected a socket");
  expect((await stat(target.socketDir)).mode & 0o777).toBe(0o700);
  expect((await stat(join(dataDir, "postgres.secret"))).mode & 0o777).toBe(0o600);
  await expect(query({ ...target, password: "guess" }, "select 1")).rejects.toMatchObject({
    code: "28P01",
  });
});

it("startEmbeddedPostgres() keeps what was written, over orderly stops and crashes", async () => {
  const first = await start();
  await query(first.target, ...WRITE);
  await first.stop();
  expect(await first.exited).toMatchObject({ code: 0, expected: true });
  expect(isAlive(first.pid)).toBe(false);
  const second = await start();
  expect(second.created).toBe(false);
  await query(second.target, ...WRITE);
  await second.kill();
  const third = await start();
  expect(await query(third.target, COUNT)).toEqual([{ n: 2 }]);
});

it("startEmbeddedPostgres() with loopback gives a URL that needs the password", async () => {
  const { target } = await start("loopback");
  if (target.type !== "url") throw new Error("expected a URL");
  expect(await query(target, "select 1 as one")).toEqual([{ one: 1 }]);
  const open = new URL(target.url);
  open.password = "guess";
  await expect(query({ type: "url", url: open.href }, "select 1")).rejects.toMatchObject({
    code: "28P01",
  });
});

it("the server ends by itself when its supervisor is killed, and starts again at once", async () => {
  for (let round = 1; round <= 3; round += 1) {
    const { child, target } = await startSupervisor();
    await query(target, ...WRITE);
    child.process.kill("SIGKILL");
    // No waiting: the new supervisor meets the old server in the middle of its shutdown.
    const next = await startSupervisor();
    expect(await query(next.target, COUNT)).toEqual([{ n: round * 2 - 1 }]);
    await query(next.target, ...WRITE);
    next.child.process.kill("SIGKILL");
    await noServerOn(dataDir);
    expect(isAlive(next.pid)).toBe(false);
  }
});

it("a server whose guard was killed too is ended by the next start", async () => {
  const { child, pid: old } = await startSupervisor();
  process.kill(guardOf(old), "SIGKILL");
  child.process.kill("SIGKILL");
  await child.ended;
  const server = await start();
  expect(server.pid).not.toBe(old);
  expect(isAlive(old)).toBe(false);
});

it("a killed guard means a stopped server, and the supervisor hears of it", async () => {
  const server = await start();
  process.kill(guardOf(server.pid), "SIGKILL");
  expect(await server.exited).toMatchObject({ expected: false });
  expect(isAlive(server.pid)).toBe(false);
});

it("exited tells of a killed server, and the next start recovers", async () => {
  const server = await start();
  await query(server.target, ...WRITE);
  process.kill(server.pid, "SIGKILL");
  expect(await server.exited).toMatchObject({ code: 137, expected: false });
  const next = await start();
  expect(await query(next.target, COUNT)).toEqual([{ n: 1 }]);
});

it("Ctrl-C in the terminal does not reach the server", async () => {
  const { child, target, pid } = await startSupervisor();
  process.kill(-child.pid, "SIGINT");
  expect(await child.next()).toEqual({ type: "interrupted" });
  expect(await query(target, "select 1 as one")).toEqual([{ one: 1 }]);
  child.tell("stop");
  expect(await child.next()).toMatchObject({ type: "exited", expected: true });
  expect((await child.ended).code).toBe(0);
  expect(isAlive(pid)).toBe(false);
});

it("startEmbeddedPostgres() refuses a folder that a live process serves already", async () => {
  const { pid, child, target } = await startSupervisor();
  await expect(start()).rejects.toMatchObject({
    code: "DATA_DIR_LOCKED",
    message: expect.stringContaining(`pid ${child.pid}`),
  });
  expect(isAlive(pid)).toBe(true);
  expect(await query(target, "select 1 as one")).toEqual([{ one: 1 }]);
});

it("startEmbeddedPostgres() is not deceived by an old note whose number is in use", async () => {
  await (await start()).stop();
  // This very process, alive, with the note of a server that was ready.
  const note = [process.pid, join(dataDir, "postgres"), 1, 5432, "/tmp", "", "1 1", "ready   "];
  await writeFile(join(dataDir, "postgres", "postmaster.pid"), `${note.join("\n")}\n`);
  const server = await start();
  expect(server.pid).not.toBe(process.pid);
  expect(await query(server.target, "select 1 as one")).toEqual([{ one: 1 }]);
});

it("startEmbeddedPostgres() builds again what was half built", async () => {
  await removeDatabase();
  await mkdir(join(dataDir, "postgres", "base"), { recursive: true });
  await writeFile(join(dataDir, "postgres", "PG_VERSION"), "18\n");
  await mkdir(join(dataDir, "postgres.new-0000", "base"), { recursive: true });
  const server = await start();
  expect(server.created).toBe(true);
  expect(await query(server.target, "select 1 as one")).toEqual([{ one: 1 }]);
  const left = (await readdir(dataDir)).filter((name) => name.startsWith("postgres.new-"));
  expect(left).toEqual([]);
});

it("startEmbeddedPostgres() leaves a database alone that is not ours or of another version", async () => {
  await removeDatabase();
  await mkdir(join(dataDir, "postgres"), { recursive: true });
  await writeFile(join(dataDir, "postgres", "postmaster.opts"), "");
  await expect(start()).rejects.toMatchObject({ code: "DATA_DIR_FOREIGN" });
  expect(await readdir(join(dataDir, "postgres"))).toEqual(["postmaster.opts"]);
  await rm(join(dataDir, "postgres"), { recursive: true });
  await (await start()).stop();
  await writeFile(join(dataDir, "postgres", "PG_VERSION"), "17\n");
  await expect(start()).rejects.toMatchObject({ code: "DATA_DIR_FOREIGN" });
});

it("startEmbeddedPostgres() survives initdb being cut off at any moment", async () => {
  await removeDatabase();
  for (const afterMs of [150, 400, 700, 900]) {
    const child = startChild(supervisor, [dataDir]);
    await new Promise((resolve) => setTimeout(resolve, afterMs));
    child.process.kill("SIGKILL");
    await child.ended;
  }
  const server = await start();
  expect(await query(server.target, "select 1 as one")).toEqual([{ one: 1 }]);
});

it("startEmbeddedPostgres() sets a new password where the old one is lost", async () => {
  const first = await start();
  await query(first.target, ...WRITE);
  await first.stop();
  await rm(join(dataDir, "postgres.secret"));
  const second = await start();
  expect(await query(second.target, COUNT)).toEqual([{ n: 1 }]);
  await second.stop();
  await writeFile(join(dataDir, "postgres.secret"), `${"0".repeat(64)}\n`);
  expect(await query((await start()).target, COUNT)).toEqual([{ n: 1 }]);
});

it("startEmbeddedPostgres() says why the server refused to start", async () => {
  const settings = { shared_buffers: "never" };
  const failed = startEmbeddedPostgres({ dataDir, settings });
  await expect(failed).rejects.toMatchObject({ code: "POSTGRES_START_FAILED" });
  await expect(failed).rejects.toThrow("shared_buffers");
  expect(await query((await start()).target, "select 1 as one")).toEqual([{ one: 1 }]);
});

it("startEmbeddedPostgres() places its socket within the system's limit for any folder", async () => {
  await removeDatabase();
  const long = join(dataDir, "x".repeat(120), "y".repeat(120));
  const server = await startEmbeddedPostgres({ dataDir: long });
  servers.push(server);
  expect(await query(server.target, "select 1 as one")).toEqual([{ one: 1 }]);
  expect(await readFile(join(long, "postgres.log"), "utf8")).toContain("ready to accept");
});

/** Parent of the server: the shell that watches over it. */
function guardOf(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  return Number(/^PPid:\t(\d+)$/m.exec(status)?.[1]);
}
