import { afterAll, beforeAll, expect, test } from "vitest";
import { defineWorkflow, output, param } from "../../../actors/define-workflow.ts";
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
const add: RunAgent = async ({ input }) => {
  const { a, b } = input as { a: number; b: number };
  return { type: "succeeded", output: { sum: a + b } };
};

/** `t0` to `t9`, each adding one to the sum before it. */
const chain = defineWorkflow({
  id: "local-chain",
  params: ["base"],
  tasks: Object.fromEntries(
    Array.from({ length: 10 }, (_, index) => [
      `t${index}`,
      {
        do: "WORKER.add",
        local: true,
        ...(index === 0 ? {} : { after: [`t${index - 1}`] }),
        with: { a: index === 0 ? param("base") : output(`t${index - 1}`, "sum"), b: 1 },
      },
    ]),
  ),
});

test("local tasks hand their outputs on, and are journalled like others", async () => {
  await using node = await openTestHost({ url: database.url, workflows: [chain], runAgent: add });
  const { id } = await node.workflows.start({ workflow: "local-chain", input: { base: 5 } }, by);
  expect(await node.until(id, "completed", "failed")).toMatchObject({ status: "completed" });
  expect((await node.workflows.tasks(id))?.at(-1)?.output).toEqual({ sum: 15 });
  const words = ((await node.workflows.history(id, 0, 100)) ?? []).map(({ type }) => type);
  expect(words.filter((word) => word === "task.started")).toHaveLength(10);
  expect(words.at(-1)).toBe("run.completed");
  const [row] = await database.sql<{ mailbox: number; outbox: number }[]>`select
    (select count(*)::int from spectra.mailbox) as mailbox,
    (select count(*)::int from spectra.outbox) as outbox`;
  expect(row).toEqual({ mailbox: 0, outbox: 0 });
});

test("a local task whose node stopped runs again on the next one", async () => {
  const seen: string[] = [];
  const first = await openTestHost({
    url: database.url,
    nodeId: "node-one",
    workflows: [chain],
    runAgent: async (call, { signal }) => {
      seen.push(`${call.taskKey}/${call.attempt}`);
      if (call.taskKey !== "t3") return await add(call, {} as never);
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
      const error = { name: "Error", code: "ABORTED", message: "stopped", retryable: true };
      return { type: "failed", error };
    },
  });
  const { id } = await first.workflows.start({ workflow: "local-chain", input: { base: 0 } }, by);
  await expect.poll(() => seen.includes("t3/1"), { timeout: 20_000 }).toBe(true);
  await first[Symbol.asyncDispose]();
  await using second = await openTestHost({
    url: database.url,
    nodeId: "node-two",
    workflows: [chain],
    runAgent: async (call, hooks) => {
      seen.push(`${call.taskKey}/${call.attempt}`);
      return await add(call, hooks);
    },
  });
  expect(await second.until(id, "completed", "failed")).toMatchObject({ status: "completed" });
  expect((await second.workflows.tasks(id))?.at(-1)?.output).toEqual({ sum: 10 });
  // The node that stops may still hand the task to itself once: that attempt is lost with it.
  expect(seen.filter((one) => one.startsWith("t3/")).length).toBeGreaterThan(1);
  expect(seen.filter((one) => one.startsWith("t2/"))).toEqual(["t2/1"]);
});
