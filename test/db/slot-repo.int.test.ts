import { fileURLToPath } from "node:url";
import { sql } from "drizzle-orm";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type OpenDatabase, openDatabase } from "../../db/database.ts";
import { migrateDatabase } from "../../db/migrate.ts";
import {
  createSlotRepo,
  PoolsFullError,
  type SlotClaim,
  type SlotRepo,
  takeSlots,
} from "../../db/slot-repo.ts";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";

let database: TestDatabase;
/** Two nodes, each with its own connections. */
let a: OpenDatabase;
let b: OpenDatabase;
let slots: SlotRepo;

beforeAll(async () => {
  database = await createTestDatabase();
  const target = { type: "url", url: database.url } as const;
  await migrateDatabase(target, fileURLToPath(new URL("../../db/migrations", import.meta.url)));
  a = openDatabase(target);
  b = openDatabase(target);
  slots = createSlotRepo(a.db);
});

afterAll(async () => {
  await a.close();
  await b.close();
  await database.drop();
});

/** Two nodes that live, each with a run of ready tasks `0` to `99`. */
beforeEach(async () => {
  const { sql: query } = database;
  await query`truncate spectra.workflows, spectra.definitions, spectra.nodes, spectra.rate_buckets cascade`;
  await query`insert into spectra.definitions (hash, workflow, body) values ('h', 'w', '{}')`;
  for (const node of ["a", "b"]) {
    await query`insert into spectra.nodes (incarnation, node_id, expires_at)
      values (${node}, ${node}, now() + interval '1 hour')`;
    await query`insert into spectra.workflows
      (id, workflow, title, definition_hash, status, place, priority, input, owner, epoch)
      values (${`run-${node}`}, 'w', 'w', 'h', 'running', 'main', 3, '{}', ${node}, 1)`;
    await query`insert into spectra.tasks (workflow_id, key, position, status)
      select ${`run-${node}`}, i::text, i, 'ready' from generate_series(0, 99) i`;
  }
});

function nodeDb(node: string): OpenDatabase["db"] {
  return (node === "a" ? a : b).db;
}

function claim(node: string, taskKey: string, change: Partial<SlotClaim> = {}): SlotClaim {
  return { pool: "key/k", workflowId: `run-${node}`, taskKey, attempt: 1, limit: 2, ...change };
}

/** What a turn does: tasks become dispatched and take their slots, in one transaction. */
async function dispatch(node: string, claims: readonly SlotClaim[]): Promise<readonly string[]> {
  try {
    await nodeDb(node).transaction(async (tx) => {
      for (const { workflowId, taskKey, attempt } of claims)
        await setTask(workflowId, taskKey, attempt, tx);
      await takeSlots(tx, node, claims, []);
    });
    return [];
  } catch (error) {
    if (error instanceof PoolsFullError) return error.pools;
    throw error;
  }
}

async function setTask(
  workflowId: string,
  key: string,
  attempt: number,
  tx: Pick<OpenDatabase["db"], "execute">,
): Promise<void> {
  await tx.execute(sql`update spectra.tasks set status = 'dispatched', attempt = ${attempt}
    where workflow_id = ${workflowId} and key = ${key}`);
}

async function setStatus(node: string, key: string, status: string): Promise<void> {
  await database.sql`update spectra.tasks set status = ${status}
    where workflow_id = ${`run-${node}`} and key = ${key}`;
}

async function holders(): Promise<string[]> {
  return (await slots.holders("key/k")).map(
    ({ workflowId, taskKey }) => `${workflowId}/${taskKey}`,
  );
}

