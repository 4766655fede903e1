/** Two supervisors on one database: whoever does not own the run follows it all the same. */

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Page, WorkflowView } from "../../../runtime/system.ts";
import { createTestDatabase, type TestDatabase } from "../../support/postgres.ts";
import { buildPlainArchive } from "../../support/sample-archives.ts";
import { newestRun, spawnSupervisor, startSupervisor } from "../../support/supervisor.ts";

let db: TestDatabase;
let folder: string;

beforeAll(async () => {
  db = await createTestDatabase();
  folder = await mkdtemp(join(tmpdir(), "spectra-watch-"));
});
afterAll(async () => {
  await db.drop();
  await rm(folder, { recursive: true, force: true });
});

function start(name: string, ...args: readonly string[]) {
  return startSupervisor(["--data-dir", join(folder, name), ...args], { DATABASE_URL: db.url });
}

test("a second supervisor continues the run of the first, and both end with it", async () => {
  const first = await start("first", "--demo");
  const run = await newestRun(first, "demo");
  // Paused, so that it is unfinished for certain when the second comes; that one resumes it.
  await first.post(`/workflows/${run.id}/pause`);
  const second = await start("second", "--demo");
  const codes = await Promise.all([first.exited, second.exited]);
  expect(second.output()).toContain(`Continuing ${run.title}, run ${run.id}`);
  for (const { output } of [first, second])
    expect(output()).toMatch(/: completed in .* tasks done/);
  expect(codes, `${first.output()}\n${second.output()}`).toEqual([0, 0]);
  const [row] = await db.sql`select count(*)::int as runs from spectra.workflows`;
  expect(row?.["runs"]).toBe(1);
}, 240_000);

test("a second supervisor with another archive refuses, and names the database", async () => {
  const archive = (name: string): string => {
    const path = join(folder, `${name}.sqlite`);
    return buildPlainArchive(path, [{ content: "one" }, { content: "two" }]);
  };
  const serving = await start("third");
  const request = { workflow: "phase1", input: { archive: archive("a") }, startPaused: true };
  await serving.post("/workflows", request);
  const other = spawnSupervisor(
    [
      "--port",
      "0",
      "--data-dir",
      join(folder, "fourth"),
      "--phase",
      "1",
      "--archive",
      archive("b"),
    ],
    { DATABASE_URL: db.url },
  );
  expect(await other.exited).toBe(1);
  expect(other.output()).toContain("is unfinished in this database;");
  expect(other.output()).toContain("set DATABASE_URL to another one");
  const runs = await serving.get<Page<WorkflowView>>("/workflows?workflow=phase1");
  expect(runs.items).toHaveLength(1);
  serving.kill("SIGTERM");
  expect(await serving.exited).toBe(143);
}, 120_000);
