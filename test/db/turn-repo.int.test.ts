import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type AttemptRepo, createAttemptRepo } from "../../db/attempt-repo.ts";
import { type OpenDatabase, openDatabase } from "../../db/database.ts";
import { migrateDatabase } from "../../db/migrate.ts";
import { createNodeRepo, type NodeRepo } from "../../db/node-repo.ts";
import { createRunRepo, type RunRepo } from "../../db/run-repo.ts";
import {
  type CommittedRun,
  createTurnRepo,
  OwnershipLostError,
  type TurnRepo,
} from "../../db/turn-repo.ts";
import type { Json } from "../../machines/error-code.ts";
import { derive, initialRun, type RunState, type RunTimer } from "../../machines/run/state.ts";
import { beginTurn } from "../../machines/run/turn.ts";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";
import { event, planOf } from "../support/run-events.ts";

const me = "node-a#1";
const other = "node-b#1";
const plan = planOf({ main: { a: {}, b: { after: ["a"] } } });

let database: TestDatabase;
let opened: OpenDatabase;
let runs: RunRepo;
let turns: TurnRepo;
let attempts: AttemptRepo;
let nodes: NodeRepo;
let made = 0;

beforeAll(async () => {
  database = await createTestDatabase();
  const target = { type: "url", url: database.url } as const;
  await migrateDatabase(target, fileURLToPath(new URL("../../db/migrations", import.meta.url)));
  opened = openDatabase(target);
  runs = createRunRepo(opened.db);
  turns = createTurnRepo(opened.db);
  attempts = createAttemptRepo(opened.db);
  nodes = createNodeRepo(opened.db);
});

afterAll(async () => {
  await opened.close();
  await database.drop();
});

async function newRun(owner = me): Promise<string> {
  made += 1;
  const id = `run-${made}`;
  await runs.insert({
    run: initialRun(id, plan),
    workflow: "w",
    title: "W",
    definitionHash: "hash",
    definition: {},
    input: {},
    idempotencyKey: null,
    actions: new Map(),
    owner,
    startEvent: { type: "run.start", paused: false, by: "test" },
  });
  return id;
}

async function stateOf(id: string): Promise<RunState> {
  const [loaded] = await runs.load(me, [id]);
  if (loaded === undefined) throw new Error(`${id} is not owned by ${me}`);
  return { ...loaded.run, outputs: new Map(), ...derive(loaded.run.tasks.values(), plan) };
}

/** Start and first dispatch of the run, as a turn commits them. */
function firstTurn(before: RunState, change: Partial<CommittedRun> = {}): CommittedRun {
  const turn = beginTurn(before, plan);
  turn.apply(event.start);
  turn.apply(event.dispatch("a"));
  return {
    run: turn.run(),
    epoch: 1,
    journal: turn.journal(),
    effects: turn.effects() as unknown as Json[],
    timers: new Map(),
    tasks: [...turn.changed().values()],
    actions: new Map(),
    ...change,
  };
}

async function rowsOf(id: string): Promise<Record<string, number>> {
  const [row] = await database.sql<Record<string, number>[]>`select
    (select count(*)::int from spectra.mailbox where workflow_id = ${id}) as mailbox,
    (select count(*)::int from spectra.journal where workflow_id = ${id}) as journal,
    (select count(*)::int from spectra.outbox where workflow_id = ${id}) as outbox,
    (select count(*)::int from spectra.timers where workflow_id = ${id}) as timers`;
  return { ...row };
}

