/** @module Tests of what is found in tasks, values and handoffs before anything runs. */

import { describe, expect, test } from "vitest";
import { z } from "zod";
import { agentDefinitions } from "../../../actors/agents/registry.ts";
import { capability, defineAgent } from "../../../actors/define-agent.ts";
import { defineWorkflow } from "../../../actors/define-workflow.ts";
import { demo } from "../../../actors/workflows/demo.ts";
import type { Json } from "../../../machines/error-code.ts";
import { checkDefinition, completeDefinition } from "../../../runtime/engine/definition.ts";
import { parseDefinition } from "../../../runtime/engine/parse-definition.ts";
import { RequestError } from "../../../runtime/system.ts";

const shop = defineAgent({
  name: "SHOP",
  capabilities: {
    list: capability({
      input: z.object({ dir: z.string(), depth: z.number().optional() }),
      output: z.object({ files: z.array(z.string()), count: z.number() }),
      run: async () => ({ files: [], count: 0 }),
    }),
    pay: capability({
      input: z.object({ file: z.string() }),
      output: z.object({ bytes: z.number() }),
      run: async () => ({ bytes: 1 }),
      compensate: async () => undefined,
    }),
  },
});

const children = new Map(
  [
    defineWorkflow({ id: "child", params: ["dir"], tasks: { a: { signal: "go" } } }),
    defineWorkflow({ id: "loop", tasks: { a: { workflow: "back" } } }),
    defineWorkflow({ id: "back", tasks: { a: { workflow: "loop" } } }),
  ].map((one) => [one.id, one]),
);

function mistakes(
  tasks: Json,
  more: Readonly<Record<string, Json>> = {},
  input: Readonly<Record<string, Json>> = {},
): string[] {
  try {
    const definition = parseDefinition({ id: "order", tasks, ...more });
    const find = (name: string) => (name === "SHOP" ? shop : undefined);
    checkDefinition(definition, input, find, (id) => children.get(id));
    return [];
  } catch (error) {
    if (!(error instanceof RequestError)) throw error;
    return error.fields.map(({ pointer, detail }) =>
      `${pointer} ${detail}`.replace("/workflow/stages/main/tasks", "…"),
    );
  }
}

const list = { do: "SHOP.list", with: { dir: "a" } };
const pay = { do: "SHOP.pay", with: { file: "a" } };
const files = { $output: "list", path: "files" };

