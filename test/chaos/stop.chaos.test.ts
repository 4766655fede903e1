/** Stopping: in order, in bounded time, and with nothing left behind, also when the supervisor is killed. */

import { chmod, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { smallSampleUrl } from "../support/migrated-archive.ts";
import { newestRun, processesOf, startSupervisor, tasksOf } from "../support/supervisor.ts";

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "spectra-stop-"));
  // As root the server runs as nobody, and stays in the data folder only where nobody may go.
  await chmod(folder, 0o755);
});

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

/** The last line of the log: the emergency exit at the 10 s deadline leaves none after `stopping`. */
async function lastLogLine(dataDir: string): Promise<unknown> {
  const text = await readFile(join(dataDir, "spectra.log"), "utf8");
  return JSON.parse(text.trimEnd().split("\n").at(-1) ?? "");
}

describe("supervisor", () => {
  test("drains on Ctrl-C in the middle of a task and leaves no process", async () => {
    const dataDir = join(folder, "drain");
    const archive = await smallSampleUrl(1_000);
    const supervisor = await startSupervisor([
      "--phase",
      "1",
      "--archive",
      archive,
      "--data-dir",
      dataDir,
    ]);
    const { id } = await newestRun(supervisor, "phase1");
    await expect
      .poll(
        async () => (await tasksOf(supervisor, id)).some(({ status }) => status === "running"),
        { timeout: 20_000, interval: 20 },
      )
      .toBe(true);
    expect(processesOf(dataDir).length).toBeGreaterThan(1);
    supervisor.kill("SIGINT");
    expect(await supervisor.exited, supervisor.output()).toBe(130);
    expect(processesOf(dataDir)).toEqual([]);
    expect(await lastLogLine(dataDir)).toMatchObject({ msg: "stopped", exitCode: 130 });
  });

  test("leaves no process when it is killed, and starts again at once on the same folder", async () => {
    const dataDir = join(folder, "kill");
    const first = await startSupervisor(["--data-dir", dataDir]);
    first.kill("SIGKILL");
    expect(await first.exited).toBe(137);
    const second = await startSupervisor(["--data-dir", dataDir]);
    second.kill("SIGKILL");
    await second.exited;
    await expect.poll(() => processesOf(dataDir), { timeout: 30_000 }).toEqual([]);
  });
});