describe("commit()", () => {
  test("writes state, journal, tasks and outbox, and consumes the mail, all at once", async () => {
    const id = await newRun();
    const { events } = await turns.pending(me, 500);
    const mail = events.filter(({ workflowId }) => workflowId === id);
    const outgoing = await turns.commit(me, [firstTurn(await stateOf(id))], mail);
    expect(outgoing).toMatchObject([{ workflowId: id, effect: { taskKey: "a", attempt: 1 } }]);
    const turn = beginTurn(initialRun(id, plan), plan);
    turn.apply(event.start);
    turn.apply(event.dispatch("a"));
    expect(await stateOf(id)).toEqual(turn.state());
    expect(await rowsOf(id)).toEqual({ mailbox: 0, journal: 4, outbox: 1, timers: 0 });
    expect(await turns.outgoing(me)).toEqual(outgoing);
    await turns.performed(outgoing.map(({ outboxId }) => outboxId));
    expect(await rowsOf(id)).toMatchObject({ outbox: 0 });
  });

  test("of a former owner writes nothing at all, also for the runs that it still owns", async () => {
    const kept = await newRun();
    const lost = await newRun();
    const batch = [firstTurn(await stateOf(kept)), firstTurn(await stateOf(lost))];
    await database.sql`update spectra.workflows set owner = ${other}, epoch = epoch + 1
      where id = ${lost}`;
    const { events } = await turns.pending(me, 500);
    const refused = await turns.commit(me, batch, events).catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(OwnershipLostError);
    expect((refused as OwnershipLostError).workflowIds).toEqual([lost]);
    for (const id of [kept, lost]) {
      expect(await rowsOf(id)).toEqual({ mailbox: 1, journal: 0, outbox: 0, timers: 0 });
    }
    expect((await stateOf(kept)).status).toBe("pending");
  });

  test("of an old epoch writes nothing, also when the node owns the run again", async () => {
    const id = await newRun();
    const batch = [firstTurn(await stateOf(id))];
    await database.sql`update spectra.workflows set epoch = epoch + 2 where id = ${id}`;
    await expect(turns.commit(me, batch, [])).rejects.toMatchObject({ code: "OWNERSHIP_LOST" });
    expect(await rowsOf(id)).toMatchObject({ journal: 0, outbox: 0 });
  });

  test("stores outputs that Postgres could not hold, with the mark for what is missing", async () => {
    const id = await newRun();
    const output = { "k\u0000": "a\u0000b", cut: "😀".slice(0, 1), text: "\\u0000", whole: "😀" };
    const turn = firstTurn(await stateOf(id));
    const tasks = turn.tasks.map((task) => ({
      isNew: false,
      state: { ...task.state, status: "succeeded" as const },
      output: task.state.key === "a" ? output : undefined,
    }));
    await turns.commit(me, [{ ...turn, tasks }], []);
    const [row] = await attempts.outputs(id, ["a"]);
    expect(row?.output).toEqual({
      "k\ufffd": "a\ufffdb",
      cut: "\ufffd",
      text: "\\u0000",
      whole: "😀",
    });
  });

  test("sets a timer, moves it when it is set again, and removes it when it has fired", async () => {
    const id = await newRun();
    const retry = { type: "retry.due", taskKey: "a", attempt: 1 };
    const timer = (dueAtMs: number): ReadonlyMap<string, RunTimer> =>
      new Map([["retry/a", { event: retry, dueAtMs, remainingMs: null }]]);
    const first = firstTurn(await stateOf(id), { timers: timer(Date.now() + 3_600_000) });
    await turns.commit(me, [first], []);
    expect((await turns.pending(me, 500)).nextDueMs).toBeGreaterThan(Date.now());
    await turns.commit(me, [{ ...first, journal: [], effects: [], timers: timer(1_000) }], []);
    const fired = (await turns.pending(me, 500)).events.filter(({ timerKey }) => timerKey !== null);
    expect(fired).toMatchObject([{ workflowId: id, timerKey: "retry/a", atMs: 1_000 }]);
    await turns.commit(me, [{ ...first, journal: [], effects: [], timers: new Map() }], fired);
    expect(await rowsOf(id)).toMatchObject({ timers: 0 });
  });
});

describe("pending()", () => {
  test("gives due timers in the order of their time, then mail in the order of its arrival", async () => {
    const owner = "node-order#1";
    const id = await newRun(owner);
    for (const [key, dueAtMs] of [
      ["late", 2_000],
      ["early", 1_000],
      ["future", 9e12],
    ] as const) {
      await database.sql`insert into spectra.timers (workflow_id, key, event, due_at)
        values (${id}, ${key}, '{}', to_timestamp(${dueAtMs} / 1000.0))`;
    }
    for (const n of [1, 2, 3]) await turns.post(id, { n }, `${id}/${n}`);
    const { events, nextDueMs, nowMs } = await turns.pending(owner, 500);
    const names = events.map(({ timerKey, event: given }) => {
      const { n, type } = given as { n?: number; type?: string };
      return timerKey ?? n ?? type;
    });
    expect(names).toEqual(["early", "late", "run.start", 1, 2, 3]);
    expect(nextDueMs).toBe(9e12);
    expect(Math.abs(nowMs - Date.now())).toBeLessThan(60_000);
  });

  test("gives no more mail than the limit, the oldest first, and only of runs that the node owns", async () => {
    const owner = "node-limit#1";
    const id = await newRun(owner);
    for (let n = 1; n <= 5; n += 1) await turns.post(id, { n }, `${id}/${n}`);
    const { events } = await turns.pending(owner, 3);
    expect(events.map(({ event: given }) => given)).toMatchObject([
      { type: "run.start" },
      { n: 1 },
      { n: 2 },
    ]);
    expect((await turns.pending("nobody#1", 500)).events).toEqual([]);
  });
});

describe("post()", () => {
  test("takes an event once for each dedupe key, also when many post it together", async () => {
    const id = await newRun();
    const answers = await Promise.all(
      Array.from({ length: 8 }, () => turns.post(id, { type: "x" }, `${id}/same`)),
    );
    expect(answers.filter((posted) => posted)).toHaveLength(1);
    expect(await turns.isWaiting(`${id}/same`)).toBe(true);
    expect(await turns.isWaiting(`${id}/other`)).toBe(false);
    expect(await rowsOf(id)).toMatchObject({ mailbox: 2 });
  });

  test("takes an event with text that Postgres could not hold", async () => {
    const id = await newRun("node-text#1");
    await turns.post(id, { output: "cut \ud83d and \u0000" }, `${id}/text`);
    const { events } = await turns.pending("node-text#1", 500);
    expect(events.at(-1)?.event).toEqual({ output: "cut \ufffd and \ufffd" });
  });
});