describe("slots", () => {
  test("a full pool refuses the whole batch, and nothing of it is written", async () => {
    expect(await dispatch("a", [claim("a", "0")])).toEqual([]);
    expect(await dispatch("b", [claim("b", "0"), claim("b", "1")])).toEqual(["key/k"]);
    expect(await holders()).toEqual(["run-a/0"]);
    const [row] = await database.sql`select status from spectra.tasks
      where workflow_id = 'run-b' and key = '0'`;
    expect(row?.["status"]).toBe("ready");
    expect(await dispatch("b", [claim("b", "0")])).toEqual([]);
    expect(await holders()).toEqual(["run-a/0", "run-b/0"]);
  });

  test.each(["succeeded", "failed", "retrying", "ready", "cancelled", "skipped"])(
    "a slot is free once its task is %s, without anybody giving it back",
    async (status) => {
      await dispatch("a", [claim("a", "0"), claim("a", "1")]);
      expect(await dispatch("b", [claim("b", "0")])).toEqual(["key/k"]);
      await setStatus("a", "0", status);
      expect(await dispatch("b", [claim("b", "0")])).toEqual([]);
      expect(await holders()).toEqual(["run-a/1", "run-b/0"]);
      // Who took it has removed the old row.
      const [count] = await database.sql`select count(*)::int as n from spectra.slots`;
      expect(count?.["n"]).toBe(2);
    },
  );

  test("a slot of another attempt of the same task does not count", async () => {
    await dispatch("a", [claim("a", "0", { limit: 1 })]);
    await database.sql`update spectra.tasks set attempt = 2 where workflow_id = 'run-a' and key = '0'`;
    expect(await holders()).toEqual([]);
    expect(await dispatch("b", [claim("b", "0", { limit: 1 })])).toEqual([]);
  });

  test("the same task takes its slot anew for its next attempt", async () => {
    await dispatch("a", [claim("a", "0", { limit: 1 })]);
    await setStatus("a", "0", "ready");
    expect(await dispatch("a", [claim("a", "0", { limit: 1, attempt: 2 })])).toEqual([]);
    expect(await slots.holders()).toMatchObject([{ taskKey: "0", attempt: 2, owner: "a" }]);
  });

  test("an attempt that was told to stop keeps its slot until it has, or its node is dead", async () => {
    await dispatch("a", [claim("a", "0", { limit: 1 })]);
    await database.sql`update spectra.tasks set status = 'cancelled', node = 'a',
      extras = '{"stopping": true}' where workflow_id = 'run-a' and key = '0'`;
    expect(await dispatch("b", [claim("b", "0", { limit: 1 })])).toEqual(["key/k"]);
    await database.sql`update spectra.nodes set expires_at = now() where incarnation = 'a'`;
    expect(await dispatch("b", [claim("b", "0", { limit: 1 })])).toEqual([]);
  });

  test("a run that is taken over keeps its slots as long as its attempts are under way", async () => {
    await dispatch("a", [claim("a", "0", { limit: 1 })]);
    await database.sql`update spectra.workflows set owner = 'b', epoch = 2 where id = 'run-a'`;
    expect(await dispatch("b", [claim("b", "0", { limit: 1 })])).toEqual(["key/k"]);
    // The new owner counts it by itself.
    const view = await slots.view("b", ["key/k"], new Map());
    expect(view.elsewhere.get("key/k")).toBe(0);
    await setStatus("a", "0", "ready");
    expect(await dispatch("b", [claim("b", "0", { limit: 1 })])).toEqual([]);
  });

  test("a parked run holds nothing", async () => {
    await dispatch("a", [claim("a", "0", { limit: 1 })]);
    await database.sql`update spectra.workflows set status = 'parked' where id = 'run-a'`;
    expect(await dispatch("b", [claim("b", "0", { limit: 1 })])).toEqual([]);
  });

  test("the sweep removes what does not count, and nothing else", async () => {
    await dispatch("a", [claim("a", "0"), claim("a", "1")]);
    await setStatus("a", "0", "succeeded");
    expect(await slots.sweep()).toBe(1);
    expect(await slots.sweep()).toBe(0);
    expect(await holders()).toEqual(["run-a/1"]);
  });

  test("two nodes that take and end as fast as they can never hold more than the limit together", async () => {
    const limit = 2;
    const pools = ["key/k", "agent/A", "global"];
    let most = 0;
    let refused = 0;
    /** Takes each task of its share in all three pools, in any order of pools, and ends it. */
    async function work(node: string, tasks: readonly number[]): Promise<void> {
      for (const [round, task] of tasks.entries()) {
        const order = round % 2 === 0 ? pools : pools.toReversed();
        const claims = order.map((pool) => claim(node, String(task), { pool, limit }));
        for (;;) {
          try {
            await nodeDb(node).transaction(async (tx) => {
              await setTask(`run-${node}`, String(task), 1, tx);
              await takeSlots(tx, node, claims, []);
              // The lock is held: what is counted now is what stands after the commit.
              const [row] = await tx.execute<{ n: number }>(sql`
                select count(*)::int as n from spectra.slots s join spectra.tasks t
                  on t.workflow_id = s.workflow_id and t.key = s.task_key and t.status = 'dispatched'
                where s.pool = 'global'`);
              most = Math.max(most, row?.n ?? 0);
            });
            break;
          } catch (error) {
            if (!(error instanceof PoolsFullError)) throw error;
            refused += 1;
          }
        }
        // The first ones hold on until somebody else has found the pools full.
        while (refused === 0) await database.sql`select 1`;
        await setStatus(node, String(task), "succeeded");
      }
    }
    const share = (first: number) => Array.from({ length: 25 }, (_, i) => first + i);
    await Promise.all(
      ["a", "b"].flatMap((node) => [0, 25, 50].map((first) => work(node, share(first)))),
    );
    expect(most).toBe(limit);
    expect(refused).toBeGreaterThan(0);
    expect(await slots.holders()).toEqual([]);
  });
});

