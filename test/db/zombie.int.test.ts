/**
 * Whoever has lost its right writes nothing: every path on which a node writes state, tried by a node
 * that was taken for dead, or by an attempt that was given up.
 */

import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createAttemptRepo } from "../../db/attempt-repo.ts";
import { type OpenDatabase, openDatabase } from "../../db/database.ts";
import { migrateDatabase } from "../../db/migrate.ts";
import { createNodeRepo } from "../../db/node-repo.ts";
import { createRunRepo } from "../../db/run-repo.ts";
import { createScheduleRepo } from "../../db/schedule-repo.ts";
import { type CommittedRun, createTurnRepo, OwnershipLostError } from "../../db/turn-repo.ts";
import type { Json } from "../../machines/error-code.ts";
import { derive, initialRun } from "../../machines/run/state.ts";
import { beginTurn } from "../../machines/run/turn.ts";
import { newScheduleState } from "../../machines/schedule.ts";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";
import { event, planOf } from "../support/run-events.ts";

const zombie = "node-a#1";
const heir = "node-b#1";
const plan = planOf({ main: { a: {} } });

let database: TestDatabase;
let opened: OpenDatabase;
let made = 0;

beforeAll(async () => {
  database = await createTestDatabase();
  const target = { type: "url", url: database.url } as const;
  await migrateDatabase(target, fileURLToPath(new URL("../../db/migrations", import.meta.url)));
  opened = openDatabase(target);
  await createNodeRepo(opened.db).register(heir, "node-b");
});

afterAll(async () => {
  await opened.close();
  await database.drop();
});

/** A run whose first turn the zombie has ready, and which the heir has taken over meanwhile. */
async function takenOver(): Promise<{ id: string; turn: CommittedRun }> {
  made += 1;
  const id = `run-${made}`;
  const runs = createRunRepo(opened.db);
  await runs.insert({
    run: initialRun(id, plan),
    workflow: "w",
    title: "W",
    definitionHash: "hash",
    definition: {},
    input: {},
    idempotencyKey: null,
    actions: new Map(),
    owner: zombie,
    startEvent: { type: "run.start", paused: false, by: "test" },
  });
  const [loaded] = await runs.load(zombie, [id]);
  if (loaded === undefined) throw new Error(`${id} is not the zombie's`);
  const state = { ...loaded.run, outputs: new Map(), ...derive(loaded.run.tasks.values(), plan) };
  const turn = beginTurn(state, plan);
  turn.apply(event.start);
  turn.apply(event.dispatch("a"));
  expect(await runs.claim(heir, 10)).toEqual([id]);
  const slot = { pool: "global", workflowId: id, taskKey: "a", attempt: 1, limit: 10 };
  return {
    id,
    turn: {
      run: turn.run(),
      epoch: 1,
      journal: turn.journal(),
      effects: turn.effects() as unknown as Json[],
      timers: new Map([["t", { event: {}, dueAtMs: 1, remainingMs: null }]]),
      tasks: [...turn.changed().values()],
      actions: new Map(),
      claims: { slots: [slot], rates: [] },
    },
  };
}

/** All that is stored of a run. */
async function stored(id: string): Promise<unknown> {
  return await database.sql`
    select to_jsonb(w) as run,
      (select jsonb_agg(to_jsonb(x) order by x.key) from spectra.tasks x where x.workflow_id = w.id) as tasks,
      (select jsonb_agg(to_jsonb(x)) from spectra.journal x where x.workflow_id = w.id) as journal,
      (select jsonb_agg(to_jsonb(x)) from spectra.mailbox x where x.workflow_id = w.id) as mailbox,
      (select jsonb_agg(to_jsonb(x)) from spectra.outbox x where x.workflow_id = w.id) as outbox,
      (select jsonb_agg(to_jsonb(x)) from spectra.timers x where x.workflow_id = w.id) as timers,
      (select jsonb_agg(to_jsonb(x)) from spectra.slots x where x.workflow_id = w.id) as slots
    from spectra.workflows w where w.id = ${id}`;
}

