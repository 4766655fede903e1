/**
 * A node is killed at every crash point there is; the same node started again, and a second one
 * beside it, bring every run to its end.
 */

import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openDatabase } from "../../db/database.ts";
import { migrateDatabase } from "../../db/migrate.ts";
import { createDeferred } from "../../machines/deferred.ts";
import { type CrashPoint, crashPoints } from "../../runtime/engine/crash-points.ts";
import { bundle, type Child, startChild } from "../support/child.ts";
import type { startedByNodes } from "../support/crash-workload.ts";
import {
  attemptsHold,
  type Evidence,
  everyRunEnds,
  journalsAreWhole,
  nothingIsLeft,
  resultsApplyOnce,
  sagasAreUndone,
  timersFireOnce,
  transactionsCommitOnce,
} from "../support/invariants.ts";
import { type Ledger, startLedger } from "../support/ledger.ts";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";
import { startRedis } from "../support/redis.ts";

type Started = (typeof startedByNodes)[number];

/** A point that only luck brings about (whose job, whose turn it is) is tried this often. */
const tries = 4;
/** How long a life may last, on a busy machine. */
const lifeLimitMs = 60_000;
const migrations = fileURLToPath(new URL("../../db/migrations", import.meta.url));

/** Points that come often are hit in the middle of things. */
const nths: Partial<Record<CrashPoint, number>> = {
  "agent.call.after": 3,
  "agent.call.before": 2,
  "event.submit.after": 3,
  "event.submit.before": 4,
  "job.process.after": 2,
  "mail.read.after": 5,
  "mail.read.before": 3,
  "queue.add.after": 2,
  "queue.add.before": 3,
  "turn.commit.after": 3,
  "turn.commit.before": 4,
};

/** What a node must do to come by a point. */
function workloadOf(point: CrashPoint): readonly Started[] {
  const common: Started[] = ["everything", "saga", "once"];
  if (/^run\.(?:adopt|park)/.test(point)) return ["refused"];
  if (point.startsWith("run.promote")) return [...common, "alone", "alone"];
  const isCancel = /^mail\.(?:child|command|stopped)/.test(point);
  return isCancel ? [...common, "endless"] : common;
}

/** Points that a node comes by only when another one, which has no place for their tasks, owns runs. */
const besides: ReadonlyMap<string, Started> = new Map([
  ["mail.finished", "everything"],
  ["mail.started", "everything"],
  ["mail.stopped", "endless"],
]);

function workloadBeside(point: CrashPoint): Started | undefined {
  return besides.get(point.split(".").slice(0, 2).join("."));
}

interface World {
  readonly database: TestDatabase;
  readonly ledger: Ledger;
  readonly redis: string | null;
  readonly script: string;
  readonly acknowledged: Map<string, string>;
  /** Keys of starts that nobody answered: a client asks again. */
  readonly unanswered: Set<string>;
  lives: number;
}

function startNode(
  { acknowledged, database, ledger, redis, script, unanswered }: World,
  life: {
    readonly nodeId: string;
    readonly crash: string | null;
    readonly keys: readonly string[];
  },
): { readonly node: Child; readonly ready: Promise<void> } {
  const keys = [...unanswered, ...life.keys];
  for (const key of keys) unanswered.add(key);
  const order = { ...life, keys, url: database.url, redis, migrations, ledger: ledger.url };
  const isFirst = life.nodeId === "node-a";
  const node = startChild(script, [
    JSON.stringify({ ...order, fires: life.crash !== null, busy: !isFirst }),
  ]);
  const ready = createDeferred<void>();
  void (async () => {
    for (;;) {
      const line = await node.next();
      if (line["ready"] === true) ready.resolve();
      if (typeof line["acknowledged"] !== "string") continue;
      const key = String(line["key"]);
      acknowledged.set(key, line["acknowledged"]);
      unanswered.delete(key);
    }
  })().catch(ready.reject);
  // Most nodes are killed before, and nobody waits for them.
  ready.promise.catch(() => undefined);
  return { node, ready: ready.promise };
}

/** Tasks that keep runs from ending, and the mail of those runs. */
async function whatIsOpen({ database: { sql } }: World): Promise<string> {
  const tasks = await sql`
    select w.id, w.workflow, w.status as run, w.owner, t.key, t.status, t.attempt, t.node, t.extras,
      (select jsonb_agg(m.event) from spectra.mailbox m where m.workflow_id = w.id) as mail,
      (select jsonb_agg(o.effect) from spectra.outbox o where o.workflow_id = w.id) as outbox
    from spectra.workflows w join spectra.tasks t on t.workflow_id = w.id
    where w.status in ('pending', 'running', 'paused')
      and t.status not in ('succeeded', 'skipped', 'failed', 'cancelled', 'compensated') limit 50`;
  return JSON.stringify([...tasks], null, 1);
}

/** Resolves with what it wrote to stderr. @throws {Error} When it neither ended nor was killed in time. */
async function ended(world: World, child: Child): Promise<{ isKilled: boolean; stderr: string }> {
  const timer = setTimeout(() => process.kill(child.pid, "SIGABRT"), lifeLimitMs);
  const { code, signal, stderr } = await child.ended;
  clearTimeout(timer);
  if (signal !== "SIGKILL" && code !== 0) {
    throw new Error(`The node ended with ${signal ?? code}: ${stderr}${await whatIsOpen(world)}`);
  }
  return { isKilled: signal === "SIGKILL", stderr };
}

