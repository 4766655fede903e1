import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import type { WorkflowDefinition } from "../../../actors/define-workflow.ts";
import { defineWorkflow, param } from "../../../actors/define-workflow.ts";
import type { Json } from "../../../machines/error-code.ts";
import type { FlowLimits } from "../../../machines/flow-options.ts";
import { bundle, startChild } from "../../support/child.ts";
import { by, type FaultDatabase, gate, openFaultDatabase } from "../../support/fault-run.ts";
import { soon } from "../../support/soon.ts";
import { openTestHost, type RunAgent, type TestHost } from "../../support/workflow-host.ts";

const succeeded = { type: "succeeded", output: { ok: true } } as const;

/** `count` tasks that may all run at once. */
function wide(
  id: string,
  count: number,
  task: Json = {},
): { id: string; maxParallel: number; tasks: Record<string, { do: string }> } {
  const keys = Array.from({ length: count }, (_, index) => `${id}${index}`);
  const tasks = keys.map((key) => [key, { do: "WORKER.add", ...(task as object) }] as const);
  return { id, maxParallel: 1_000, tasks: Object.fromEntries(tasks) };
}

/** Notes how many calls are in hand at once, over all hosts that it is given to. */
function counted(run: RunAgent = async () => succeeded) {
  const seen = { now: 0, most: 0, order: [] as string[] };
  const runAgent: RunAgent = async (call, hooks) => {
    seen.now += 1;
    seen.most = Math.max(seen.most, seen.now);
    seen.order.push(call.taskKey);
    try {
      return await run(call, hooks);
    } finally {
      seen.now -= 1;
    }
  };
  return { seen, runAgent };
}

function node(
  database: FaultDatabase,
  nodeId: string,
  runAgent: RunAgent,
  flow: FlowLimits = {},
  workflows: readonly WorkflowDefinition[] = [],
): Promise<TestHost> {
  const limits = { flow };
  return openTestHost({ url: database.url, nodeId, agentLimit: 50, limits, workflows, runAgent });
}

async function reasons(host: TestHost, id: string, key: string): Promise<readonly string[]> {
  return (await host.workflows.explain(id, key))?.reasons ?? [];
}

