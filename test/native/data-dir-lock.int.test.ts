/**
 * The lock of the data folder, with real processes that race and die.
 *
 * @module
 */

import { chmod, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeAll, beforeEach, expect, it } from "vitest";
import { acquireDataDirLock, readDataDirLock } from "../../native/data-dir-lock.ts";
import { bundle, type Child, startChild } from "../support/child.ts";

let taker = "";
let dataDir = "";
const children: Child[] = [];

beforeAll(async () => {
  taker = await bundle("native/programs/lock-taker.ts");
});
beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), "spectra-lock-"));
});
afterEach(async () => {
  for (const child of children.splice(0)) {
    child.process.kill("SIGKILL");
    await child.ended;
  }
  await rm(dataDir, { recursive: true, force: true });
});

function take(startAtMs = 0): Child {
  const child = startChild(taker, [dataDir, String(startAtMs)]);
  children.push(child);
  return child;
}

it("acquireDataDirLock() refuses a second process and names the first", async () => {
  const first = take();
  const { pid } = await first.next();
  const second = take();
  const refusal = await second.next();
  expect(refusal).toMatchObject({ type: "refused", code: "DATA_DIR_LOCKED" });
  expect(refusal["message"]).toContain(`pid ${String(pid)}`);
  expect(refusal["message"]).toContain("http://127.0.0.1:1");
  expect(refusal["message"]).toContain(dataDir);
});

it("acquireDataDirLock() refuses a second holder in the same process", async () => {
  const lock = await acquireDataDirLock(dataDir);
  await expect(acquireDataDirLock(dataDir)).rejects.toMatchObject({ code: "DATA_DIR_LOCKED" });
  await lock.release();
  await (await acquireDataDirLock(dataDir)).release();
});

it("acquireDataDirLock() recovers the lock of a killed process", async () => {
  const first = take();
  await first.next();
  first.process.kill("SIGKILL");
  await first.ended;
  expect(await readDataDirLock(dataDir)).toBeUndefined();
  const second = take();
  expect(await second.next()).toMatchObject({ type: "acquired" });
});

it("acquireDataDirLock() is not deceived by a live process with the dead one's number", async () => {
  const first = take();
  await first.next();
  first.process.kill("SIGKILL");
  await first.ended;
  const path = join(dataDir, "supervisor.lock");
  const record = JSON.parse(await readFile(path, "utf8")) as Record<string, unknown>;
  await writeFile(path, JSON.stringify({ ...record, pid: process.ppid }));
  await (await acquireDataDirLock(dataDir)).release();
});

it("acquireDataDirLock() takes over an empty or broken lock file", async () => {
  for (const text of ["", "{", "{}", "null"]) {
    await writeFile(join(dataDir, "supervisor.lock"), text);
    await (await acquireDataDirLock(dataDir)).release();
  }
});

it("acquireDataDirLock() lets exactly one of many racers in, again after each was killed", async () => {
  for (let round = 0; round < 5; round += 1) {
    const startAtMs = Date.now() + 1_500;
    const racers = Array.from({ length: 10 }, () => take(startAtMs));
    const outcomes = await Promise.all(racers.map((racer) => racer.next()));
    const won = outcomes.filter(({ type }) => type === "acquired");
    const lost = outcomes.filter(({ code }) => code === "DATA_DIR_LOCKED");
    expect([won.length, lost.length]).toEqual([1, 9]);
    // The next round starts from the winner's stale lock.
    for (const racer of racers) {
      racer.process.kill("SIGKILL");
      await racer.ended;
    }
  }
  await (await acquireDataDirLock(dataDir)).release();
  expect(await readdir(dataDir)).toEqual([]);
});

it("readDataDirLock() tells who holds the folder and where it answers", async () => {
  expect(await readDataDirLock(dataDir)).toBeUndefined();
  const lock = await acquireDataDirLock(dataDir, { version: "1.2.3" });
  expect((await readDataDirLock(dataDir))?.url).toBeUndefined();
  await lock.update({ url: "http://127.0.0.1:4400" });
  expect(await readDataDirLock(dataDir)).toMatchObject({
    pid: process.pid,
    url: "http://127.0.0.1:4400",
    info: { version: "1.2.3" },
  });
  await lock.release();
  await lock.release();
  expect(await readDataDirLock(dataDir)).toBeUndefined();
});

it("acquireDataDirLock() says what to do about a folder that it cannot make or write", async () => {
  await writeFile(join(dataDir, "file"), "");
  const inFile = acquireDataDirLock(join(dataDir, "file", "sub"));
  await expect(inFile).rejects.toMatchObject({ code: "DATA_DIR_UNWRITABLE" });
  await expect(inFile).rejects.toThrow(/^Cannot write to the data folder .*--data-dir$/);
  await chmod(dataDir, 0o555);
  const script = taker;
  const ordinary = startChild(script, [dataDir], nobodyIfRoot());
  children.push(ordinary);
  expect(await ordinary.next()).toMatchObject({ code: "DATA_DIR_UNWRITABLE" });
});

function nobodyIfRoot(): { uid?: number; gid?: number } {
  return process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {};
}
