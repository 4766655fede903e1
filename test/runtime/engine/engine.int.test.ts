import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { defineStatechart, output, param } from "../../../actors/define-workflow.ts";
import type { AgentOutcome } from "../../../actors/ports.ts";
import type { Json } from "../../../machines/error-code.ts";
import { RequestError } from "../../../runtime/system.ts";
import { createTestDatabase, type TestDatabase } from "../../support/postgres.ts";
import { openTestHost, type RunAgent } from "../../support/workflow-host.ts";

let database: TestDatabase;

beforeAll(async () => {
  database = await createTestDatabase();
});

afterAll(async () => {
  await database.drop();
});

const by = { actor: "test" };

/** A promise that the test opens by hand. */
function gate(): { readonly passed: Promise<void>; open(): void } {
  let open: () => void = () => undefined;
  const passed = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { passed, open };
}

/** Two stages: a diamond, then one task that reads the diamond's end. */
const diamond = defineStatechart({
  id: "diamond",
  title: "Diamond",
  params: ["base"],
  stages: {
    first: {
      title: "First",
      tasks: {
        top: { do: "WORKER.add", title: "top", with: { a: param("base"), b: 1 } },
        left: {
          do: "WORKER.add",
          title: "left",
          after: ["top"],
          with: { a: output("top", "sum"), b: 10 },
        },
        right: {
          do: "WORKER.add",
          title: "right",
          after: ["top"],
          with: { a: output("top", "sum"), b: 100 },
        },
        bottom: {
          do: "WORKER.add",
          title: "bottom",
          after: ["left", "right"],
          with: { a: output("left", "sum"), b: output("right", "sum") },
        },
      },
    },
    second: {
      title: "Second",
      tasks: {
        last: { do: "WORKER.add", title: "last", with: { a: output("bottom", "sum"), b: 1_000 } },
      },
    },
  },
});

const single = (action: string, extra: object = {}) =>
  defineStatechart({
    id: "single",
    title: "Single",
    stages: {
      main: { title: "Main", tasks: { only: { do: `WORKER.${action}`, title: "only", ...extra } } },
    },
  });

const add: RunAgent = async ({ input }) => {
  const { a, b } = input as { a: number; b: number };
  return { type: "succeeded", output: { sum: a + b } };
};

function failure(code: string, retryable: boolean): AgentOutcome {
  return { type: "failed", error: { name: "Error", code, message: code, retryable } };
}

