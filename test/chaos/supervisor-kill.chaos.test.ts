/**
 * SIGKILL of the supervisor at ten points of Phase 1: the next start continues by itself, and the
 * archive ends exactly as after an undisturbed run.
 */

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Sql } from "postgres";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { TaskView } from "../../runtime/system.ts";
import { smallSampleUrl } from "../support/migrated-archive.ts";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";
import {
  historyOf,
  newestRun,
  type SupervisorProcess,
  startSupervisor,
  tasksOf,
} from "../support/supervisor.ts";

/** 250 of each group: the smallest has no more. */
const mails = 1_250;

/** In the order of the phase. `running`: while the task runs; `after`: between it and its successors. */
const points: readonly {
  readonly task: string;
  readonly moment: "running" | "progress" | "after";
}[] = [
  { task: "phase1_strategic_planning", moment: "running" },
  { task: "database_migration_execution", moment: "running" },
  { task: "database_migration_execution", moment: "progress" },
  { task: "database_migration_execution", moment: "after" },
  { task: "kanzi_cpp_integration", moment: "running" },
  { task: "kanzi_cpp_integration", moment: "progress" },
  { task: "storage_layer_adaptation", moment: "running" },
  { task: "deduplication_implementation", moment: "running" },
  { task: "deduplication_testing", moment: "running" },
  { task: "system_integration_testing", moment: "after" },
];

let archive: string;
let folder: string;
let calm: TestDatabase;
let shaken: TestDatabase;

beforeAll(async () => {
  archive = await smallSampleUrl(mails);
  folder = await mkdtemp(join(tmpdir(), "spectra-chaos-"));
  calm = await createTestDatabase();
  shaken = await createTestDatabase();
}, 120_000);

afterAll(async () => {
  await calm.drop();
  await shaken.drop();
  await rm(folder, { recursive: true, force: true });
});

function start(database: TestDatabase, name: string): Promise<SupervisorProcess> {
  return startSupervisor(["--phase", "1", "--archive", archive, "--data-dir", join(folder, name)], {
    DATABASE_URL: database.url,
  });
}

function hasReached(
  tasks: readonly TaskView[],
  { task, moment }: (typeof points)[number],
): boolean {
  const view = tasks.find(({ key }) => key === task);
  if (view === undefined || view.status === "blocked" || view.status === "ready") return false;
  if (view.status === "succeeded") return true;
  if (moment === "after") return false;
  if (view.status !== "running") return false;
  return moment === "running" || view.progress !== undefined;
}

/** Waits for the point and kills; tells whether the task was still at work then. */
async function killAt(
  supervisor: SupervisorProcess,
  point: (typeof points)[number],
): Promise<TaskView["status"]> {
  const { id } = await newestRun(supervisor, "phase1");
  for (;;) {
    const tasks = await tasksOf(supervisor, id);
    if (hasReached(tasks, point)) {
      supervisor.kill("SIGKILL");
      await supervisor.exited;
      return tasks.find(({ key }) => key === point.task)?.status ?? "blocked";
    }
    const failed = tasks.find(({ status }) => status === "failed");
    if (failed !== undefined)
      throw new Error(`${failed.key} failed: ${JSON.stringify(failed.error)}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** What the archive holds, in figures that do not depend on when things happened. */
async function fingerprint(sql: Sql): Promise<Record<string, unknown>> {
  const [messages] = await sql`
    select count(*)::int as messages, count(distinct (conversation_id, source_id))::int as distinct_messages,
      sum(body_bytes)::text as body_bytes,
      md5(string_agg(id || ':' || source_id || ':' || encode(body_sha256, 'hex'), ',' order by id)) as content
    from archive.messages`;
  const [rejects] = await sql`
    select count(*)::int as rejects, md5(string_agg(position || ':' || reason, ',' order by position)) as reasons
    from archive.rejects`;
  const [totals] = await sql`select sum(read)::int as read, sum(migrated)::int as migrated,
      sum(rejected)::int as rejected from archive.migrations`;
  const [bodies] = await sql`select count(*)::int as compressed, sum(raw_bytes)::text as raw_bytes
    from archive.compressed_bodies`;
  const [raw] = await sql`select count(*)::int as raw_left from archive.bodies`;
  const [clusters] = await sql`
    select count(*)::int as clusters, sum(size)::int as members,
      md5(string_agg(kind || ':' || representative || ':' || size, ',' order by kind, representative)) as shape
    from archive.duplicate_clusters`;
  return { ...messages, ...rejects, ...totals, ...bodies, ...raw, ...clusters };
}

describe("supervisor", () => {
  test("continues Phase 1 after SIGKILL at ten points, and ends as an undisturbed run does", async () => {
    const undisturbed = await start(calm, "calm");
    expect(await undisturbed.exited, undisturbed.output()).toBe(0);
    const expected = await fingerprint(calm.sql);
    expect(expected).toMatchObject({
      messages: expected["distinct_messages"],
      migrated: expected["messages"],
    });

    const statuses: TaskView["status"][] = [];
    for (const point of points) {
      statuses.push(await killAt(await start(shaken, "shaken"), point));
    }
    // The kills hit work in progress, not only its end.
    expect(statuses.filter((status) => status === "running").length).toBeGreaterThanOrEqual(5);
    const last = await start(shaken, "shaken");
    const run = await newestRun(last, "phase1");
    const history = await historyOf(last, run.id);
    expect(await last.exited, last.output()).toBe(0);
    expect(last.output()).toContain("Continuing");
    expect(await fingerprint(shaken.sql)).toEqual(expected);
    expect(history.map(({ seq }) => seq)).toEqual(history.map((_, index) => index + 1));
    expect(history.some(({ type }) => type === "task.lost")).toBe(true);
  }, 600_000);
});
