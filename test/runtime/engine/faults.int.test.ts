import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import type { Json } from "../../../machines/error-code.ts";
import { bundle, startChild } from "../../support/child.ts";
import { by, chains, gate, openFaultDatabase, watched } from "../../support/fault-run.ts";
import { soon } from "../../support/soon.ts";
import { openTestHost } from "../../support/workflow-host.ts";

const succeeded = { type: "succeeded", output: { ok: true } } as const;
const one = { id: "one", tasks: { only: { do: "WORKER.add" } } } as const;

describe.concurrent("engine", () => {
  test("completes when every connection of the node is cut again and again", async () => {
    await using database = await openFaultDatabase();
    let cuts = 0;
    const { runAgent, calls } = watched(async () => {
      if (calls.length % 4 === 0) {
        cuts += 1;
        await database.sql`select pg_terminate_backend(pid) from pg_stat_activity
          where datname = current_database() and application_name like 'spectra-%'`;
      }
      return succeeded;
    });
    await using node = await openTestHost({ url: database.url, runAgent });
    const { id } = await node.workflows.start({ workflow: chains(3, 8) }, by);
    await database.completed(id);
    expect(cuts).toBeGreaterThanOrEqual(6);
  });

  test("another node takes over from one that was killed, once its lease has run out", async () => {
    await using database = await openFaultDatabase();
    const tasks = {
      before: { do: "WORKER.add" },
      hold: { do: "WORKER.add", after: ["before"] },
      after: { do: "WORKER.add", after: ["hold"] },
    };
    const migrations = fileURLToPath(new URL("../../../db/migrations", import.meta.url));
    const script = await bundle("runtime/engine/programs/holding-node.ts");
    const workflow = JSON.stringify({ id: "held", tasks });
    const child = startChild(script, [database.url, migrations, workflow]);
    const said = Object.assign({}, await child.next(), await child.next());
    expect(said).toMatchObject({ holds: "hold" });
    const id = String(said["id"]);
    const { runAgent, calls } = watched(async () => succeeded);
    await using node = await openTestHost({ url: database.url, nodeId: "node-b", runAgent });
    await soon(async () => (await node.workflows.tasks(id))?.map(({ status }) => status)).toEqual([
      "succeeded",
      "running",
      "blocked",
    ]);
    process.kill(child.pid, "SIGKILL");
    await child.ended;
    const journal = await database.completed(id);
    expect(calls.map(({ taskKey, attempt }) => `${taskKey}/${attempt}`)).toEqual([
      "hold/2",
      "after/1",
    ]);
    const lost = journal.filter(({ type }) => type === "task.lost");
    expect(lost).toMatchObject([
      { actor: node.host.incarnation, payload: { task: "hold", attempt: 1 } },
    ]);
  });

  test("a former owner commits nothing, and the run ends at its new owner", async () => {
    await using database = await openFaultDatabase();
    const [first, second] = [gate(), gate()];
    const held = watched(async ({ taskKey }) => {
      await (taskKey === "only" ? first.passed : second.passed);
      return succeeded;
    });
    await using old = await openTestHost({
      url: database.url,
      nodeId: "node-old",
      agentLimit: 2,
      runAgent: held.runAgent,
    });
    // Both slots of the agent are taken, so "y" is ready and waits in the old owner's memory.
    const { id: other } = await old.workflows.start({ workflow: one }, by);
    await soon(() => held.calls.length).toBe(1);
    const workflow = { id: "two", tasks: { x: { do: "WORKER.add" }, y: { do: "WORKER.add" } } };
    const { id } = await old.workflows.start({ workflow }, by);
    await soon(() => held.calls.length).toBe(2);
    await using heir = await openTestHost({
      url: database.url,
      nodeId: "node-heir",
      runAgent: held.runAgent,
    });
    const before = await database.sql`select seq from spectra.journal where workflow_id = ${id}`;
    await database.sql`update spectra.workflows
      set owner = ${heir.host.incarnation}, epoch = epoch + 1 where id = ${id}`;
    // The old owner's next turn would dispatch "y": it must not be able to.
    first.open();
    await database.completed(other);
    await soon(() => old.host.engine.owned().has(id)).toBe(false);
    const after = await database.sql`select seq from spectra.journal where workflow_id = ${id}`;
    expect(after).toHaveLength(before.length);

    await heir.workflows.pause(id, by);
    await heir.workflows.resume(id, by);
    second.open();
    const journal = await database.completed(id);
    expect(journal.filter(({ type }) => type === "task.dispatched")).toHaveLength(2);
    expect(journal.at(-1)?.type).toBe("run.completed");
  });

  test("an attempt that the new owner has given up is aborted on the old one, and its result refused", async () => {
    await using database = await openFaultDatabase();
    const aborted = gate();
    const release = gate();
    await using old = await openTestHost({
      url: database.url,
      nodeId: "node-old",
      runAgent: async (_, { signal }) => {
        signal.addEventListener("abort", aborted.open);
        await release.passed;
        return { type: "succeeded", output: "late" };
      },
    });
    const { id } = await old.workflows.start({ workflow: one }, by);
    await soon(async () => (await old.workflows.tasks(id))?.map(({ status }) => status)).toEqual([
      "running",
    ]);
    await using heir = await openTestHost({
      url: database.url,
      nodeId: "node-heir",
      runAgent: async () => ({ type: "succeeded", output: "from the heir" }),
    });
    await database.sql`update spectra.workflows
      set owner = ${heir.host.incarnation}, epoch = epoch + 1 where id = ${id}`;
    await heir.workflows.cancel(id, by);
    await aborted.passed;
    release.open();
    await soon(async () =>
      (await heir.workflows.history(id, 0, 100))?.map(({ type }) => type).at(-1),
    ).toBe("attempt.refused");
    expect((await heir.workflows.tasks(id))?.[0]).toMatchObject({ status: "cancelled" });
  });

  test("a job that is delivered five times runs its action once", async () => {
    await using database = await openFaultDatabase();
    const release = gate();
    const { runAgent, calls } = watched(async () => {
      await release.passed;
      return succeeded;
    });
    await using node = await openTestHost({ url: database.url, runAgent });
    const { id } = await node.workflows.start({ workflow: one }, by);
    const job = { workflowId: id, taskKey: "only", attempt: 1 };
    const deliveries = Array.from({ length: 4 }, () => node.host.runner.process(job));
    await soon(() => calls.length).toBe(1);
    release.open();
    await Promise.all(deliveries);
    const journal = await database.completed(id);
    await node.host.runner.process(job);
    expect(calls).toHaveLength(1);
    expect(journal.map(({ type }) => type)).not.toContain("attempt.refused");
  });

  test("the result of a lost attempt is refused, and that of the next one is applied", async () => {
    await using database = await openFaultDatabase();
    const late = gate();
    const calls: number[] = [];
    await using node = await openTestHost({
      url: database.url,
      runAgent: async ({ attempt }) => {
        calls.push(attempt);
        if (attempt === 1) await late.passed;
        return { type: "succeeded", output: `of attempt ${attempt}` };
      },
    });
    const { id } = await node.workflows.start({ workflow: one }, by);
    await soon(() => calls).toEqual([1]);
    const lost = { type: "task.lost", taskKey: "only", attempt: 1, reason: "test", by: "test" };
    await node.host.turns.post(id, lost, "lost by the test");
    const journal = await database.completed(id);
    expect(journal.at(-1)?.type).toBe("run.completed");
    late.open();
    await soon(async () =>
      (await node.workflows.history(id, 0, 100))?.map(({ type }) => type).at(-1),
    ).toBe("attempt.refused");
    expect((await node.workflows.tasks(id))?.[0]).toMatchObject({ output: "of attempt 2" });
    expect(calls).toEqual([1, 2]);
  });

  test("a task whose agent died is repeated", async () => {
    await using database = await openFaultDatabase();
    const { runAgent, calls } = watched(async ({ attempt }) => {
      if (attempt > 1) return succeeded;
      const message = "Cannot end the task: the thread of its agent died";
      const error = { name: "AgentError", code: "AGENT_DIED", message, retryable: true };
      return { type: "failed", error };
    });
    await using node = await openTestHost({ url: database.url, runAgent });
    const { id } = await node.workflows.start({ workflow: one }, by);
    const journal = await database.completed(id);
    expect(calls.map(({ attempt }) => attempt)).toEqual([1, 2]);
    expect(journal.find(({ type }) => type === "task.retrying")).toMatchObject({
      payload: { code: "AGENT_DIED", attempt: 1 },
    });
  });

  test("an attempt whose agent is gone is lost, not failed: its task uses up nothing", async () => {
    await using database = await openFaultDatabase();
    const { runAgent, calls } = watched(async ({ attempt }) => {
      if (attempt > 1) return succeeded;
      const message = "Cannot run on WORKER: no module defines it any more";
      return {
        type: "failed",
        error: { name: "AgentError", code: "AGENT_GONE", message, retryable: true },
      };
    });
    await using node = await openTestHost({ url: database.url, runAgent });
    const workflow = {
      id: "gone",
      tasks: { only: { do: "WORKER.add", retry: { attempts: 1 } } },
    };
    const { id } = await node.workflows.start({ workflow }, by);
    const journal = await database.completed(id);
    expect(calls.map(({ attempt }) => attempt)).toEqual([1, 2]);
    expect(journal.find(({ type }) => type === "task.lost")).toMatchObject({
      payload: { attempt: 1, reason: expect.stringContaining("no module defines it") },
    });
  });

  test("text that Postgres cannot hold, in an output or an error, holds nothing up", async () => {
    await using database = await openFaultDatabase();
    const odd = `${"😀".slice(0, 1)}\u0000`;
    await using node = await openTestHost({
      url: database.url,
      runAgent: async ({ attempt }, { onCheckpoint }) => {
        await onCheckpoint({ odd });
        if (attempt > 1) return { type: "succeeded", output: { [odd]: odd } };
        const error = { name: odd, code: "ODD", message: odd, retryable: true };
        return { type: "failed", error };
      },
    });
    const { id } = await node.workflows.start({ workflow: one as unknown as Json }, by);
    await database.completed(id);
    expect((await node.workflows.tasks(id))?.[0]?.output).toEqual({
      "\ufffd\ufffd": "\ufffd\ufffd",
    });
  });
});