describe("tickets", () => {
  test("a node that ends and begins in one transaction leaves a slot to who waits", async () => {
    await dispatch("a", [claim("a", "0", { limit: 1 })]);
    await slots.queue("b", [{ pool: "key/k", workflowId: "run-b", taskKey: "0" }]);
    expect((await slots.view("a", ["key/k"], new Map())).elsewhere.get("key/k")).toBe(1);
    await setStatus("a", "0", "succeeded");
    expect(await dispatch("a", [claim("a", "1", { limit: 1 })])).toEqual(["key/k"]);
    await slots.queue("a", [{ pool: "key/k", workflowId: "run-a", taskKey: "1" }]);
    // Each has a ticket now; the older one counts.
    const view = await slots.view("b", ["key/k"], new Map());
    expect(view.ticketed).toEqual(new Set(["key/k"]));
    expect(view.elsewhere.get("key/k")).toBe(0);
    expect(await dispatch("b", [claim("b", "1", { limit: 1 })])).toEqual([]);
    // Its ticket is used up: next time the other one is first.
    await setStatus("b", "1", "succeeded");
    expect(await dispatch("b", [claim("b", "2", { limit: 1 })])).toEqual(["key/k"]);
    expect(await dispatch("a", [claim("a", "1", { limit: 1 })])).toEqual([]);
  });

  test.each([
    ["its task does not wait any more", "update spectra.tasks set status = 'cancelled'"],
    ["its run is paused", "update spectra.workflows set status = 'paused'"],
    ["its node is dead", "update spectra.nodes set expires_at = now()"],
    ["its run has another owner", "update spectra.workflows set owner = 'a' where id = 'run-b'"],
    ["it is old", "update spectra.slots set taken_at = now() - interval '1 minute'"],
  ])("holds nobody up when %s", async (_, change) => {
    await slots.queue("b", [{ pool: "key/k", workflowId: "run-b", taskKey: "0" }]);
    await database.sql.unsafe(change);
    await database.sql`update spectra.workflows set status = 'running' where id = 'run-a'`;
    expect(await dispatch("a", [claim("a", "1", { limit: 1 })])).toEqual([]);
  });
});

describe("rates", () => {
  const rate = { limit: 4, perMs: 3_600_000 };

  async function spend(node: string, count: number): Promise<readonly string[]> {
    try {
      await nodeDb(node).transaction((tx) =>
        takeSlots(tx, node, [], [{ pool: "rate/key/k", rate, count }]),
      );
      return [];
    } catch (error) {
      if (error instanceof PoolsFullError) return error.pools;
      throw error;
    }
  }

  test("tokens are spent once, by whichever node, and come back with time only", async () => {
    const spent = await Promise.all(
      Array.from({ length: 20 }, (_, i) => spend(i % 2 === 0 ? "a" : "b", 1)),
    );
    expect(spent.filter((full) => full.length === 0)).toHaveLength(4);
    const view = await slots.view("a", [], new Map([["rate/key/k", rate]]));
    expect(view.tokens.get("rate/key/k")).toBeLessThan(1);
    await database.sql`update spectra.rate_buckets set updated_at = updated_at - interval '30 minutes'`;
    expect(await spend("a", 3)).toEqual(["rate/key/k"]);
    expect(await spend("b", 2)).toEqual([]);
    expect(await spend("a", 1)).toEqual(["rate/key/k"]);
  });

  test("a bucket that was never used is full", async () => {
    const view = await slots.view("a", [], new Map([["rate/agent/A", { ...rate, burst: 7 }]]));
    expect(view.tokens.get("rate/agent/A")).toBe(7);
  });
});