describe.concurrent("limits over all nodes", () => {
  test.each<[string, Json, FlowLimits]>([
    ["an agent", {}, { agents: { WORKER: { limit: 2 } } }],
    ["all agents", {}, { global: { limit: 2 } }],
    ["a key, as its definition says", { concurrencyKey: "k", concurrencyLimit: 2 }, {}],
    ["a key, as configured", { concurrencyKey: ["k", 1] }, { keys: { "k/*": { limit: 2 } } }],
  ])("of %s are kept by two nodes together, and both get on", async (_, task, flow) => {
    await using database = await openFaultDatabase();
    const { seen, runAgent } = counted(async () => {
      // Longer than a dispatch takes: two that may overlap do.
      await database.sql`select pg_sleep(0.1)`;
      return succeeded;
    });
    await using a = await node(database, "node-a", runAgent, flow);
    await using b = await node(database, "node-b", runAgent, flow);
    const [first, second] = await Promise.all([
      a.workflows.start({ workflow: wide("a", 12, task) }, by),
      b.workflows.start({ workflow: wide("b", 12, task) }, by),
    ]);
    await Promise.all([database.completed(first.id), database.completed(second.id)]);
    expect(seen.most).toBe(2);
    // Neither node had the pool to itself until it was done.
    const [lastOfA, lastOfB] = ["a", "b"].map((id) =>
      seen.order.findLastIndex((key) => key.startsWith(id)),
    );
    const [firstOfA, firstOfB] = ["a", "b"].map((id) =>
      seen.order.findIndex((key) => key.startsWith(id)),
    );
    expect(firstOfA).toBeLessThan(lastOfB ?? 0);
    expect(firstOfB).toBeLessThan(lastOfA ?? 0);
    // What the attempts held does not count any more, and goes with the next sweep.
    expect(await a.host.slots.holders()).toEqual([]);
    await a.host.slots.sweep();
    expect(await database.sql`select * from spectra.slots`).toEqual([]);
  });

  test("explain names the key, its figures, and who holds it on the other node", async () => {
    await using database = await openFaultDatabase();
    const release = gate();
    const run: RunAgent = async () => {
      await release.passed;
      return succeeded;
    };
    await using a = await node(database, "node-a", run);
    await using b = await node(database, "node-b", run);
    const workflow = wide("only", 1, { concurrencyKey: "stripe" });
    const holder = await a.workflows.start({ workflow }, by);
    await soon(async () => (await a.host.slots.holders()).length).toBe(1);
    const waiter = await b.workflows.start({ workflow }, by);
    await soon(() => reasons(b, waiter.id, "only0")).toEqual([
      `the key "stripe" is in use: 1 of 1 in use, by ${holder.id}/only0`,
    ]);
    release.open();
    await database.completed(waiter.id);
  });

  test("a slot of a killed process is free once its run is taken over, and not before", async () => {
    await using database = await openFaultDatabase();
    const migrations = fileURLToPath(new URL("../../../db/migrations", import.meta.url));
    const script = await bundle("runtime/engine/programs/holding-node.ts");
    const held = { id: "held", tasks: { hold: { do: "WORKER.add", concurrencyKey: "k" } } };
    const child = startChild(script, [database.url, migrations, JSON.stringify(held)]);
    const said = Object.assign({}, await child.next(), await child.next());
    expect(said).toMatchObject({ holds: "hold" });
    const id = String(said["id"]);
    const { seen, runAgent } = counted(async () => {
      await database.sql`select pg_sleep(0.005)`;
      return succeeded;
    });
    await using heir = await node(database, "node-b", runAgent);
    const waiter = await heir.workflows.start(
      { workflow: wide("w", 4, { concurrencyKey: "k" }) },
      by,
    );
    await soon(() => reasons(heir, waiter.id, "w0")).toEqual([
      `the key "k" is in use: 1 of 1 in use, by ${id}/hold`,
    ]);
    process.kill(child.pid, "SIGKILL");
    await child.ended;
    await database.completed(id);
    await database.completed(waiter.id);
    expect(seen.most).toBe(1);
    expect(seen.order.toSorted()).toEqual(["hold", "w0", "w1", "w2", "w3"]);
  });

  test("a rate is kept by two nodes together", async () => {
    await using database = await openFaultDatabase();
    const rate = { limit: 10, perMs: 1_000, burst: 2 };
    const flow = { agents: { WORKER: { rate } } };
    const { runAgent } = counted();
    await using a = await node(database, "node-a", runAgent, flow);
    await using b = await node(database, "node-b", runAgent, flow);
    const started = await Promise.all([
      a.workflows.start({ workflow: wide("a", 6) }, by),
      b.workflows.start({ workflow: wide("b", 6) }, by),
    ]);
    await Promise.all(started.map(({ id }) => database.completed(id)));
    const rows = await database.sql<{ at: number }[]>`
      select (extract(epoch from at) * 1000)::float8 as at from spectra.journal
      where type = 'task.dispatched' order by at`;
    const times = rows.map(({ at }) => at);
    expect(times).toHaveLength(12);
    // A turn's time is read before its tokens are taken: one more may seem to fall into a stretch of time.
    const excess = times.flatMap((from, first) =>
      times.slice(first).flatMap((to, more) => {
        const most = rate.burst + ((to - from) * rate.limit) / rate.perMs + 1;
        return more + 1 > most ? [{ first, count: more + 1, most }] : [];
      }),
    );
    expect(excess).toEqual([]);
  });
});

