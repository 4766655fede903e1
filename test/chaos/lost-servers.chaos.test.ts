/** Database and queue lost in the middle of Phase 1: the node waits, reconnects, and the phase ends as it should. */

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { TaskView } from "../../runtime/system.ts";
import { smallSampleUrl } from "../support/migrated-archive.ts";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";
import { startRedis } from "../support/redis.ts";
import {
  newestRun,
  type SupervisorProcess,
  startSupervisor,
  tasksOf,
} from "../support/supervisor.ts";
import { openTcpProxy } from "../support/tcp-proxy.ts";

const mails = 1_000;
let folder: string;
let archive: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "spectra-lost-"));
  archive = await smallSampleUrl(mails);
});

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

/** Fails with what the supervisor said when it ends, or gives up a task, before that. */
async function untilRunning(supervisor: SupervisorProcess, key: string): Promise<void> {
  let isOver = false;
  void supervisor.exited.then(() => {
    isOver = true;
  });
  const { id } = await newestRun(supervisor, "phase1");
  for (;;) {
    // While the database is away the API has no answer.
    const tasks: readonly TaskView[] = await tasksOf(supervisor, id).catch(() => []);
    const status = tasks.find((task) => task.key === key)?.status;
    if (status === "running" || status === "succeeded") return;
    const failed = tasks.find((task) => task.status === "failed");
    if (isOver || failed !== undefined)
      throw new Error(`${key} never ran:\n${supervisor.output()}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

async function checkComplete(database: TestDatabase): Promise<void> {
  const [row] = await database.sql`
    select (select count(*)::int from archive.messages) as messages,
      (select count(distinct (conversation_id, source_id))::int from archive.messages) as distinct_messages,
      (select count(*)::int from archive.rejects) as rejects,
      (select status from spectra.workflows) as status,
      (select count(*)::int from spectra.tasks where status = 'succeeded') as done`;
  expect(row).toMatchObject({ status: "completed", done: 18 });
  expect(row?.["messages"] + row?.["rejects"]).toBe(mails);
  expect(row?.["distinct_messages"]).toBe(row?.["messages"]);
}

describe("supervisor", () => {
  test("waits for a database that is cut off three times, and completes", async () => {
    const database = await createTestDatabase();
    const direct = new URL(database.url);
    await using proxy = await openTcpProxy({ host: direct.hostname, port: Number(direct.port) });
    const url = new URL(database.url);
    url.port = String(proxy.port);
    const supervisor = await startSupervisor(
      ["--phase", "1", "--archive", archive, "--data-dir", join(folder, "database")],
      { DATABASE_URL: url.href },
    );
    for (const key of [
      "database_migration_execution",
      "kanzi_cpp_integration",
      "deduplication_implementation",
    ]) {
      await untilRunning(supervisor, key);
      proxy.cut();
      await new Promise((resolve) => setTimeout(resolve, 2_000));
      proxy.heal();
    }
    expect(await supervisor.exited, supervisor.output()).toBe(0);
    await checkComplete(database);
    await database.drop();
  }, 300_000);

  test("goes on when Redis is killed and comes back empty", async () => {
    const database = await createTestDatabase();
    const redis = await startRedis();
    const supervisor = await startSupervisor(
      ["--phase", "1", "--archive", archive, "--data-dir", join(folder, "redis")],
      { DATABASE_URL: database.url, REDIS_URL: redis.url },
    );
    for (const key of ["database_migration_execution", "kanzi_cpp_integration"]) {
      await untilRunning(supervisor, key);
      await redis.restart();
    }
    expect(await supervisor.exited, supervisor.output()).toBe(0);
    await checkComplete(database);
    await redis.stop();
    await database.drop();
  }, 300_000);
});
