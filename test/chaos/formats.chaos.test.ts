/** Archives of the other two formats, and the demo tour, through the real supervisor with the embedded server. */

import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { reportBelow } from "../support/phase-report.ts";
import { buildMboxSample, buildTelegramSample } from "../support/sample-archives.ts";
import { startSupervisor } from "../support/supervisor.ts";

const mails = 600;
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "spectra-formats-"));
  // As root the server runs as nobody, who must be able to pass through.
  await chmod(folder, 0o755);
});

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

async function check(archive: string, name: string): Promise<void> {
  const dataDir = join(folder, name);
  const supervisor = await startSupervisor([
    "--phase",
    "1",
    "--archive",
    archive,
    "--data-dir",
    dataDir,
  ]);
  expect(await supervisor.exited, supervisor.output()).toBe(0);
  expect(supervisor.output()).toMatch(/: completed in .*, 18 of 18 tasks done$/m);
  const { read, migrated, rejected, source } = (await reportBelow(dataDir)).archive;
  expect(source).toBe(archive);
  expect(read).toBe(mails);
  expect(migrated + rejected).toBe(read);
  // Mails without a readable date are rejected; they are few.
  expect(rejected).toBeLessThan(mails / 10);
}

describe("supervisor", () => {
  test("completes Phase 1 on a Telegram Desktop export", async () => {
    await check(
      await buildTelegramSample(join(folder, "export"), { limit: mails }),
      "telegram-data",
    );
  }, 180_000);

  test("completes Phase 1 on an mbox", async () => {
    await check(await buildMboxSample(join(folder, "mail"), { limit: mails }), "mbox-data");
  }, 180_000);

  test("completes the demo tour", async () => {
    const supervisor = await startSupervisor(["--demo", "--data-dir", join(folder, "demo")]);
    expect(await supervisor.exited, supervisor.output()).toBe(0);
    expect(supervisor.output()).toMatch(/: completed in .*, 24 of 24 tasks done$/m);
  }, 180_000);
});