describe("a task", () => {
  test.each<[string, Json, string]>([
    [
      "does nothing",
      { a: {} },
      "…/a does nothing: it must say exactly one of do, workflow, signal, approval, sleepMs",
    ],
    [
      "does two things",
      { a: { ...pay, signal: "go" } },
      "…/a says do and signal: it must say exactly one of do, workflow, signal, approval, sleepMs",
    ],
    ["lacks an input", { a: { do: "SHOP.pay" } }, "…/a/with/file is required by SHOP.pay"],
    [
      "has an input too many",
      { a: { do: "SHOP.pay", with: { file: "a", fil: 1 } } },
      "…/a/with/fil is no input of SHOP.pay; inputs are file",
    ],
    [
      "has an input of another type",
      { a: { do: "SHOP.pay", with: { file: 7 } } },
      "…/a/with/file expected string, received number (for SHOP.pay)",
    ],
    [
      "reads a path that no output has",
      {
        list,
        a: { do: "SHOP.pay", after: ["list"], with: { file: { $output: "list", path: "filez" } } },
      },
      '…/a/with/file does not exist: the output of "list" at "filez"',
    ],
    [
      "gets another type from the task before",
      {
        list,
        a: { do: "SHOP.pay", after: ["list"], with: { file: { $output: "list", path: "count" } } },
      },
      '…/a/with/file expected string, received number: the output of "list" at "count" (for SHOP.pay)',
    ],
    [
      "gets a whole list for one text",
      { list, a: { do: "SHOP.pay", after: ["list"], with: { file: files } } },
      '…/a/with/file expected string, received array: the output of "list" at "files" (for SHOP.pay)',
    ],
    [
      "goes over what is no list",
      { list, a: { ...pay, after: ["list"], forEach: { $output: "list", path: "count" } } },
      '…/a/forEach is no list: the output of "list" at "count"',
    ],
    [
      "hands on an item of another type",
      {
        list,
        a: {
          do: "SHOP.list",
          after: ["list"],
          forEach: files,
          with: { dir: { $item: true, path: "name" } },
        },
      },
      '…/a/with/dir does not exist: the item at "name"',
    ],
    [
      "reads an item that it has not",
      { a: { do: "SHOP.pay", with: { file: { $item: true } } } },
      "…/a/with reads the item outside of a `forEach` or a pipeline",
    ],
    [
      "has a window without a list",
      { a: { ...pay, window: 2 } },
      "…/a/window is for tasks with `forEach` only",
    ],
    [
      "names an unknown operator",
      { a: { ...pay, when: { $like: [1, 2] } } },
      '…/a/when is no condition: "$like"; operators are $eq, $ne, $lt, $lte, $gt, $gte, $in, $and, $or, $not',
    ],
    [
      "compares one value",
      { a: { ...pay, when: { $not: { $eq: [1] } } } },
      "…/a/when/$not/$eq must be a list of two values",
    ],
    [
      "misspells a reference",
      { a: { do: "SHOP.pay", with: { file: { $outptu: "list" } } } },
      '…/a/with/file is no reference: "$outptu"; references are $param, $output, $item, $index, $context, $event',
    ],
    [
      "reads a condition's output too early",
      { list, a: { ...pay, when: { $output: "list", path: "count" } } },
      '…/a/when reads the output of "list" without waiting for it',
    ],
    [
      "beats too slowly",
      { a: { ...pay, timeouts: { startToCloseMs: 1_000, heartbeatMs: 1_000 } } },
      "…/a/timeouts/heartbeatMs must be shorter than startToCloseMs, which is 1000",
    ],
    [
      "takes longer than it may",
      { a: { ...pay, timeouts: { startToCloseMs: 2_000, scheduleToCloseMs: 1_000 } } },
      "…/a/timeouts/startToCloseMs is longer than scheduleToCloseMs, which is 1000",
    ],
    [
      "waits with an attempt's grace",
      { a: { signal: "go", graceMs: 5 } },
      "…/a/graceMs is for tasks with `do` only",
    ],
    [
      "waits with an attempt's limit",
      { a: { signal: "go", timeouts: { heartbeatMs: 5 } } },
      "…/a/timeouts/heartbeatMs is for tasks with `do` only: what waits has scheduleToCloseMs",
    ],
    [
      "cannot be undone",
      { a: { ...list, compensate: true } },
      "…/a/compensate is not possible: SHOP.list has no `compensate`",
    ],
    [
      "is undone by nobody",
      { a: { ...list, compensate: "SHOP.undo" } },
      '…/a/compensate SHOP has no action "undo"; it has list, pay',
    ],
    [
      "has no alternative",
      { a: { ...pay, onFailure: { run: "b" } } },
      '…/a/onFailure/run names no task: "b"',
    ],
    [
      "shares its alternative",
      { a: { ...pay, onFailure: { run: "c" } }, b: { ...pay, onFailure: { run: "c" } }, c: pay },
      '…/b/onFailure/run names "c", which stands in for "a" already',
    ],
    [
      "has an alternative that waits for what comes after",
      {
        a: { ...pay, onFailure: { run: "c" } },
        b: { ...pay, after: ["a"] },
        c: { ...pay, after: ["b"] },
      },
      "…/b waits for itself: b → c → b",
    ],
    [
      "starts an unknown workflow",
      { a: { workflow: "ghost" } },
      '…/a/workflow names no registered workflow: "ghost"',
    ],
    [
      "starts itself",
      { a: { workflow: "order" } },
      "…/a/workflow starts itself again: order → order",
    ],
    [
      "starts a circle",
      { a: { workflow: "loop" } },
      "…/a/workflow starts itself again: loop → back → loop",
    ],
    [
      "lacks an input of its child",
      { a: { workflow: "child" } },
      '…/a/with/dir is required by workflow "child"',
    ],
    [
      "goes local without an action",
      { a: { signal: "go", local: true } },
      "…/a/local is for tasks with `do` only",
    ],
  ])("that %s", (_, tasks, line) => {
    expect(mistakes(tasks)).toContain(line);
  });

  test("may hand on whatever fits", () => {
    const tasks = {
      list: { do: "SHOP.list", with: { dir: { $param: "dir" } } },
      each: {
        do: "SHOP.pay",
        after: ["list"],
        forEach: files,
        with: { file: { $item: true } },
        when: { $gt: [{ $output: "list", path: "count" }, 0] },
        onFailure: "rollback",
        compensate: true,
        timeouts: {
          scheduleToStartMs: 1,
          startToCloseMs: 50,
          scheduleToCloseMs: 500,
          heartbeatMs: 5,
        },
      },
      again: {
        do: "SHOP.list",
        after: ["each"],
        with: { dir: "x", depth: { $output: "each", path: "0.bytes" } },
      },
      yes: {
        approval: { title: "Pay?" },
        after: ["again"],
        timeouts: { scheduleToCloseMs: 31_536_000_000 },
      },
      nap: { sleepMs: { $output: "list", path: "count" }, after: ["yes"] },
      child: { workflow: "child", after: ["nap"], with: { dir: { $param: "dir" } } },
    };
    const more = {
      params: ["dir"],
      output: { paid: { $output: "each" } },
      budget: { tokens: { soft: 1, hard: 2 } },
      onBudget: "fail",
    };
    expect(mistakes(tasks, more, { dir: "a" })).toEqual([]);
  });
});