/** Lets nodes die at these points, one after another; returns those that none came by. */
async function killAtEach(
  world: World,
  points: readonly CrashPoint[],
  peer?: Child,
): Promise<CrashPoint[]> {
  const missed: CrashPoint[] = [];
  for (const point of points) {
    let isReached = false;
    for (let round = 0; round < tries && !isReached; round += 1) {
      // Only who dies with an attempt in hand leaves one behind.
      if (point.startsWith("mail.lost")) await isKilledAt(world, "agent.call.after");
      isReached = await isKilledAt(world, point, peer);
    }
    if (!isReached) missed.push(point);
  }
  return missed;
}

async function isKilledAt(world: World, point: CrashPoint, peer?: Child): Promise<boolean> {
  world.lives += 1;
  const { lives } = world;
  const keys = workloadOf(point).map((workflow, at) => `a${lives}/${workflow}/${at}`);
  const crash = `${point}:${nths[point] ?? 1}`;
  const key = `b${lives}/${workloadBeside(point)}`;
  if (peer !== undefined) {
    world.unanswered.add(key);
    peer.tell(key);
  }
  const { isKilled, stderr } = await ended(
    world,
    startNode(world, { nodeId: "node-a", crash, keys }).node,
  );
  return isKilled && stderr.includes(`crash point ${crash}`);
}

/** A database whose server refuses the journal of the workflow `refused`. */
async function openDatabaseThatRefuses(): Promise<TestDatabase> {
  const database = await createTestDatabase();
  await migrateDatabase({ type: "url", url: database.url }, migrations);
  await database.sql.unsafe(`
    create function refuse() returns trigger language plpgsql as $$ begin
      if exists (select from spectra.workflows where id = new.workflow_id and workflow = 'refused')
      then raise exception 'refused by the test' using errcode = '23514'; end if;
      return new;
    end $$;
    create table bookings (task text);
    create trigger refuse before insert on spectra.journal
      for each row execute function refuse();`);
  return database;
}

interface Crashed extends Evidence {
  /** Points that were never reached. */
  readonly missed: readonly CrashPoint[];
  readonly unanswered: ReadonlySet<string>;
  close(): Promise<void>;
}

/** Kills at every point, then lets two nodes that live bring everything to its end. */
async function crashEverywhere(redis: string | null): Promise<Crashed> {
  const database = await openDatabaseThatRefuses();
  await using ledger = await startLedger();
  const script = await bundle("support/programs/crash-node.ts");
  const acknowledged = new Map<string, string>();
  const unanswered = new Set<string>();
  const world: World = { database, ledger, redis, script, unanswered, acknowledged, lives: 0 };
  const children: Child[] = [];
  const start = (nodeId: string) => {
    const started = startNode(world, { nodeId, crash: null, keys: [] });
    children.push(started.node);
    return started;
  };
  try {
    const beside = crashPoints.filter((point) => workloadBeside(point) !== undefined);
    const alone = crashPoints.filter((point) => !beside.includes(point));
    const missed = await killAtEach(world, alone);
    const peer = start("node-b");
    await peer.ready;
    missed.push(...(await killAtEach(world, beside, peer.node)));
    for (const { node } of [start("node-a"), peer]) {
      node.tell("end");
      await ended(world, node);
    }
    const { db, close } = openDatabase({ type: "url", url: database.url });
    const arrivals = await ledger.arrivals();
    return {
      db,
      sql: database.sql,
      acknowledged,
      unanswered,
      arrivals,
      missed,
      close: async () => {
        await close();
        await database.drop();
      },
    };
  } finally {
    for (const { process: one } of children) if (one.exitCode === null) one.kill("SIGKILL");
    await Promise.all(children.map((child) => child.ended));
  }
}

type Backend = "PostgreSQL" | "Redis";

const backends = ["PostgreSQL", "Redis"] as const satisfies readonly Backend[];
const crashed = new Map<Backend, Crashed>();

beforeAll(async () => {
  await using redis = await startRedis();
  // Side by side: most of a life is waiting.
  const all = await Promise.all(
    backends.map((backend) => crashEverywhere(backend === "Redis" ? redis.url : null)),
  );
  for (const [at, backend] of backends.entries()) {
    const one = all[at];
    if (one !== undefined) crashed.set(backend, one);
  }
}, 900_000);

afterAll(async () => {
  for (const one of crashed.values()) await one.close();
});

describe.each(backends)(
  "nodes that were killed at every crash point, with queues in %s",
  (backend) => {
    function evidence(): Crashed {
      const found = crashed.get(backend);
      if (found === undefined) throw new Error("The nodes have not come to an end");
      return found;
    }

    test("came by every crash point there is", () => {
      expect(evidence().missed).toEqual([]);
    });

    test("left every acknowledged run at its end, or visibly parked", async () => {
      expect([...evidence().unanswered]).toEqual([]);
      await everyRunEnds(evidence());
    });

    test("applied each result once, and ran nothing after its result", () =>
      resultsApplyOnce(evidence()));

    test("ran each attempt once at most, each task once at least, and atMostOnce once at most", () =>
      attemptsHold(evidence()));

    test("committed each transaction of a task exactly once", () =>
      transactionsCommitOnce(evidence()));

    test("fired each timer once and never early", () => timersFireOnce(evidence()));

    test("undid what was finished, once and the last first", () => sagasAreUndone(evidence()));

    test("wrote journals without gaps that fold to what is stored", () =>
      journalsAreWhole(evidence()));

    test("left nothing in mailboxes, outbox, timers, slots and leases", () =>
      nothingIsLeft(evidence()));
  },
);