describe.concurrent("order", () => {
  test("a tenant with many tasks does not keep another one waiting, whatever its priority", async () => {
    await using database = await openFaultDatabase();
    const release = gate();
    const { seen, runAgent } = counted(async () => {
      await release.passed;
      return succeeded;
    });
    await using host = await openTestHost({ url: database.url, agentLimit: 1, runAgent });
    const big = await host.workflows.start(
      { workflow: wide("big", 20), tenant: "big", priority: 5 },
      by,
    );
    await soon(() => seen.order.length).toBe(1);
    const small = await host.workflows.start(
      { workflow: wide("small", 1), tenant: "small", priority: 1 },
      by,
    );
    await soon(async () => (await reasons(host, small.id, "small0")).length).toBe(1);
    release.open();
    await database.completed(small.id);
    await database.completed(big.id);
    expect(seen.order.indexOf("small0")).toBeLessThanOrEqual(2);
  });
});

describe.concurrent("a run that waits holds no slot", () => {
  const child = defineWorkflow(wide("child", 1));

  test.each<[string, Json]>([
    ["a child", { workflow: "child" }],
    ["time", { sleepMs: 50 }],
  ])("for %s", async (_, waits) => {
    await using database = await openFaultDatabase();
    const { runAgent } = counted();
    const flow = { global: { limit: 1 }, agents: { WORKER: { limit: 1 } } };
    const tasks = { wait: waits, after: { do: "WORKER.add", after: ["wait"] } };
    const parent = defineWorkflow({ id: "parent", tasks: tasks as never });
    await using host = await node(database, "node-a", runAgent, flow, [parent, child]);
    const { id } = await host.workflows.start({ workflow: "parent" }, by);
    await database.completed(id);
  });

  test("for a signal: others use the only slot meanwhile", async () => {
    await using database = await openFaultDatabase();
    const { runAgent } = counted();
    const flow = { global: { limit: 1 } };
    const parent = defineWorkflow({ id: "parent", tasks: { wait: { signal: "go" } as never } });
    await using host = await node(database, "node-a", runAgent, flow, [parent, child]);
    const waiting = await host.workflows.start({ workflow: "parent" }, by);
    await soon(async () => (await host.workflows.tasks(waiting.id))?.[0]?.status).toBe("running");
    const { id } = await host.workflows.start({ workflow: "child" }, by);
    await database.completed(id);
    expect(host.host.engine.holders("global")).toEqual([]);
    const signal = { type: "run.signal", name: "go", payload: null, by: "test" };
    await host.host.turns.post(waiting.id, signal, `signal/${waiting.id}`);
    host.host.engine.wake();
    await database.completed(waiting.id);
  });
});

