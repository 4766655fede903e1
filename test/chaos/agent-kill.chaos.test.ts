/** Death of an agent's thread in mid-task: the task is retried, the result is that of a calm run. */

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { AgentView } from "../../runtime/system.ts";
import { smallSampleUrl } from "../support/migrated-archive.ts";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";
import { historyOf, newestRun, startSupervisor, tasksOf } from "../support/supervisor.ts";

/** 250 of each group: the smallest has no more. */
const mails = 1_250;
const victims = [
  "database_migration_execution",
  "kanzi_cpp_integration",
  "deduplication_implementation",
];

let folder: string;
let database: TestDatabase;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "spectra-agent-kill-"));
  database = await createTestDatabase();
});

afterAll(async () => {
  await database.drop();
  await rm(folder, { recursive: true, force: true });
});

describe("agents", () => {
  test("die in the middle of three tasks of Phase 1, which ends with every message once", async () => {
    const archive = await smallSampleUrl(mails);
    const supervisor = await startSupervisor(
      ["--phase", "1", "--archive", archive, "--data-dir", folder],
      {
        DATABASE_URL: database.url,
      },
    );
    const { id } = await newestRun(supervisor, "phase1");
    for (const key of victims) {
      for (;;) {
        const task = (await tasksOf(supervisor, id)).find((candidate) => candidate.key === key);
        expect(task?.status, supervisor.output()).not.toMatch(/succeeded|failed|cancelled/);
        if (task?.status === "running") {
          await supervisor.post<AgentView>(`/agents/${task.agent}/kill`, { reason: "chaos" });
          break;
        }
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    }
    let attempts = new Map<string, number>();
    let retried: unknown[] = [];
    let isOver = false;
    void supervisor.exited.then(() => {
      isOver = true;
    });
    while (!isOver) {
      const tasks = await tasksOf(supervisor, id).catch(() => []);
      if (tasks.length === 0) break;
      attempts = new Map(tasks.map((task) => [task.key, task.attempt]));
      const history = await historyOf(supervisor, id).catch(() => []);
      if (history.length > 0) retried = history.filter(({ type }) => type === "task.retrying");
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    expect(await supervisor.exited, supervisor.output()).toBe(0);
    for (const key of victims) expect(attempts.get(key), key).toBeGreaterThanOrEqual(2);
    expect(JSON.stringify(retried)).toContain("AGENT_DIED");
    const [row] = await database.sql`
      select (select count(*)::int from archive.messages) as messages,
        (select count(distinct (conversation_id, source_id))::int from archive.messages) as distinct_messages,
        (select count(*)::int from archive.rejects) as rejects,
        (select sum(read)::int from archive.migrations) as read,
        (select count(*)::int from archive.compressed_bodies) as compressed`;
    expect(row?.["distinct_messages"]).toBe(row?.["messages"]);
    expect(row?.["compressed"]).toBe(row?.["messages"]);
    expect(row?.["read"]).toBe(mails);
    expect(row?.["messages"] + row?.["rejects"]).toBe(mails);
  }, 300_000);
});