describe("engine", () => {
  test("runs stages in order and hands outputs on", async () => {
    await using node = await openTestHost({
      url: database.url,
      workflows: [diamond],
      runAgent: add,
    });
    const { id } = await node.workflows.start({ workflow: "diamond", input: { base: 1 } }, by);
    const view = await node.until(id, "completed", "failed");
    expect(view).toMatchObject({
      status: "completed",
      progress: 1,
      tasks: { total: 5, done: 5, failed: 0 },
    });
    const tasks = (await node.workflows.tasks(id)) ?? [];
    expect(tasks.at(-1)?.output).toEqual({ sum: 1114 });
    const history = (await node.workflows.history(id, 0, 1_000)) ?? [];
    expect(history.map(({ seq }) => seq)).toEqual(history.map((_, index) => index + 1));
    expect(history.at(0)?.type).toBe("run.started");
    expect(history.at(-1)?.type).toBe("run.completed");
  });

  test("repeats a retryable failure after its backoff and keeps the attempt number", async () => {
    const seen: number[] = [];
    await using node = await openTestHost({
      url: database.url,
      runAgent: async ({ attempt }) => {
        seen.push(attempt);
        return attempt < 3 ? failure("FLAKY", true) : { type: "succeeded", output: "ok" };
      },
    });
    const { id } = await node.workflows.start({ workflow: single("fail") as unknown as Json }, by);
    expect(await node.until(id, "completed", "failed")).toMatchObject({ status: "completed" });
    expect(seen).toEqual([1, 2, 3]);
  });

  test("fails the run after the last attempt, and at once when the error is final", async () => {
    let calls = 0;
    await using node = await openTestHost({
      url: database.url,
      runAgent: async () => {
        calls += 1;
        return failure("BROKEN", false);
      },
    });
    const { id } = await node.workflows.start({ workflow: single("fail") as unknown as Json }, by);
    expect(await node.until(id, "failed")).toMatchObject({ error: { code: "BROKEN" } });
    expect(calls).toBe(1);
    await node.workflows.retry(id, by);
    await node.until(id, "failed");
    expect(calls).toBe(2);
  });

  test("skips a failed task that may be skipped", async () => {
    await using node = await openTestHost({
      url: database.url,
      runAgent: async () => failure("NO", false),
    });
    const workflow = single("fail", { onFailure: "skip" }) as unknown as Json;
    const { id } = await node.workflows.start({ workflow }, by);
    await node.until(id, "completed");
    expect((await node.workflows.tasks(id))?.[0]).toMatchObject({
      status: "skipped",
      error: { code: "NO" },
    });
  });

  test("dispatches nothing while paused, and goes on after resume", async () => {
    await using node = await openTestHost({
      url: database.url,
      workflows: [diamond],
      runAgent: add,
    });
    const { id } = await node.workflows.start(
      { workflow: "diamond", input: { base: 1 }, startPaused: true },
      by,
    );
    await node.until(id, "paused");
    expect(await node.workflows.explain(id, "top")).toMatchObject({
      status: "ready",
      reasons: ["the run is paused"],
    });
    expect((await node.workflows.explain(id, "bottom"))?.reasons).toContain(
      'waits for "left" (blocked)',
    );
    await node.workflows.resume(id, by);
    await node.until(id, "completed");
    await expect(node.workflows.pause(id, by)).rejects.toMatchObject({ code: "CONFLICT" });
  });

  test("cancel aborts what runs and refuses its late result", async () => {
    const started = gate();
    const release = gate();
    let aborted = false;
    await using node = await openTestHost({
      url: database.url,
      runAgent: async (_, { signal }) => {
        signal.addEventListener("abort", () => {
          aborted = true;
        });
        started.open();
        await release.passed;
        return { type: "succeeded", output: "too late" };
      },
    });
    const { id } = await node.workflows.start({ workflow: single("block") as unknown as Json }, by);
    await started.passed;
    await node.until(id, "running");
    await node.workflows.cancel(id, { actor: "test", reason: "changed my mind" });
    await node.until(id, "cancelled");
    release.open();
    expect(aborted).toBe(true);
    await expect
      .poll(async () => (await node.workflows.history(id, 0, 100))?.map(({ type }) => type))
      .toContain("attempt.refused");
    expect((await node.workflows.tasks(id))?.[0]).toMatchObject({ status: "cancelled" });
    expect((await node.workflows.tasks(id))?.[0]).not.toHaveProperty("output");
  });

  test("never runs more tasks of an agent at once than it allows", async () => {
    let running = 0;
    let most = 0;
    const two = gate();
    await using node = await openTestHost({
      url: database.url,
      agentLimit: 2,
      runAgent: async () => {
        running += 1;
        most = Math.max(most, running);
        if (running === 2) two.open();
        await two.passed;
        running -= 1;
        return { type: "succeeded", output: null };
      },
    });
    const tasks = Object.fromEntries(
      Array.from({ length: 12 }, (_, index) => [
        `t${index}`,
        { do: "WORKER.add", title: `t${index}` },
      ]),
    );
    const workflow = { id: "wide", maxParallel: 100, tasks };
    const { id } = await node.workflows.start({ workflow }, by);
    await node.until(id, "completed");
    expect(most).toBe(2);
  });

  test("starts one run for one idempotency key", async () => {
    await using node = await openTestHost({
      url: database.url,
      workflows: [diamond],
      runAgent: add,
    });
    const request = { workflow: "diamond", input: { base: 1 }, idempotencyKey: "once" };
    const runs = await Promise.all(
      Array.from({ length: 5 }, () => node.workflows.start(request, by)),
    );
    expect(new Set(runs.map(({ id }) => id)).size).toBe(1);
    await node.until(runs[0]?.id ?? "", "completed");
  });

  test("names every mistake of a definition before anything runs", async () => {
    await using node = await openTestHost({ url: database.url, runAgent: add });
    const workflow = {
      id: "broken",
      tasks: {
        a: { do: "WORKER.add", after: ["b"] },
        b: { do: "WORKER.add", after: ["a"], with: { x: { $param: "nowhere" } } },
        c: { do: "NOBODY.add" },
        d: { do: "WORKER.fly" },
      },
    };
    const refused = await node.workflows
      .start({ workflow, input: { extra: 1 } }, by)
      .catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(RequestError);
    const details = (refused as RequestError).fields.map(({ detail }) => detail).join("\n");
    expect(details).toContain("waits for itself: a → b → a");
    expect(details).toContain('names no agent: "NOBODY"');
    expect(details).toContain('has no action "fly"');
    expect(details).toContain('"nowhere"');
    expect(details).toContain('is not an input of "broken"');
  });

  test("goes on where it stopped when the next incarnation of the node starts", async () => {
    const started = gate();
    const first = await openTestHost({
      url: database.url,
      workflows: [diamond],
      runAgent: async (call, hooks) => {
        if (call.taskKey !== "left") return await add(call, hooks);
        started.open();
        return await new Promise((resolve) => {
          hooks.signal.addEventListener("abort", () => resolve(failure("ABORTED", true)));
        });
      },
    });
    const { id } = await first.workflows.start({ workflow: "diamond", input: { base: 1 } }, by);
    await started.passed;
    await first[Symbol.asyncDispose]();
    await using second = await openTestHost({
      url: database.url,
      workflows: [diamond],
      runAgent: add,
    });
    await second.until(id, "completed");
    const tasks = (await second.workflows.tasks(id)) ?? [];
    expect(tasks.at(-1)?.output).toEqual({ sum: 1114 });
    expect(tasks.find(({ key }) => key === "top")?.attempt).toBe(1);
    expect(tasks.find(({ key }) => key === "left")?.attempt).toBe(2);
  });

  test("parks a run whose state the server refuses, and the others go on", async () => {
    await using node = await openTestHost({
      url: database.url,
      workflows: [diamond],
      runAgent: add,
    });
    const request = { workflow: "diamond", input: { base: 1 }, startPaused: true };
    const spoilt = await node.workflows.start(request, by);
    const healthy = await node.workflows.start(request, by);
    await node.until(spoilt.id, "paused");
    await node.until(healthy.id, "paused");
    const [newest] = await database.sql<{ seq: number }[]>`
      select seq::int as seq from spectra.workflows where id = ${spoilt.id}`;
    await database.sql`
      insert into spectra.journal (workflow_id, seq, type, at, actor, payload)
      values (${spoilt.id}, ${(newest?.seq ?? 0) + 1}, 'planted', now(), 'test', '{}')`;
    const refused = node.workflows.resume(spoilt.id, by).catch((error: unknown) => error);
    await node.workflows.resume(healthy.id, by);
    await node.until(healthy.id, "completed");
    const parked = await node.until(spoilt.id, "parked");
    expect(parked.error?.message).toContain("duplicate key");
    await refused;
  });
});
