/** @module Both ways to write a workflow, from their own words to the result on a real engine. */

import { afterAll, beforeAll, expect, test } from "vitest";
import { createMachine } from "xstate";
import {
  defineStatechart,
  defineWorkflow,
  item,
  output,
  param,
  type WorkflowDefinition,
} from "../../../actors/define-workflow.ts";
import { context, eq, event, gt, index, set, when } from "../../../actors/workflow-values.ts";
import type { Json } from "../../../machines/error-code.ts";
import { createTestDatabase, type TestDatabase } from "../../support/postgres.ts";
import { openTestHost, type TestHost } from "../../support/workflow-host.ts";

let database: TestDatabase;
let host: TestHost;
const calls: { readonly task: string; readonly input: Json }[] = [];

beforeAll(async () => {
  database = await createTestDatabase();
  host = await openTestHost({
    url: database.url,
    workflows: [child],
    // `add` gives back its input; `n` is doubled on the way.
    runAgent: async ({ taskKey, input }) => {
      calls.push({ task: taskKey, input });
      const given = input as { readonly [key: string]: Json };
      const n = typeof given["n"] === "number" ? { n: given["n"] * 2 } : {};
      return { type: "succeeded", output: { ...given, ...n } };
    },
  });
}, 120_000);

afterAll(async () => {
  await host[Symbol.asyncDispose]();
  await database.drop();
});

const child = defineWorkflow({
  id: "child",
  params: ["n"],
  tasks: { double: { do: "WORKER.add", with: { n: param("n") } } },
  output: { doubled: output("double", "n") },
});

const tester = { actor: "test" };

/** Runs it to its end; the output of a workflow stands with the task that waited for it. */
async function finished(
  definition: WorkflowDefinition,
  input: Readonly<Record<string, Json>> = {},
) {
  const workflow = JSON.parse(JSON.stringify(definition)) as Json;
  const { id } = await host.workflows.start({ workflow, input } as never, tester);
  const view = await host.until(id, "completed", "failed");
  expect(view.status, JSON.stringify(view.error)).toBe("completed");
  const tasks = (await host.workflows.tasks(id)) ?? [];
  return new Map(tasks.map((task) => [task.key, task]));
}

test("a director divides the work, a worker per part does it, and the results are merged in order", async () => {
  const tasks = await finished(
    defineWorkflow({
      id: "director",
      params: ["parts"],
      tasks: {
        divide: { do: "WORKER.add", with: { parts: param("parts") } },
        work: {
          do: "WORKER.add",
          after: ["divide"],
          forEach: output("divide", "parts"),
          window: 2,
          when: gt(item("n"), 0),
          with: { n: item("n"), at: index() },
        },
        collect: { do: "WORKER.add", after: ["work"], with: { all: output("work") } },
      },
    }),
    { parts: [{ n: 3 }, { n: 0 }, { n: 5 }] },
  );
  expect(tasks.get("collect")?.output).toEqual({ all: [{ n: 6, at: 0 }, null, { n: 10, at: 2 }] });
  expect(tasks.get("work")).toMatchObject({
    kind: "action",
    items: { total: 3, done: 3, failed: 0 },
  });
  expect(tasks.get("work[2]")).toMatchObject({ of: "work", output: { n: 10, at: 2 } });
}, 60_000);

test("a pipeline sends each item through its tasks", async () => {
  const tasks = await finished(
    defineWorkflow({
      id: "pipes",
      mode: "pipeline",
      items: [{ n: 1 }, { n: 2 }, { n: 3 }],
      buffer: 2,
      tasks: {
        first: { do: "WORKER.add", with: { n: item("n") } },
        second: { do: "WORKER.add", with: { n: output("first", "n") } },
      },
    }),
  );
  const outputs = [0, 1, 2].map((at) => tasks.get(`second[${at}]`)?.output);
  expect(outputs).toEqual([{ n: 4 }, { n: 8 }, { n: 12 }]);
}, 60_000);

test("tasks in sequence, a child workflow and time", async () => {
  const tasks = await finished(
    defineWorkflow({
      id: "sequence",
      mode: "sequential",
      tasks: {
        nap: { sleepMs: 1 },
        child: { workflow: "child", with: { n: 4 } },
        after: { do: "WORKER.add", with: { n: output("child", "doubled") } },
      },
    }),
  );
  expect(tasks.get("after")?.output).toEqual({ n: 16 });
  expect(tasks.get("nap")).toMatchObject({ kind: "sleep", title: "nap" });
  expect(tasks.get("child")).toMatchObject({ kind: "workflow", action: "" });
}, 60_000);

test("an XState machine goes round until its context says that it is enough", async () => {
  calls.length = 0;
  const machine = createMachine({
    id: "growth",
    context: { n: 1, rounds: 0 },
    initial: "grow",
    states: {
      grow: {
        initial: "once",
        states: {
          once: {
            invoke: {
              src: "WORKER.add",
              input: { n: context("n") },
              onDone: { target: "done", actions: set({ n: event("output.n") }) },
            },
          },
          done: { type: "final" },
        },
        onDone: [
          { target: "enough", guard: when(gt(context("n"), 7)) },
          { target: "grow", reenter: true },
        ],
      },
      enough: {
        type: "parallel",
        states: {
          left: {
            initial: "work",
            states: {
              work: { invoke: { id: "last", src: "report", onDone: "#growth.enough.left.end" } },
              end: { type: "final" },
            },
          },
          right: {
            initial: "work",
            states: {
              work: { after: { 1: "end" } },
              end: { type: "final" },
            },
          },
        },
        onDone: [{ target: "over", guard: when(eq(context("n"), 8)) }, "failed"],
      },
      over: { type: "final" },
      failed: { type: "final" },
    },
  } as never);
  const tasks = await finished(
    defineStatechart({
      id: "growth",
      machine,
      stages: { report: { tasks: { report: { do: "WORKER.add", with: { of: context("n") } } } } },
    }),
  );
  expect(calls.map(({ input }) => input)).toEqual([{ n: 1 }, { n: 2 }, { n: 4 }, { of: 8 }]);
  expect(tasks.get("report")?.status).toBe("succeeded");
  expect(tasks.get("grow_once#3")?.status).toBe("succeeded");
}, 60_000);
