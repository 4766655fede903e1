import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { defineWorkflow, output, param } from "../../../actors/define-workflow.ts";
import { openDatabase } from "../../../db/database.ts";
import { auditRuns } from "../../../runtime/history/audit.ts";
import { driveEverything, everyFeature, featureAgent, post } from "../../support/every-feature.ts";
import { createTestDatabase, type TestDatabase } from "../../support/postgres.ts";
import { soon } from "../../support/soon.ts";
import { openTestHost, type RunAgent, type TestHost } from "../../support/workflow-host.ts";

let database: TestDatabase;

beforeAll(async () => {
  database = await createTestDatabase();
});

afterAll(async () => {
  await database.drop();
});

const by = { actor: "test" };

const chain = defineWorkflow({
  id: "chain",
  params: ["base"],
  tasks: {
    one: { do: "WORKER.add", with: { value: param("base") } },
    two: { do: "WORKER.add", after: ["one"], with: { value: output("one", "value") } },
    three: { do: "WORKER.fail", after: ["two"], with: { value: param("base"), failures: 0 } },
  },
});

async function seqOf(node: TestHost, id: string, type: string, task?: string): Promise<number> {
  const entries = (await node.workflows.history(id, 0, 1_000)) ?? [];
  const found = entries.find(
    (entry) =>
      entry.type === type &&
      (task === undefined || (entry.payload as { task?: string }).task === task),
  );
  if (found === undefined) throw new Error(`no ${type} of ${task}`);
  return found.seq;
}

async function outputs(node: TestHost, id: string) {
  const tasks = (await node.workflows.tasks(id)) ?? [];
  return Object.fromEntries(tasks.map((task) => [task.key, task.output]));
}

/** For a machine that is busy with other tests. */
const slow = { timeout: 180_000 };

