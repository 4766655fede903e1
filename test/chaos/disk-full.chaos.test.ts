/** The disk fills up in the middle of the migration: the node says so and ends; with room again, the same run goes on. */

import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { WorkflowView } from "../../runtime/system.ts";
import { sampleUrl } from "../support/migrated-archive.ts";
import { figuresOf, type PhaseReportView, reportOf } from "../support/phase-report.ts";
import { openSmallDisk } from "../support/small-disk.ts";
import {
  newestRun,
  type SupervisorProcess,
  startSupervisor,
  tasksOf,
} from "../support/supervisor.ts";

const mails = 6_046;
const migration = "database_migration_execution";
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "spectra-disk-"));
  // As root the server runs as nobody, who must be able to pass through.
  await chmod(folder, 0o755);
});

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

/** Resolves with the run's id once its migration is at work. */
async function untilMigrating(supervisor: SupervisorProcess): Promise<string> {
  const { id } = await newestRun(supervisor, "phase1");
  for (;;) {
    const task = (await tasksOf(supervisor, id)).find(({ key }) => key === migration);
    if (task?.status === "running") return id;
    expect(task?.status, supervisor.output()).toMatch(/blocked|ready|dispatched/);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

async function stop(supervisor: SupervisorProcess): Promise<void> {
  supervisor.kill("SIGTERM");
  expect(await supervisor.exited, supervisor.output()).toBe(143);
}

const statusOf = async (supervisor: SupervisorProcess, id: string): Promise<string> =>
  (await supervisor.get<WorkflowView>(`/workflows/${id}`)).status;

/** What a user does: an open run is continued by the same command, a failed one is retried. */
async function finish(id: string, dataDir: string, args: readonly string[]): Promise<void> {
  const idle = await startSupervisor(["--data-dir", dataDir]);
  if ((await statusOf(idle, id)) === "failed") {
    await idle.post(`/workflows/${id}/retry`);
    await expect
      .poll(() => statusOf(idle, id), { timeout: 120_000, interval: 200 })
      .not.toMatch(/pending|running/);
    expect(await statusOf(idle, id), idle.output()).toBe("completed");
    await stop(idle);
    return;
  }
  await stop(idle);
  const second = await startSupervisor(args);
  expect(await second.exited, second.output()).toBe(0);
  expect(second.output()).toContain("Continuing");
  expect(second.output()).toContain(id);
}

function checkCounts(report: PhaseReportView, id: string): void {
  expect(report.workflowId).toBe(id);
  expect(report.archive).toMatchObject({ read: mails, migrated: mails, rejected: 0 });
  expect(figuresOf(report, migration)).toMatchObject({ read: mails, migrated: mails });
  // Counted in the tables by the later tasks: a batch that came twice would show.
  expect(figuresOf(report, "performance_baseline_establishment")).toMatchObject({
    size: { messages: mails },
  });
  expect(figuresOf(report, "storage_layer_adaptation")).toMatchObject({
    compressedBodies: mails,
    verified: mails,
  });
}

describe("supervisor", () => {
  test("says that the disk is full, and goes on with the same run once there is room", async () => {
    await using disk = await openSmallDisk(join(folder, "disk"), 400);
    const dataDir = join(disk.path, "data");
    await stop(await startSupervisor(["--data-dir", dataDir]));
    const args = ["--phase", "1", "--archive", await sampleUrl(), "--data-dir", dataDir];
    const first = await startSupervisor(args);
    const id = await untilMigrating(first);
    // Less than the migration has still to write.
    disk.squeeze(4);
    expect(await first.exited, first.output()).not.toBe(0);
    expect(first.output()).toMatch(/disk .*full/i);
    disk.resize(400);
    await finish(id, dataDir, args);

    const last = await startSupervisor(["--data-dir", dataDir]);
    const runs = await last.get<{ items: WorkflowView[] }>("/workflows?workflow=phase1");
    expect(runs.items.map((run) => ({ id: run.id, status: run.status }))).toEqual([
      { id, status: "completed" },
    ]);
    const tasks = await tasksOf(last, id);
    expect(tasks.filter(({ status }) => status === "succeeded")).toHaveLength(18);
    expect(tasks.find(({ key }) => key === migration)?.attempt).toBeGreaterThanOrEqual(2);
    checkCounts(await reportOf(last, id), id);
    await stop(last);
  }, 300_000);
});
