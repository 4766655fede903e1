/**
 * SIGKILL of the supervisor at ten points of Phase 1: the next start continues by itself, and the
 * archive ends exactly as after an undisturbed run.
 */

import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Sql } from "postgres";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { TaskView } from "../../runtime/system.ts";
import { smallSampleUrl } from "../support/migrated-archive.ts";
import { countsOf, reportBelow } from "../support/phase-report.ts";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";
import {
  historyOf,
  newestRun,
  processesOf,
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
  // As root the embedded server runs as nobody, who must be able to pass through.
  await chmod(folder, 0o755);
  calm = await createTestDatabase();
  shaken = await createTestDatabase();
  const undisturbed = await start(calm, "calm");
  expect(await undisturbed.exited, undisturbed.output()).toBe(0);
}, 180_000);

afterAll(async () => {
  await calm.drop();
  await shaken.drop();
  await rm(folder, { recursive: true, force: true });
});

/** Without a database the supervisor starts its own. */
function start(database: TestDatabase | undefined, name: string): Promise<SupervisorProcess> {
  return startSupervisor(
    ["--phase", "1", "--archive", archive, "--data-dir", join(folder, name)],
    database === undefined ? {} : { DATABASE_URL: database.url },
  );
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

  test("continues on its own server after SIGKILL at three points, and leaves no process", async () => {
    const tasks = [
      "database_migration_execution",
      "kanzi_cpp_integration",
      "deduplication_implementation",
    ];
    for (const task of tasks) {
      const status = await killAt(await start(undefined, "own"), { task, moment: "running" });
      expect(status, task).toBe("running");
    }
    const last = await start(undefined, "own");
    expect(await last.exited, last.output()).toBe(0);
    expect(last.output()).toContain("Continuing");
    const expected = countsOf(await reportBelow(join(folder, "calm")));
    expect(countsOf(await reportBelow(join(folder, "own")))).toEqual(expected);
    expect(processesOf(join(folder, "own"))).toEqual([]);
  }, 300_000);
});