describe.concurrent("when as many runs are open as may be", () => {
  function kind(whenFull: "queue" | "skip" | "reject" | "replace"): WorkflowDefinition {
    return {
      ...defineWorkflow({ id: "kind", params: ["who"], tasks: { only: { do: "WORKER.block" } } }),
      concurrency: { key: param("who"), limit: 1, whenFull },
    };
  }

  async function crowd(whenFull: Parameters<typeof kind>[0]) {
    const database = await openFaultDatabase();
    const release = gate();
    const { seen, runAgent } = counted(async (_, { signal }) => {
      const aborted = new Promise<void>((resolve) => {
        signal.addEventListener("abort", () => resolve());
      });
      await Promise.race([release.passed, aborted]);
      return succeeded;
    });
    const host = await node(database, "node-a", runAgent, {}, [kind(whenFull)]);
    const start = (who: string, idempotencyKey?: string) =>
      host.workflows.start(
        {
          workflow: "kind",
          input: { who },
          ...(idempotencyKey === undefined ? {} : { idempotencyKey }),
        },
        by,
      );
    const first = await start("ann");
    await soon(() => seen.order.length).toBe(1);
    return {
      database,
      release,
      seen,
      host,
      start,
      first,
      [Symbol.asyncDispose]: async () => {
        release.open();
        await host[Symbol.asyncDispose]();
        await database[Symbol.asyncDispose]();
      },
    };
  }

  test("queue: runs start one after the other, in the order in which they came", async () => {
    await using crowded = await crowd("queue");
    const { database, first, host, release, seen, start } = crowded;
    const second = await start("ann", "twice");
    const third = await start("ann");
    expect((await start("ann", "twice")).id).toBe(second.id);
    expect([second.status, third.status]).toEqual(["pending", "pending"]);
    expect(await reasons(host, third.id, "only")).toContain(
      `the run is number 2 in the queue for ${first.id} to end`,
    );
    // Another key has a queue of its own.
    const other = await start("bob");
    await soon(() => seen.order.length).toBe(2);
    release.open();
    for (const { id } of [first, second, third, other]) await database.completed(id);
    const rows = await database.sql<{ id: string }[]>`
      select id from spectra.workflows where id <> ${other.id} order by started_at`;
    expect(rows.map(({ id }) => id)).toEqual([first.id, second.id, third.id]);
    const overlaps = await database.sql`
      select a.id from spectra.workflows a join spectra.workflows b on a.id <> b.id
      where a.id <> ${other.id} and b.id <> ${other.id} and a.started_at < b.started_at
        and a.finished_at > b.started_at`;
    expect(overlaps).toEqual([]);
  });

  test("queue: a run that is cancelled while it queues gives its place up", async () => {
    await using crowded = await crowd("queue");
    const { database, host, release, start } = crowded;
    const second = await start("ann");
    const third = await start("ann");
    expect((await host.workflows.cancel(second.id, by)).status).toBe("cancelled");
    release.open();
    await database.completed(third.id);
  });

  test("queue: another node starts what queued for a run that ended there", async () => {
    await using crowded = await crowd("queue");
    const { database, first, host, release, start } = crowded;
    const second = await start("ann");
    await using heir = await node(database, "node-b", async () => succeeded, {}, [kind("queue")]);
    await database.sql`update spectra.workflows
      set owner = ${heir.host.incarnation}, epoch = epoch + 1 where id = ${second.id}`;
    release.open();
    await database.completed(first.id);
    await database.completed(second.id);
    expect(host.host.engine.owned().has(second.id)).toBe(false);
  });

  test("skip: no run is made, and the answer is the one that is open", async () => {
    await using crowded = await crowd("skip");
    const { database, first, release, start } = crowded;
    expect((await start("ann")).id).toBe(first.id);
    expect((await start("bob")).id).not.toBe(first.id);
    expect(await database.sql`select id from spectra.workflows`).toHaveLength(2);
    release.open();
    await database.completed(first.id);
    expect((await start("ann")).id).not.toBe(first.id);
  });

  test("reject: the start fails, and names the run that is open", async () => {
    await using crowded = await crowd("reject");
    const { database, first, start } = crowded;
    await expect(start("ann")).rejects.toMatchObject({
      code: "CONFLICT",
      message: expect.stringContaining(first.id) as string,
    });
    expect(await database.sql`select id from spectra.workflows`).toHaveLength(1);
  });

  test("replace: the open run and those that queue are cancelled, and the newest one starts", async () => {
    await using crowded = await crowd("replace");
    const { database, first, host, release, start } = crowded;
    const second = await start("ann");
    const third = await start("ann");
    await host.until(first.id, "cancelled");
    await soon(async () => {
      const views = await Promise.all([second, third].map(({ id }) => host.workflows.get(id)));
      return views.map((view) => view?.status);
    }).toEqual(["cancelled", "running"]);
    release.open();
    await database.completed(third.id);
    const history = await host.workflows.history(first.id, 0, 100);
    expect(history?.find(({ type }) => type === "run.cancelling")).toMatchObject({
      actor: "concurrency",
      payload: { reason: `replaced by run ${second.id}` },
    });
  });

  test("a workflow that would wait for itself as its own child is refused before it starts", async () => {
    await using database = await openFaultDatabase();
    const outer = {
      ...defineWorkflow({ id: "outer", tasks: { inner: { workflow: "outer" } as never } }),
      concurrency: { limit: 1 },
    };
    await using host = await node(database, "node-a", async () => succeeded, {}, [outer]);
    const refused = await host.workflows
      .start({ workflow: "outer" }, by)
      .catch((error: unknown) => error);
    expect(refused).toMatchObject({ code: "INVALID" });
    expect(JSON.stringify((refused as { fields?: unknown }).fields)).toContain("outer → outer");
  });
});
