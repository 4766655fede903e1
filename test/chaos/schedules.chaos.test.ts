/**
 * SIGKILL of real supervisors around due times: two on one database, then one, then none for a while.
 * Each second of the schedule has exactly one run.
 */

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { ScheduleView } from "../../runtime/system.ts";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";
import { expectEachOnce, firesOf } from "../support/schedule-fires.ts";
import { soon } from "../support/soon.ts";
import { type SupervisorProcess, startSupervisor } from "../support/supervisor.ts";

const limitMs = 120_000;
const schedule = {
  id: "seconds",
  workflow: {
    id: "tick",
    tasks: { only: { do: "DATASCIENCE.profile_text", with: { text: "tick" } } },
  },
  everyMs: 1_000,
  overlap: "allowAll",
};

let database: TestDatabase;
let folder: string;

beforeAll(async () => {
  database = await createTestDatabase();
  folder = await mkdtemp(join(tmpdir(), "spectra-schedules-"));
});

afterAll(async () => {
  await database.drop();
  await rm(folder, { recursive: true, force: true });
});

function start(name: string): Promise<SupervisorProcess> {
  return startSupervisor(["--data-dir", join(folder, name)], { DATABASE_URL: database.url });
}

async function untilMore(count: number): Promise<void> {
  const seen = async () => (await firesOf(database.sql, schedule.id)).length;
  const before = await seen();
  await soon(seen, limitMs).toBeGreaterThan(before + count);
}

/** The moment of death: right around the next full second. */
async function killAtSecond(supervisor: SupervisorProcess, offsetMs: number): Promise<void> {
  const waitMs = 1_000 - (Date.now() % 1_000) + offsetMs;
  await new Promise((resolve) => setTimeout(resolve, waitMs));
  supervisor.kill("SIGKILL");
  await supervisor.exited;
}

test("no time is lost and none comes twice when supervisors are killed around it", async () => {
  const [first, second] = await Promise.all([start("first"), start("second")]);
  await first.post<ScheduleView>("/schedules", schedule);
  await untilMore(3);
  await killAtSecond(first, -5);
  await untilMore(3);
  await killAtSecond(second, 5);
  // Now nobody is there until the next one has started.
  const third = await start("first");
  await untilMore(3);
  await killAtSecond(third, 20);
  const last = await start("second");
  await untilMore(3);
  const view = () => last.get<ScheduleView>(`/schedules/${schedule.id}`);
  await last.post(`/schedules/${schedule.id}/pause`);
  await soon(async () => (await view()).open, limitMs).toEqual([]);
  await expectEachOnce(database.sql, schedule.id);
  const { counts } = await view();
  expect(counts).toMatchObject({ skipped: 0, missed: 0, failed: 0, completed: counts.started });
  last.kill("SIGTERM");
  expect(await last.exited, last.output()).toBe(143);
}, 400_000);