test("a pipeline's tasks have its item, and what the task before made of it", () => {
  const tasks = {
    list: { do: "SHOP.list", with: { dir: { $item: true } } },
    pay: { do: "SHOP.pay", with: { file: { $output: "list", path: "files.0" } } },
  };
  const pipeline = { mode: "pipeline", items: { $param: "dirs" }, buffer: 2, params: ["dirs"] };
  expect(mistakes(tasks, pipeline, { dirs: ["a"] })).toEqual([]);
  expect(mistakes(tasks, pipeline, { dirs: "a" })).toEqual([
    "/input/dirs must be a list: /workflow/stages/main/items goes over it",
  ]);
  expect(mistakes(tasks, { mode: "pipeline" })).toEqual([
    "/workflow/items is required by a pipeline",
  ]);
});

test("a budget has units and limits that make sense", () => {
  const budget = { wallMs: { soft: 5, hard: 2 }, Tokens: {} };
  expect(mistakes({ a: pay }, { budget })).toEqual([
    "/workflow/budget/wallMs warns at 5, which must be below its hard limit 2",
    "/workflow/budget/Tokens is no unit: it must be wallMs, tasks, or a word that agents spend, as tokens",
    "/workflow/budget/Tokens has no limit: say soft or hard",
  ]);
});

test("a sequence is a chain in the order of its keys", () => {
  const { stages } = parseDefinition({
    id: "s",
    mode: "sequential",
    tasks: { a: pay, b: pay, c: { ...pay, after: ["a"] } },
  });
  expect(Object.values(stages["main"]?.tasks ?? {}).map(({ after }) => after)).toEqual([
    undefined,
    ["a"],
    ["a", "b"],
  ]);
});

test("what can be undone is undone, unless its task says not", () => {
  const definition = parseDefinition({
    id: "s",
    tasks: { list, pay, keep: { ...pay, compensate: false } },
  });
  const find = (name: string) => (name === "SHOP" ? shop : undefined);
  const tasks = completeDefinition(definition, find).stages["main"]?.tasks ?? {};
  expect(Object.entries(tasks).map(([key, { compensate }]) => [key, compensate])).toEqual([
    ["list", undefined],
    ["pay", true],
    ["keep", false],
  ]);
});

test("the demo is right", () => {
  const find = (name: string) => agentDefinitions.find((agent) => agent.name === name);
  expect(() => checkDefinition(demo, {}, find)).not.toThrow();
});
