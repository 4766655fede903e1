import { describe, expect, test } from "vitest";
import type { Json } from "../../../../machines/error-code.ts";
import { gate, openFaultDatabase } from "../../../support/fault-run.ts";
import { soon } from "../../../support/soon.ts";
import { openTestHost } from "../../../support/workflow-host.ts";
import { failure, limitMs, look, ok, post, start, untilAborted } from "./semantics.ts";

const one = (task: object) => ({ id: "one", tasks: { a: { do: "WORKER.add", ...task } } });

describe.concurrent("attempts", () => {
  test("time limits end an attempt, each with its code", async () => {
    await using database = await openFaultDatabase();
    await using node = await openTestHost({
      url: database.url,
      agentLimit: 1,
      runAgent: untilAborted,
    });
    const limits = {
      startToCloseMs: "START_TO_CLOSE_TIMEOUT",
      heartbeatMs: "HEARTBEAT_TIMEOUT",
      scheduleToCloseMs: "SCHEDULE_TO_CLOSE_TIMEOUT",
    };
    for (const [limit, code] of Object.entries(limits)) {
      const task = { timeouts: { [limit]: 50 }, retry: { attempts: 1 } };
      const run = look(database, await start(node, one(task)));
      await run.ended("failed");
      expect((await run.task("a"))?.error?.code).toBe(code);
      // Its slot is free again: what was told to stop has.
      const isStopping = async () => "stopping" in Object((await run.task("a"))?.extras);
      await soon(isStopping, limitMs).toBe(false);
    }
    // The only slot is taken, so the next task is never started.
    const holder = look(database, await start(node, one({})));
    await soon(async () => (await holder.task("a"))?.status, limitMs).toBe("running");
    const queued = look(database, await start(node, one({ timeouts: { scheduleToStartMs: 50 } })));
    await queued.ended("failed");
    expect((await queued.task("a"))?.error?.code).toBe("SCHEDULE_TO_START_TIMEOUT");
    expect((await queued.task("a"))?.attempt).toBe(0);
  });

  test("a heartbeat keeps an attempt alive, shows progress, and a retry goes on at its checkpoint", async () => {
    await using database = await openFaultDatabase();
    const seen: (Json | undefined)[] = [];
    await using node = await openTestHost({
      url: database.url,
      runAgent: async (call, hooks) => {
        seen.push(call.lastCheckpoint);
        if (call.attempt > 1) return ok;
        for (let beat = 1; beat <= 20; beat += 1) {
          hooks.onHeartbeat({ done: beat, total: 20 });
          await new Promise((resolve) => setTimeout(resolve, 20));
        }
        await hooks.onCheckpoint({ at: 7 });
        return await untilAborted(call, hooks);
      },
    });
    const task = { timeouts: { heartbeatMs: 300 }, retry: { attempts: 2, initialMs: 1 } };
    const id = await start(node, one(task));
    await soon(() => node.host.runner.progress(id, "a")?.done ?? 0, limitMs).toBeGreaterThan(2);
    await look(database, id).ended("completed");
    expect(seen).toEqual([undefined, { at: 7 }]);
    expect(await look(database, id).payloads("task.retrying")).toMatchObject([
      { code: "HEARTBEAT_TIMEOUT" },
    ]);
  });

  test("an error says itself when it is repeated, and codes may be final", async () => {
    await using database = await openFaultDatabase();
    await using node = await openTestHost({
      url: database.url,
      runAgent: async ({ attempt, action }) => {
        if (action === "fail") return failure("NEVER", true);
        return attempt === 1 ? failure("LATER", true, { retryAfterMs: 37 }) : ok;
      },
    });
    const later = look(database, await start(node, one({ retry: { initialMs: 60_000 } })));
    await later.ended("completed");
    expect(await later.payloads("task.retrying")).toMatchObject([{ delayMs: 37 }]);
    const never = one({ do: "WORKER.fail", retry: { attempts: 9, nonRetryable: ["NEVER"] } });
    const final = look(database, await start(node, never));
    await final.ended("failed");
    expect((await final.task("a"))?.attempt).toBe(1);
  });

  test("an attempt whose outcome is unknown is parked when it must not run twice", async () => {
    await using database = await openFaultDatabase();
    let calls = 0;
    await using node = await openTestHost({
      url: database.url,
      runAgent: async () => {
        calls += 1;
        return failure("AGENT_DIED", true);
      },
    });
    const id = await start(node, one({ delivery: "atMostOnce" }));
    const run = look(database, id);
    await soon(async () => (await run.task("a"))?.status, limitMs).toBe("parked");
    expect((await run.task("a"))?.error?.code).toBe("AMBIGUOUS");
    expect(await run.status()).toBe("running");
    await post(node, id, { type: "task.resolve", taskKey: "a", as: "succeeded", output: 5 });
    await run.ended("completed");
    expect((await run.task("a"))?.output).toBe(5);
    expect(calls).toBe(1);
  });

  test("a job that comes again while the attempt runs on a living node changes nothing", async () => {
    await using database = await openFaultDatabase();
    const release = gate();
    let calls = 0;
    const runAgent = async () => {
      calls += 1;
      await release.passed;
      return ok;
    };
    await using first = await openTestHost({ url: database.url, nodeId: "node-a", runAgent });
    const id = await start(first, one({}));
    const run = look(database, id);
    await soon(async () => (await run.task("a"))?.status, limitMs).toBe("running");
    await using second = await openTestHost({ url: database.url, nodeId: "node-b", runAgent });
    await second.host.runner.process({ workflowId: id, taskKey: "a", attempt: 1 } as never);
    release.open();
    await run.ended("completed");
    expect(calls).toBe(1);
    expect(await run.words()).not.toContain("task.lost");
  });

  test("a job that a dead node had taken is not run again when it must not run twice", async () => {
    await using database = await openFaultDatabase();
    const calls: string[] = [];
    await using node = await openTestHost({
      url: database.url,
      runAgent: async ({ taskKey, attempt }) => {
        calls.push(`${taskKey}/${attempt}`);
        return ok;
      },
    });
    // The claim of a node that is gone stands in the row before the queue brings the job.
    await database.sql`create function spectra.claim_first() returns trigger language plpgsql as $$
      begin new.node := 'node-gone/1'; return new; end $$`;
    await database.sql`create trigger claim_first before update on spectra.tasks for each row
      when (new.status = 'dispatched' and old.status <> 'dispatched') execute function spectra.claim_first()`;
    const once = look(database, await start(node, one({ delivery: "atMostOnce" })));
    await soon(async () => (await once.task("a"))?.status, limitMs).toBe("parked");
    expect(calls).toEqual([]);
    const again = look(database, await start(node, one({})));
    await again.ended("completed");
    // Nobody knows whether the first one began, and each attempt runs once at most.
    expect(calls).toEqual(["a/2"]);
  });

  test("start-to-close holds when the runner lives and hangs", async () => {
    await using database = await openFaultDatabase();
    const never = gate();
    await using node = await openTestHost({
      url: database.url,
      // Settles neither by itself nor when it is aborted, as a pool that has lost a thread.
      runAgent: async ({ attempt }) => {
        if (attempt === 1) await never.passed;
        return ok;
      },
    });
    const task = { timeouts: { startToCloseMs: 50 }, retry: { attempts: 2, initialMs: 1 } };
    const run = look(database, await start(node, one(task)));
    await run.ended("completed");
    expect((await run.task("a"))?.attempt).toBe(2);
    never.open();
  });

  test("what attempts spend counts for the run's budget, which pauses it until it is raised", async () => {
    await using database = await openFaultDatabase();
    await using node = await openTestHost({
      url: database.url,
      runAgent: async (_, hooks) => {
        hooks.onSpend?.({ token: 40 });
        hooks.onSpend?.({ token: 60 });
        return ok;
      },
    });
    const workflow = {
      id: "spending",
      tasks: { a: { do: "WORKER.add" }, b: { do: "WORKER.add", after: ["a"] } },
      budget: { token: { soft: 10, hard: 50 } },
    };
    const id = await start(node, workflow);
    const run = look(database, id);
    await run.ended("paused");
    expect((await run.run())?.extras).toMatchObject({
      spent: { token: 60 },
      pause: { budget: "token" },
    });
    await post(node, id, { type: "run.budget", limits: { token: 1_000 } });
    await run.ended("completed");
    expect((await run.run())?.extras.spent).toEqual({ token: 120 });
    expect(await run.words()).toContain("budget.warning");
  });
});
