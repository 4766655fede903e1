/**
 * Bench of the engine's core alone: what an event costs in runs of 1,000 and of 10,000 tasks. It
 * must not depend on the size of the run.
 *
 * @module
 */

import { defineWorkflow, param, type TaskDefinition } from "../../../actors/define-workflow.ts";
import type { RunPlan } from "../../../machines/run/plan.ts";
import { initialRun, type RunEvent } from "../../../machines/run/state.ts";
import { beginTurn, type MutableRunState } from "../../../machines/run/turn.ts";
import { compileDefinition } from "../../../runtime/engine/compile-definition.ts";
import type { Figure } from "../figure.ts";

const sizes = [1_000, 10_000] as const;
/** A warm-up, so that the first size does not pay for the compiler. */
const warmUp = 2_000;

type Shape = (count: number) => { readonly plan: RunPlan; readonly items: number };

const add = { do: "WORKER.add" } as const;

const shapes: Readonly<Record<string, Shape>> = {
  chain: (count) => {
    const tasks: Record<string, TaskDefinition> = {};
    for (let n = 0; n < count; n += 1)
      tasks[`t${n}`] = n === 0 ? add : { ...add, after: [`t${n - 1}`] };
    return { plan: compileDefinition(defineWorkflow({ id: "chain", tasks })).plan, items: 0 };
  },
  "fan-out and fan-in": (count) => {
    const middle = Array.from({ length: count - 2 }, (_, n) => `t${n}`);
    const tasks: Record<string, TaskDefinition> = { first: add };
    for (const key of middle) tasks[key] = { ...add, after: ["first"] };
    tasks["last"] = { ...add, after: middle };
    return { plan: compileDefinition(defineWorkflow({ id: "wide", tasks })).plan, items: 0 };
  },
  forEach: (count) => {
    const tasks = { all: { ...add, forEach: param("list"), window: 64 } };
    const workflow = defineWorkflow({ id: "each", params: ["list"], tasks });
    return { plan: compileDefinition(workflow).plan, items: count };
  },
};

/** Leads a run from its start to its end, each event in a turn of its own; returns µs per event. */
function lead({ plan, items }: ReturnType<Shape>): number {
  const list = Array.from({ length: items }, (_, n) => n);
  const state = initialRun("run", plan, { input: { list } }) as MutableRunState;
  const ready: string[] = [];
  const apply = (event: RunEvent): void => {
    const turn = beginTurn(state, plan);
    turn.apply(event);
    turn.advance(state);
    for (const [key, { state: task }] of turn.changed())
      if (task.status === "ready") ready.push(key);
  };
  const who = { by: "bench", atMs: 0 };
  apply({ ...who, type: "run.start", paused: false });
  let events = 0;
  const begin = performance.now();
  for (let key = ready.shift(); key !== undefined; key = ready.shift()) {
    apply({ ...who, type: "task.dispatch", taskKey: key });
    apply({ ...who, type: "task.started", taskKey: key, attempt: 1, node: "n" });
    const outcome = { type: "succeeded", output: null } as const;
    apply({ ...who, type: "task.finished", taskKey: key, attempt: 1, outcome });
    events += 3;
  }
  const us = ((performance.now() - begin) * 1_000) / events;
  if (state.status !== "completed") throw new Error(`the run is ${state.status}`);
  return us;
}

export async function benchCore(runs: number): Promise<Figure[]> {
  return Object.entries(shapes).flatMap(([name, shape]) => {
    lead(shape(warmUp));
    const values: number[][] = sizes.map((size) => {
      const made = shape(size);
      return Array.from({ length: runs }, () => lead(made));
    });
    const [small = [], large = []] = values;
    const ratio = large.map((value, run) => value / (small[run] ?? value));
    return [
      { name: `core, ${name} of 1,000 tasks, each event`, values: small, unit: "µs" },
      { name: `core, ${name} of 10,000 tasks, each event`, values: large, unit: "µs" },
      {
        name: `core, ${name}: 10,000 against 1,000 tasks`,
        values: ratio,
        unit: "×",
        goal: { atMost: 1.2 },
        ifMissed: "an event costs more in a larger run",
      },
    ] satisfies Figure[];
  });
}