describe("a node that was taken for dead", () => {
  test("commits no turn: no state, journal, timer, outbox row or slot, and consumes no mail", async () => {
    const { id, turn } = await takenOver();
    const turns = createTurnRepo(opened.db);
    const { events } = await turns.pending(heir, 10);
    const mail = events.filter(({ workflowId }) => workflowId === id);
    expect(mail).toHaveLength(1);
    const before = await stored(id);
    for (const [incarnation, epoch] of [
      [zombie, 1],
      [zombie, 2],
      [heir, 1],
    ] as const) {
      const commit = turns.commit(incarnation, [{ ...turn, epoch }], mail);
      await expect(commit).rejects.toBeInstanceOf(OwnershipLostError);
    }
    expect(await stored(id)).toEqual(before);
    // The same turn of its owner is written: it was the fence that refused it.
    await turns.commit(heir, [{ ...turn, epoch: 2 }], mail);
    expect(await stored(id)).not.toEqual(before);
  });

  test("parks no run", async () => {
    const { id } = await takenOver();
    const error = { name: "Error", code: "X", message: "x", retryable: false };
    const before = await stored(id);
    const turns = createTurnRepo(opened.db);
    expect(await turns.park(zombie, id, 1, error)).toBe(false);
    expect(await turns.park(heir, id, 1, error)).toBe(false);
    expect(await stored(id)).toEqual(before);
    expect(await turns.park(heir, id, 2, error)).toBe(true);
  });

  test("takes no run back while its heir lives", async () => {
    const { id } = await takenOver();
    const runs = createRunRepo(opened.db);
    const nodes = createNodeRepo(opened.db);
    await nodes.register(zombie, "node-a");
    expect(await runs.claim(zombie, 10)).not.toContain(id);
    await runs.adopt(id, zombie);
    expect(await runs.owner(id)).toEqual({ owner: heir });
    await nodes.release(zombie);
  });

  test("decides about no schedule that another node has decided about", async () => {
    const repo = createScheduleRepo(opened.db);
    const spec = { workflow: "w", everyMs: 1_000 };
    const state = newScheduleState(spec, 0);
    await repo.insert({ id: "s", spec, state, nextAtMs: 1 });
    const revision = (await repo.get("s"))?.revision ?? -1;
    const commit = { id: "s", spec, state, fires: [], revision };
    expect(await repo.commit({ ...commit, nextAtMs: 2 })).toBe(true);
    expect(await repo.commit({ ...commit, nextAtMs: 3 })).toBe(false);
    const [row] = await database.sql`
      select extract(epoch from next_at)::float8 * 1000 as ms from spectra.schedules where id = 's'`;
    expect(row).toEqual({ ms: 2 });
  });
});

describe("an attempt that was given up", () => {
  test("cannot be claimed, stores no checkpoint, and is told that it is stale", async () => {
    const { id, turn } = await takenOver();
    await createTurnRepo(opened.db).commit(heir, [{ ...turn, epoch: 2 }], []);
    const attempts = createAttemptRepo(opened.db);
    const key = { workflowId: id, taskKey: "a", attempt: 1 };
    expect(await attempts.take([key], heir)).toMatchObject([{ taken: true, node: null }]);
    expect(await attempts.take([key], zombie)).toMatchObject([
      { taken: false, node: heir, nodeAlive: true },
    ]);
    await database.sql`update spectra.tasks set node = 'node-x#1' where workflow_id = ${id}`;
    // Whoever had it is dead: however often its job comes, nobody runs that attempt again.
    for (const _ of [1, 2]) {
      expect(await attempts.take([key], heir)).toMatchObject([
        { taken: false, node: "node-x#1", nodeAlive: false },
      ]);
    }
    await database.sql`update spectra.tasks set attempt = 2, node = null where workflow_id = ${id}`;
    const before = await stored(id);
    expect(await attempts.take([key], zombie)).toMatchObject([{ taken: false, attempt: 2 }]);
    expect(await attempts.checkpoint(key, { from: "a zombie" })).toBe(false);
    expect(await attempts.stale([key])).toEqual([key]);
    expect(await stored(id)).toEqual(before);
  });
});
