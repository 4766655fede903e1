/** Restarts outlive the process: a crash loop that takes the process with it is bounded all the same. */

import { afterAll, beforeAll, expect, test } from "vitest";
import { type OpenDatabase, openDatabase } from "../../../db/database.ts";
import { migrateDatabase } from "../../../db/migrate.ts";
import { createRestartCounterRepo } from "../../../db/restart-counter-repo.ts";
import { createRestartMemory } from "../../../runtime/node/restart-memory.ts";
import { nursery, quietLog, settle, statuses } from "../../support/nursery.ts";
import { createTestDatabase, type TestDatabase } from "../../support/postgres.ts";

let db: TestDatabase;
let database: OpenDatabase;

beforeAll(async () => {
  db = await createTestDatabase();
  const target = { type: "url", url: db.url } as const;
  await migrateDatabase(target, new URL("../../../db/migrations", import.meta.url).pathname);
  database = openDatabase(target);
});
afterAll(async () => {
  await database.close();
  await db.drop();
});

/** A process of node `node` with one supervisor of one child; `leave` ends it as SIGKILL would. */
async function startProcess(node: string, atMs: number) {
  const n = nursery();
  n.timers.set(atMs);
  const repo = createRestartCounterRepo(database.db, node);
  const memory = createRestartMemory(async () => repo, quietLog);
  const supervisor = await n.supervise([n.spec("child")], {
    tree: { memory },
    intensity: { maxRestarts: 2, periodMs: 10_000 },
  });
  await memory.flush();
  await settle();
  return { ...n, memory, repo, supervisor };
}

test("a supervisor that starts anew remembers the restarts of its period", async () => {
  const first = await startProcess("loop", 0);
  await first.exit("child");
  await first.pass(100);
  await first.exit("child");
  await first.memory.flush();
  expect(await first.repo.load("/root")).toEqual({ restartsAt: [0, 100], children: { child: 2 } });
  // Killed: nobody stopped it. The next process is 5 s later.
  const second = await startProcess("loop", 5_000);
  expect(second.supervisor.whichChildren()).toMatchObject([{ status: "running", restarts: 2 }]);
  await second.exit("child");
  expect(await second.supervisor.exited).toMatchObject({ error: { code: "RESTART_INTENSITY" } });
  await second.memory.flush();
  // Who gave up has told its parent; the next start is a fresh one.
  expect(await second.repo.load("/root")).toBeUndefined();
});

test("after its period, a restart counts no more; it is still shown", async () => {
  const first = await startProcess("later", 0);
  await first.exit("child");
  await first.pass(100);
  await first.exit("child");
  await first.memory.flush();
  const second = await startProcess("later", 10_101);
  for (let turn = 0; turn < 2; turn += 1) {
    await second.exit("child");
    await second.pass(1_000);
  }
  expect(second.supervisor.whichChildren()).toMatchObject([{ status: "running", restarts: 4 }]);
  await second.supervisor.stop();
});

test("an orderly stop and a restart by hand forget them", async () => {
  for (const how of ["stop", "restart"] as const) {
    const first = await startProcess(`forgets-${how}`, 0);
    await first.exit("child");
    await first.pass(100);
    await first.memory.flush();
    expect(await first.repo.load("/root")).toBeDefined();
    if (how === "stop") await first.supervisor.stop();
    else first.supervisor.restartChild("child");
    await settle();
    await first.memory.flush();
    expect(await first.repo.load("/root")).toBeUndefined();
  }
});

test("a store that does not answer holds up nobody", async () => {
  const n = nursery();
  const memory = createRestartMemory(async () => {
    throw new Error("the database is away");
  }, quietLog);
  const supervisor = await n.supervise([n.spec("child")], { tree: { memory } });
  await n.exit("child");
  await n.pass(100);
  expect(statuses(supervisor)).toEqual(["child running"]);
  await supervisor.stop();
  await memory.flush();
});

test("of many changes while the store is slow only the newest is written", async () => {
  let writes = 0;
  const repo = createRestartCounterRepo(database.db, "slow");
  let open: () => void = () => undefined;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  const memory = createRestartMemory(async () => {
    await opened;
    return {
      ...repo,
      save: (address, counters) => {
        writes += 1;
        return repo.save(address, counters);
      },
    };
  }, quietLog);
  for (let count = 1; count <= 100; count += 1)
    memory.save("/a", { restartsAt: [count], children: { child: count } });
  open();
  await memory.flush();
  expect(writes).toBe(1);
  expect(await repo.load("/a")).toEqual({ restartsAt: [100], children: { child: 100 } });
});
