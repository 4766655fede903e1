/**
 * Random plans that use everything a workflow can say: groups, pipelines, waits, sagas, charts,
 * budgets, strategies.
 *
 * @module
 */

import fc from "fast-check";
import type { PlanGroup, PlanOptions, RunPlan } from "../../machines/run/plan.ts";
import { chartPlanOf, type Stages, type TaskOptions } from "./run-events.ts";

const undoneByAction = { agent: "A", action: "undo" };
const undoneByChild = { agent: "", action: "" };

const anyTask = fc.record({
  kind: fc.constantFrom(
    "action",
    "action",
    "action",
    "action",
    "forEach",
    "signal",
    "approval",
    "sleep",
    "workflow",
  ),
  after: fc.array(fc.nat(1_000), { maxLength: 2 }),
  maxFailures: fc.integer({ min: 1, max: 3 }),
  onFailure: fc.constantFrom("fail", "fail", "skip", "rollback", "escalate", "alternative"),
  compensate: fc.boolean(),
  atMostOnce: fc.boolean(),
  local: fc.boolean(),
  when: fc.constantFrom(null, null, null, true, false),
  items: fc.nat(3),
  window: fc.integer({ min: 1, max: 2 }),
  startLimit: fc.constantFrom(null, null, 40),
  closeLimit: fc.constantFrom(null, null, 90),
});
type AnyTask = typeof anyTask extends fc.Arbitrary<infer T> ? T : never;

/** How the stages follow each other. */
const shapes = ["chain", "parallel", "loop", "timer", "left"] as const;

const anyBudget = fc.constantFrom<PlanOptions[]>(
  {},
  {},
  {},
  { budget: { tasks: { soft: 2, hard: 4 } }, onBudget: "pause" },
  { budget: { tasks: { soft: null, hard: 3 } }, onBudget: "fail" },
  { budget: { coins: { soft: 1, hard: 2 } }, onBudget: "pause" },
  { budget: { wallMs: { soft: 20, hard: 60 } }, onBudget: "pause" },
  { budget: { wallMs: { soft: null, hard: 80 } }, onBudget: "fail" },
);

/** What a plan is made of: plain, so that a failure can be read. */
export interface PlanDraft {
  readonly stages: Stages;
  readonly shape: (typeof shapes)[number];
  readonly options: PlanOptions;
}

export function planFrom({ options, shape, stages }: PlanDraft): RunPlan {
  return chartPlanOf(stages, chartOf(shape, Object.keys(stages)), options);
}

export const anyPlan: fc.Arbitrary<PlanDraft> = fc
  .record({
    stages: fc.array(
      fc.record({
        tasks: fc.array(anyTask, { minLength: 1, maxLength: 4 }),
        pipelineOf: fc.constantFrom(null, null, null, 0, 1, 3),
      }),
      { minLength: 1, maxLength: 3 },
    ),
    shape: fc.constantFrom(...shapes),
    budget: anyBudget,
  })
  .map(({ stages: drafts, shape, budget }) => {
    const stages: Record<string, Record<string, TaskOptions>> = {};
    const groups: PlanGroup[] = [];
    let count = 0;
    for (const [index, { tasks, pipelineOf }] of drafts.entries()) {
      const name = `s${index}`;
      const first = count;
      const made: Record<string, TaskOptions> = {};
      for (const draft of tasks) {
        const key = `t${count}`;
        count += 1;
        const made1 = pipelineOf === null ? taskOf(key, draft, first, groups) : pipedOf(draft);
        Object.assign(made, made1 === undefined ? {} : named(key, made1));
      }
      if (pipelineOf !== null) pipe(name, made, pipelineOf, groups);
      stages[name] = made;
    }
    return { stages, shape, options: { ...budget, groups } };
  });

/** The task, and what takes its place when its strategy says so. */
function named(key: string, task: TaskOptions): Record<string, TaskOptions> {
  if (task.onFailure !== `${key}x`) return { [key]: task };
  return { [key]: task, [`${key}x`]: { alternativeTo: key } };
}

function strategyOf(key: string, { onFailure }: AnyTask): string {
  return onFailure === "alternative" ? `${key}x` : onFailure;
}

