/** @module Tests of machines as workflows: what is kept, and what is refused because it is code. */

import { expect, test } from "vitest";
import { assign, createMachine, fromPromise, setup } from "xstate";
import { defineStatechart } from "../../actors/define-workflow.ts";
import { parseDefinition } from "../../runtime/engine/parse-definition.ts";
import { RequestError } from "../../runtime/system.ts";

test("invoked actions and workflows become stages of one task, and the machine's own id the chart's", () => {
  const machine = createMachine({
    id: "own",
    initial: "a",
    states: {
      a: {
        description: "for people",
        invoke: { src: "SHOP.list", input: { dir: { $param: "dir" } }, onDone: "#own.b" },
      },
      b: { invoke: { id: "sub", src: "workflow:child", onDone: "c" } },
      c: { type: "final" },
    },
  } as never);
  const { stages, statechart } = defineStatechart({ id: "w", params: ["dir"], machine });
  expect(stages).toEqual({
    a: {
      title: "a",
      tasks: { a: { do: "SHOP.list", title: "a", with: { dir: { $param: "dir" } } } },
    },
    sub: { title: "sub", tasks: { sub: { workflow: "child", title: "sub" } } },
  });
  expect(statechart).toEqual({
    initial: "a",
    states: {
      a: { invoke: { src: "a", id: "a", onDone: "#chart.b" } },
      b: { invoke: { src: "sub", id: "sub", onDone: "c" } },
      c: { type: "final" },
    },
  });
});

test("code is refused with its place, all of it at once", () => {
  const machine = setup({
    actors: { load: fromPromise(async () => 1) },
    guards: { isBig: () => true },
    delays: { soon: 5 },
  }).createMachine({
    context: { n: 0 },
    initial: "a",
    states: {
      a: {
        invoke: { src: "load", input: () => ({}), onDone: "b" },
        entry: assign({ n: 1 }),
        on: { GO: { target: "b", guard: "isBig" }, STAY: { guard: () => true, actions: () => {} } },
        after: { soon: "b" },
      },
      b: { type: "final" },
    },
  } as never);
  const stages = { load: { tasks: { load: { do: "SHOP.list" } } } };
  const define = () => defineStatechart({ id: "w", machine, stages });
  expect(define).toThrow(/^Cannot define workflow "w": /);
  for (const place of [
    "states.a.invoke.input is a function: write data with references",
    'states.a.entry is a function: write { type: "set"',
    'states.a.on.GO.guard is the name of code, "isBig": write { type: "when"',
    'states.a.on.STAY.guard is a function: write { type: "when"',
    'states.a.on.STAY.actions is a function: write { type: "set"',
    "states.a.after.soon is a named delay: write milliseconds",
  ]) {
    expect(define).toThrow(place);
  }
});

test("a machine as JSON is told its mistakes with their path", () => {
  const fields = (machine: object): readonly string[] => {
    try {
      parseDefinition({ id: "w", machine } as never);
      return [];
    } catch (error) {
      if (!(error instanceof RequestError)) throw error;
      return error.fields.map(({ pointer }) => pointer);
    }
  };
  const end = { type: "final" };
  const a = { invoke: { src: "SHOP.list", onDone: "end" } };
  expect(fields({ initial: "a", states: { a, end } })).toEqual([]);
  expect(fields({ initial: "a", states: { a: { ...a, spawn: 1 }, end } })).toEqual([
    "/workflow/machine/states/a/spawn",
  ]);
  expect(
    fields({ initial: "a", states: { a: { on: { GO: { target: "end", guard: "big" } } }, end } }),
  ).toEqual(["/workflow/machine/states/a/on/GO/guard"]);
  expect(fields({ initial: "a", states: { "x.y": a, end } })).toEqual([
    "/workflow/machine/states/x.y",
  ]);
});
