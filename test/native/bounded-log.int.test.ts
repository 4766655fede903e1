/**
 * The bound of a log file that another process writes.
 *
 * @module
 */

import { spawn } from "node:child_process";
import { appendFile, mkdtemp, readdir, readFile, rm, stat, truncate } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { openBoundedLog } from "../../native/bounded-log.ts";

const failed = (error: unknown): never => {
  throw error;
};

async function folder(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), "spectra-log-"));
  onTestFinished(() => rm(path, { recursive: true, force: true }));
  return path;
}

async function print(fd: number, text: string): Promise<void> {
  const child = spawn("printf", ["%s", text], { stdio: ["ignore", fd, fd] });
  await new Promise((resolve) => child.once("close", resolve));
}

it("openBoundedLog() appends, and its tail begins with this opening", async () => {
  const path = join(await folder(), "server.log");
  await appendFile(path, "from before\n");
  const log = await openBoundedLog(path, failed);
  await print(log.fd, "from now\n");
  expect(await log.tail()).toBe("from now\n");
  expect(await readFile(path, "utf8")).toBe("from before\nfrom now\n");
  await log.close();
  await log.close();
});

it("openBoundedLog() sets a file over 10 MiB aside, keeping one", async () => {
  const dir = await folder();
  const path = join(dir, "server.log");
  for (let round = 0; round < 2; round += 1) {
    await appendFile(path, "x");
    await truncate(path, 10 * 1024 * 1024 + 1);
    const log = await openBoundedLog(path, failed);
    await print(log.fd, "after");
    expect(await readFile(path, "utf8")).toBe("after");
    await log.close();
  }
  expect((await readdir(dir)).toSorted()).toEqual(["server.log", "server.log.1"]);
  expect((await stat(`${path}.1`)).size).toBe(10 * 1024 * 1024 + 1);
});