describe("fork", slow, () => {
  test("keeps what was finished and runs the rest with the new input", async () => {
    const ran: string[] = [];
    const runAgent: RunAgent = async (call, hooks) => {
      ran.push(`${call.workflowId.startsWith("fork-") ? "fork" : "source"} ${call.taskKey}`);
      return await featureAgent(call, hooks);
    };
    await using node = await openTestHost({ url: database.url, workflows: [chain], runAgent });
    const { id } = await node.workflows.start({ workflow: "chain", input: { base: 1 } }, by);
    await node.until(id, "completed");
    const at = await seqOf(node, id, "task.succeeded", "one");
    const fork = await node.history.fork(id, { at, input: { base: 7 } }, by);
    await node.until(fork, "completed");
    expect(ran.filter((one) => one.startsWith("fork"))).toEqual(["fork two", "fork three"]);
    expect(await outputs(node, fork)).toEqual({
      one: { value: 1 },
      two: { value: 1 },
      three: { value: 7 },
    });
    const [first] = (await node.workflows.history(fork, 0, 1)) ?? [];
    expect(first).toMatchObject({
      seq: 1,
      type: "run.forked",
      // With all that the end of the task set off.
      payload: { from: id, at: at + 1, inputChanged: true, stubs: [] },
    });
    const difference = await node.history.diff(id, fork);
    expect(difference).toMatchObject({
      definition: null,
      status: null,
      input: [{ path: "/base", left: 1, right: 7 }],
      tasks: [{ key: "three", output: [{ path: "/value", left: 1, right: 7 }] }],
      journal: { seq: 1, left: "run.started", right: "run.forked" },
    });
    expect(await node.history.diff(id, id)).toMatchObject({ tasks: [], journal: null, input: [] });
  });

  test("takes what was recorded for stubbed tasks instead of running them", async () => {
    const ran: string[] = [];
    const runAgent: RunAgent = async (call, hooks) => {
      ran.push(`${call.workflowId} ${call.taskKey}`);
      return await featureAgent(call, hooks);
    };
    await using node = await openTestHost({ url: database.url, workflows: [chain], runAgent });
    const { id } = await node.workflows.start({ workflow: "chain", input: { base: 2 } }, by);
    await node.until(id, "completed");
    const fork = await node.history.fork(id, { at: 1, input: { base: 9 }, stub: ["one"] }, by);
    await node.until(fork, "completed");
    expect(ran.filter((one) => one.startsWith(fork))).toEqual([`${fork} two`, `${fork} three`]);
    expect(await outputs(node, fork)).toMatchObject({ one: { value: 2 }, three: { value: 9 } });
    const all = await node.history.fork(id, { at: 1, stub: true }, by);
    await node.until(all, "completed");
    expect(ran.filter((one) => one.startsWith(all))).toEqual([]);
    await expect(node.history.fork(id, { at: 1, stub: ["no"] }, by)).rejects.toThrow(
      "Cannot stub no",
    );
    await expect(node.history.fork(id, { at: 10_000 }, by)).rejects.toMatchObject({
      code: "INVALID",
    });
    const last = await seqOf(node, id, "run.completed");
    await expect(node.history.fork(id, { at: last }, by)).rejects.toMatchObject({
      code: "CONFLICT",
    });
  });

  test("takes the latest definition, although no run has used it yet", async () => {
    let id = "";
    {
      const options = { url: database.url, workflows: [chain], runAgent: featureAgent };
      await using node = await openTestHost(options);
      id = (await node.workflows.start({ workflow: "chain", input: { base: 4 } }, by)).id;
      await node.until(id, "completed");
    }
    const newer = defineWorkflow({
      id: "chain",
      params: ["base"],
      tasks: {
        one: { do: "WORKER.add", with: { value: param("base") } },
        two: { do: "WORKER.add", after: ["one"], with: { value: output("one", "value") } },
        three: { do: "WORKER.add", after: ["two"], with: { value: 40 } },
      },
    });
    const options = { url: database.url, workflows: [newer], runAgent: featureAgent };
    await using node = await openTestHost(options);
    const at = await seqOf(node, id, "task.succeeded", "one");
    const fork = await node.history.fork(id, { at, definition: "latest" }, by);
    const view = await node.until(fork, "completed");
    expect(view.version).not.toBe((await node.workflows.get(id))?.version);
    expect(await outputs(node, fork)).toMatchObject({ one: { value: 4 }, three: { value: 40 } });
    const { items } = await node.workflows.list({ agent: "WORKER", forkedFrom: id });
    expect(items.map((run) => run.id)).toEqual([fork]);
  });

  test("goes on from where a run failed", async () => {
    let broken = true;
    const runAgent: RunAgent = async (call, hooks) => {
      if (call.taskKey !== "three" || !broken) return await featureAgent(call, hooks);
      const error = { name: "Error", code: "BROKEN", message: "broken", retryable: false };
      return { type: "failed", error };
    };
    await using node = await openTestHost({ url: database.url, workflows: [chain], runAgent });
    const { id } = await node.workflows.start({ workflow: "chain", input: { base: 3 } }, by);
    await node.until(id, "failed");
    broken = false;
    const fork = await node.history.fork(id, { at: await seqOf(node, id, "run.failed") }, by);
    await node.until(fork, "completed");
    expect((await node.workflows.get(id))?.status).toBe("failed");
  });

  test("of a run that uses everything completes from each of its moments, and leaves honest journals", async () => {
    await using node = await openTestHost({
      url: database.url,
      workflows: everyFeature,
      runAgent: featureAgent,
    });
    const id = await driveEverything(node);
    const end = await seqOf(node, id, "task.started", "round#2");
    const forks: string[] = [];
    for (let at = 1; at <= end; at += 15) forks.push(await node.history.fork(id, { at }, by));
    for (const fork of forks) await finish(node, fork);
    const first = await outputs(node, id);
    for (const fork of forks) {
      const { merge, round } = await outputs(node, fork);
      expect({ merge, round }).toEqual({ merge: first["merge"], round: first["round"] });
    }
    const { db, close } = openDatabase({ type: "url", url: database.url });
    expect(await auditRuns(db)).toEqual([]);
    await close();
  }, 240_000);
});

/** Answers what a fork waits for, whatever it is, until it has completed. */
async function finish(node: TestHost, id: string): Promise<void> {
  await soon(async () => {
    const view = await node.workflows.get(id);
    if (view?.status === "paused") await node.workflows.resume(id, by);
    const tasks = (await node.workflows.tasks(id)) ?? [];
    const waits = (key: string) => tasks.some((one) => one.key === key && one.status === "running");
    if (waits("told")) await post(node, id, { type: "run.signal", name: "go", payload: null });
    if (waits("agreed"))
      await post(node, id, { type: "task.resolve", taskKey: "agreed", as: "succeeded", output: 1 });
    return view?.status;
  }, 120_000).toBe("completed");
}
