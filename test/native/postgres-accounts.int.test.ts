/**
 * The embedded server where its surroundings are against it: other users, closed folders.
 *
 * @module
 */

import { execFileSync } from "node:child_process";
import { chmod, chown, mkdir, mkdtemp, readdir, readFile, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { expect, it } from "vitest";
import { daemon, nobody, stranger } from "../support/accounts.ts";
import { bundle } from "../support/child.ts";
import { installWithoutLinks, openPlacement, PROGRAM } from "../support/postgres-placement.ts";

const place = openPlacement();

it("runs as an ordinary user, who owns everything", async () => {
  const dataDir = join(place.work, "data");
  await chown(place.work, nobody.uid, nobody.gid);
  expect(await place.run(await bundle(PROGRAM), dataDir, nobody)).toMatchObject({ type: "ready" });
  expect((await stat(join(dataDir, "postgres"))).uid).toBe(nobody.uid);
  expect((await stat(dataDir)).mode & 0o777).toBe(0o700);
});

it("as root continues a database that an ordinary user began, without taking it away", async () => {
  const dataDir = join(place.work, "data");
  await chown(place.work, daemon.uid, daemon.gid);
  const script = await bundle(PROGRAM);
  expect(await place.run(script, dataDir, daemon)).toMatchObject({ type: "ready", created: true });
  expect(await place.run(script, dataDir)).toMatchObject({ type: "ready", created: false });
  expect(await place.run(script, dataDir, daemon)).toMatchObject({ type: "ready", created: false });
});

it("as an ordinary user copies the programs where it cannot make the links", async () => {
  const script = await installWithoutLinks(join(place.work, "app"));
  await mkdir(join(place.work, "home"));
  await chown(join(place.work, "home"), nobody.uid, nobody.gid);
  const dataDir = join(place.work, "home", "data");
  expect(await place.run(script, dataDir, nobody)).toMatchObject({ type: "ready" });
  const copies = (await readdir(dataDir)).filter((name) => name.startsWith("postgres-binaries-"));
  expect(copies).toHaveLength(1);
  expect(await place.run(script, dataDir, nobody)).toMatchObject({ type: "ready", created: false });
});

it("as root below a closed folder keeps the files where the server reaches them", async () => {
  const closed = await mkdtemp("/root/spectra-place-");
  place.folders.push(closed);
  await chmod(closed, 0o700);
  const script = await installWithoutLinks(join(closed, "app"));
  const dataDir = join(closed, "app", ".spectra");
  const first = await place.run(script, dataDir);
  expect(first).toMatchObject({ type: "ready", created: true });
  const home = (await readFile(join(dataDir, "postgres.location"), "utf8")).trim();
  place.folders.push(home);
  expect(dirname(home)).toBe("/var/lib/spectra");
  expect(String(first["logged"])).toContain(home);
  expect((await stat(join(home, "postgres"))).uid).toBe(nobody.uid);
  expect(await place.run(script, dataDir)).toMatchObject({ type: "ready", created: false });
  // The data folder moves, and keeps its database; a copy of it does not get the same one.
  const moved = join(closed, "moved");
  execFileSync("mv", [dataDir, moved]);
  expect(await place.run(script, moved)).toMatchObject({ type: "ready", created: false });
  const copy = join(closed, "copy");
  execFileSync("cp", ["-r", moved, copy]);
  expect(await place.run(script, copy)).toMatchObject({ code: "DATA_DIR_FOREIGN" });
});

it("as root opens a private folder for passing through while it is empty, never later", async () => {
  const script = await bundle(PROGRAM);
  const empty = join(place.work, "empty");
  await mkdir(empty, { mode: 0o700 });
  expect(await place.run(script, empty)).toMatchObject({ type: "ready" });
  expect((await stat(empty)).mode & 0o777).toBe(0o711);
  expect(await readdir(empty)).toContain("postgres");
  const filled = join(place.work, "filled");
  await mkdir(join(filled, "letters"), { recursive: true });
  await chmod(filled, 0o700);
  expect(await place.run(script, filled)).toMatchObject({ type: "ready" });
  place.folders.push((await readFile(join(filled, "postgres.location"), "utf8")).trim());
  expect((await stat(filled)).mode & 0o777).toBe(0o700);
});

it("as root with a private temporary folder puts the socket where it can be reached", async () => {
  const temporary = join(place.work, "private");
  await mkdir(temporary, { mode: 0o700 });
  const env = { ...process.env, TMPDIR: temporary };
  const outcome = await place.run(await bundle(PROGRAM), join(place.work, "data"), { env });
  expect(outcome).toMatchObject({ type: "ready" });
  const { socketDir } = outcome["target"] as { socketDir: string };
  expect(dirname(socketDir)).toBe("/tmp");
});

it("says which folder cannot be written, by whom, and what to do", async () => {
  const outcome = await place.run(await bundle(PROGRAM), join(place.work, "data"), nobody);
  expect(outcome).toMatchObject({ type: "failed", code: "DATA_DIR_UNWRITABLE" });
  expect(outcome["message"]).toMatch(
    new RegExp(
      `^Cannot write .*"${join(place.work, "data")}" as user nobody: permission denied; .*--data-dir$`,
    ),
  );
});

it("says what to do where the user has no name, which initdb needs", async () => {
  await chown(place.work, stranger.uid, stranger.gid);
  const outcome = await place.run(await bundle(PROGRAM), join(place.work, "data"), stranger);
  expect(outcome).toMatchObject({ type: "failed", code: "POSTGRES_INIT_FAILED" });
  expect(outcome["message"]).toContain("/etc/passwd");
});