/** @param first Number of the first task of its stage: tasks wait for those before them in it. */
function taskOf(
  key: string,
  draft: AnyTask,
  first: number,
  groups: PlanGroup[],
): TaskOptions | undefined {
  const number = Number(key.slice(1));
  const before = number - first;
  const after =
    before === 0 ? [] : [...new Set(draft.after.map((one) => `t${first + (one % before)}`))];
  const { kind, maxFailures, when } = draft;
  const common: TaskOptions = {
    after,
    maxFailures,
    onFailure: strategyOf(key, draft),
    when: when === null ? null : { $eq: [when, true] },
    timeouts: { scheduleToCloseMs: draft.closeLimit },
  };
  switch (kind) {
    case "signal":
      return { ...common, kind, signal: "go" };
    case "approval":
      return { ...common, kind };
    case "sleep":
      return { ...common, kind, sleepMs: 15, timeouts: {} };
    case "workflow":
      return { ...common, kind, workflow: "child", ...compensation(draft, undoneByChild) };
    case "forEach": {
      const items = Array.from({ length: draft.items }, (_, index) => index);
      groups.push({ key, items, window: draft.window, tasks: [key] });
      return { ...common, ...actionOf(draft), forEach: items, group: key };
    }
    case "action":
      return { ...common, ...actionOf(draft) };
    default:
      return kind satisfies never;
  }
}

function actionOf(draft: AnyTask): TaskOptions {
  const { atMostOnce, local, startLimit, closeLimit } = draft;
  return {
    atMostOnce,
    local,
    timeouts: { scheduleToStartMs: startLimit, scheduleToCloseMs: closeLimit },
    ...compensation(draft, undoneByAction),
  };
}

function compensation(
  { compensate }: AnyTask,
  by: NonNullable<TaskOptions["compensate"]>,
): Pick<TaskOptions, "compensate"> {
  return { compensate: compensate ? by : null };
}

/** In a pipeline a failure is the item's: it is skipped, or fails the whole. */
function pipedOf(draft: AnyTask): TaskOptions {
  const onFailure = draft.onFailure === "alternative" ? "skip" : draft.onFailure;
  return { ...actionOf(draft), maxFailures: draft.maxFailures, onFailure };
}

function pipe(
  stage: string,
  tasks: Record<string, TaskOptions>,
  length: number,
  groups: PlanGroup[],
): void {
  const keys = Object.keys(tasks);
  for (const [index, key] of keys.entries()) {
    const before = keys[index - 1];
    tasks[key] = { ...tasks[key], group: stage, after: before === undefined ? [] : [before] };
  }
  const items = Array.from({ length }, (_, index) => index);
  groups.push({ key: stage, items, window: 2, tasks: keys });
}

type Chart = Parameters<typeof chartPlanOf>[1];

function chartOf(shape: (typeof shapes)[number], names: readonly string[]): Chart {
  const ends = { completed: { type: "final" }, failed: { type: "final" } };
  const [first = ""] = names;
  if (shape === "parallel") {
    const states = Object.fromEntries(
      names.map((name) => [
        `r${name}`,
        {
          initial: "work",
          states: {
            work: { invoke: { src: name, id: name, onDone: "done", onError: "#chart.failed" } },
            done: { type: "final" },
          },
        },
      ]),
    );
    return {
      initial: "all",
      states: { all: { type: "parallel", states, onDone: "completed" }, ...ends },
    };
  }
  const states: Record<string, object> = { ...ends };
  for (const [index, name] of names.entries()) {
    const next = names[index + 1] ?? "completed";
    const invoke = { src: name, id: name, onDone: next, onError: "failed" };
    states[name] = { invoke, ...extraOf(shape, name, next) };
  }
  if (shape === "loop") {
    // Once more from the start as long as somebody says so.
    const last = names.at(-1) ?? "";
    const invoke = { src: last, id: last, onDone: "asks", onError: "failed" };
    states[last] = { invoke };
    states["asks"] = { on: { again: first, go: "completed" } };
  }
  return { initial: first, states };
}

function extraOf(shape: string, name: string, next: string): object {
  if (shape === "timer") return { after: { 70: next } };
  if (shape === "left")
    return { on: { leave: next }, entry: [{ type: "set", params: { at: name } }] };
  return {};
}