describe("times()", () => {
  test("are those of the run's tasks alone, in the order in which they began", async () => {
    const id = await newRun();
    await newRun();
    await turns.commit(me, [firstTurn(await stateOf(id))], []);
    const startedAt = new Date("2024-01-01T00:00:00.500Z");
    const finishedAt = new Date("2024-01-01T00:00:02.000Z");
    await database.sql`
      update spectra.tasks set started_at = ${startedAt}, finished_at = ${finishedAt}
      where workflow_id = ${id} and key = 'a'`;
    expect(await attempts.times(id)).toEqual([
      { key: "a", startedAt, finishedAt, attempt: 1 },
      { key: "b", startedAt: null, finishedAt: null, attempt: 0 },
    ]);
  });
});

describe("checkpoint()", () => {
  test("is kept for the running attempt, and refused for any other", async () => {
    const id = await newRun();
    await turns.commit(me, [firstTurn(await stateOf(id))], []);
    const key = { workflowId: id, taskKey: "a", attempt: 1 };
    expect(await attempts.checkpoint(key, { at: "1\u0000" })).toBe(true);
    expect(await attempts.checkpoint({ ...key, attempt: 2 }, { at: "2" })).toBe(false);
    expect(await attempts.checkpoint({ ...key, taskKey: "b", attempt: 0 }, {})).toBe(false);
    expect((await attempts.read(id, "a"))?.checkpoint).toEqual({ at: "1\ufffd" });
    const stale = [
      { ...key, attempt: 0 },
      { ...key, taskKey: "gone" },
    ];
    expect(await attempts.stale([key, ...stale])).toEqual(stale);

    await database.sql`update spectra.tasks set status = 'cancelled' where workflow_id = ${id}`;
    expect(await attempts.checkpoint(key, {})).toBe(false);
    expect(await attempts.stale([key])).toEqual([key]);
  });
});

describe("claim()", () => {
  test("takes each open run of a dead node once, with a new epoch, and leaves those of the living", async () => {
    await nodes.register(me, "node-a");
    const living = await newRun();
    const orphans = await Promise.all([1, 2, 3, 4].map(() => newRun("node-dead#1")));
    await database.sql`update spectra.workflows set status = 'running'
      where id = any(${orphans})`;
    await database.sql`update spectra.workflows set owner = ${me}
      where not id = any(${orphans})`;
    const takers = ["taker-1#1", "taker-2#1"];
    for (const taker of takers) await nodes.register(taker, taker);
    const claims = await Promise.all(takers.map((taker) => runs.claim(taker, 3)));
    expect(claims.flat().sort()).toEqual([...orphans].sort());
    expect(claims.flat()).not.toContain(living);
    const epochs = await database.sql<{ epoch: string }[]>`
      select distinct epoch from spectra.workflows where id = any(${orphans})`;
    expect(epochs.map(({ epoch }) => Number(epoch))).toEqual([2]);
  });
});

describe("adopt()", () => {
  test("leaves a run that the node owns already as it is, so that its memory stays true", async () => {
    const id = await newRun("node-adopt#1");
    await runs.adopt(id, "node-adopt#1");
    await runs.load("node-adopt#1", [id]).then(([loaded]) => expect(loaded?.epoch).toBe(1));
    await runs.adopt(id, me);
    expect(await runs.owner(id)).toEqual({ owner: me });
  });
});

describe("nodes", () => {
  test("a lease that another node removed comes back, and not after its release", async () => {
    const incarnation = "node-back#1";
    await nodes.register(incarnation, "node-back");
    await database.sql`delete from spectra.nodes where incarnation = ${incarnation}`;
    await nodes.renew(incarnation);
    expect(await nodes.alive()).toContain(incarnation);
    await nodes.release(incarnation);
    await nodes.renew(incarnation);
    expect(await nodes.alive()).not.toContain(incarnation);
  });

  test("a new incarnation ends the leases of the earlier ones of its node", async () => {
    await nodes.register("node-new#1", "node-new");
    await nodes.register("node-new#2", "node-new");
    const alive = await nodes.alive();
    expect([alive.has("node-new#1"), alive.has("node-new#2")]).toEqual([false, true]);
  });

  test("all that start together agree on the name of the database", async () => {
    const names = await Promise.all(Array.from({ length: 6 }, () => nodes.clusterId()));
    expect(new Set(names).size).toBe(1);
    expect(await nodes.clusterId()).toBe(names[0]);
  });
});
