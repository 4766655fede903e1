/**
 * The work of a run as graphs: one with a node for each task, for people, and one with a node for
 * each item of a group, for the clock.
 *
 * @module
 */

import type { Json } from "../error-code.ts";
import type { PlanGroup, PlanTask, RunPlan } from "../run/plan.ts";
import { type RunState, type TaskState, taskInstance } from "../run/state.ts";
import { holds, refsOf, resolve } from "../run/values.ts";
import { isSatisfied } from "../task.ts";
import { type ChartTimers, type StageVisit, stageOrder } from "./stage-order.ts";
import type { PoolUse, WorkNode } from "./work-graph.ts";

/** A task as planned. */
export interface PlannedTask {
  readonly key: string;
  readonly planned: PlanTask;
  readonly stage: string;
  readonly after: readonly string[];
  readonly state: TaskState | undefined;
  /** Instances of its group; null when it has none. */
  readonly items: { readonly count: number; readonly known: boolean } | null;
  /** It stands in for another, or its condition does not hold. */
  readonly skipped: boolean;
  /** Whether it runs is decided by what is not known yet. */
  readonly conditional: boolean;
}

/** What a node of the clock's graph stands for; null for a milestone. */
export interface NodeTask {
  readonly planned: PlanTask;
  readonly state: TaskState | undefined;
  /** Set for the chart's own timer. */
  readonly delayMs: number | null;
}

export interface RunGraph {
  readonly tasks: readonly PlannedTask[];
  /** By task: what `parallelGroups` and `checkpoints` read. */
  readonly overview: readonly WorkNode[];
  /** By item. */
  readonly work: readonly WorkNode[];
  /** By index of `work`. */
  readonly parts: readonly (NodeTask | null)[];
  /** False: what comes after these stages is decided by signals or outputs. */
  readonly complete: boolean;
}

export interface RunGraphOptions {
  readonly plan: RunPlan;
  /** Null before the start. */
  readonly state: RunState | null;
  readonly input: Json;
  /** Epoch ms, of the clock that the state's times are of. */
  readonly nowMs: number;
  /** Expected items of a group whose list is not known yet. */
  itemsOf(group: string): number;
  connectionsOf(agent: string, action: string): number;
}

interface Builder extends RunGraphOptions {
  readonly overview: WorkNode[];
  readonly work: WorkNode[];
  readonly parts: (NodeTask | null)[];
  readonly tasks: PlannedTask[];
}

/** Milestones cannot be taken for tasks: no key of a task has a space. */
export const stageEnd = (instance: string) => `stage ${instance}`;
const groupBegin = (instance: string) => `begin ${instance}`;

export function runGraph(options: RunGraphOptions): RunGraph {
  const { plan, state, input } = options;
  const order = stageOrder(plan, state?.chart ?? null, input, chartTimers(options));
  const builder: Builder = { ...options, overview: [], work: [], parts: [], tasks: [] };
  const past = pastStages(options, order.visits);
  const over = past.at(-1);
  const sinceStart = over === undefined ? [] : [stageEnd(over.instance)];
  for (const visit of past) addStage(builder, visit, []);
  // What is active now comes after all that is over.
  for (const visit of order.visits) addStage(builder, visit, sinceStart);
  const { overview, parts, tasks, work } = builder;
  return { overview, parts, tasks, work, complete: order.complete };
}

function chartTimers({ nowMs, state }: RunGraphOptions): ChartTimers {
  const timers = new Map<string, { delayMs: number; event: Json }>();
  for (const { dueAtMs, event, remainingMs } of state?.timers.values() ?? []) {
    const { type, timer, event: told } = event as { type?: string; timer?: string; event?: Json };
    if (type !== "chart.due" || timer === undefined || told === undefined) continue;
    const delayMs = Math.max(0, remainingMs ?? (dueAtMs ?? nowMs) - nowMs);
    timers.set(timer, { delayMs, event: told });
  }
  return timers;
}

/** Stages that the run has left, each after the one before. */
function pastStages({ plan, state }: RunGraphOptions, ahead: readonly StageVisit[]): StageVisit[] {
  const coming = new Set(ahead.map(({ instance }) => instance));
  const past: StageVisit[] = [];
  for (const [stage, iterations] of Object.entries(state?.chart?.entered ?? {})) {
    for (let iteration = 1; iteration <= iterations; iteration += 1) {
      const instance = iteration === 1 ? stage : `${stage}#${iteration}`;
      if (!coming.has(instance) && plan.stages.has(stage)) {
        past.push({ instance, stage, iteration, after: [], delayMs: 0 });
      }
    }
  }
  const endOf = ({ stage, iteration }: StageVisit) =>
    Math.max(
      0,
      ...(plan.stages.get(stage) ?? []).map(
        (key) => state?.tasks.get(taskInstance(key, iteration))?.finishedAtMs ?? 0,
      ),
    );
  const sorted = past.toSorted((a, b) => endOf(a) - endOf(b));
  return sorted.map((visit, index) => {
    const before = sorted[index - 1];
    return before === undefined ? visit : { ...visit, after: [before.instance] };
  });
}

function addStage(builder: Builder, visit: StageVisit, otherwise: readonly string[]): void {
  const { plan } = builder;
  const before = visit.after.length > 0 ? visit.after.map(stageEnd) : otherwise;
  const entry = visit.delayMs > 0 ? [addDelay(builder, visit, before)] : before;
  const keys = plan.stages.get(visit.stage) ?? [];
  for (const key of keys) addTask(builder, visit, key, entry);
  const all = keys.map((key) => taskInstance(key, visit.iteration));
  const end: WorkNode = {
    key: stageEnd(visit.instance),
    after: all.length === 0 ? entry : all,
    kind: "milestone",
    uses: [],
    priority: 0,
  };
  builder.overview.push(end);
  add(builder, end, null);
}

function addDelay(builder: Builder, visit: StageVisit, after: readonly string[]): string {
  const key = `delay ${visit.instance}`;
  const [planned] = builder.plan.tasks.values();
  const node: WorkNode = { key, after, kind: "milestone", uses: [], priority: 0 };
  builder.overview.push(node);
  if (planned !== undefined) {
    add(builder, { ...node, kind: "task" }, { planned, state: undefined, delayMs: visit.delayMs });
  }
  return key;
}

function add(builder: Builder, node: WorkNode, part: NodeTask | null): void {
  builder.work.push(node);
  builder.parts.push(part);
}

function addTask(builder: Builder, visit: StageVisit, key: string, entry: readonly string[]): void {
  const planned = builder.plan.tasks.get(key);
  if (planned === undefined) return;
  const instance = taskInstance(key, visit.iteration);
  const state = builder.state?.tasks.get(instance);
  const inStage = planned.after.filter(
    (other) => builder.plan.tasks.get(other)?.stage === planned.stage,
  );
  const after =
    inStage.length === 0 ? entry : inStage.map((other) => taskInstance(other, visit.iteration));
  const isOver = state !== undefined && isSatisfied(state.status);
  const condition = isOver ? "holds" : conditionOf(planned, builder.input);
  const skipped = state?.status === "skipped" || (!isOver && condition === "fails");
  const group = planned.group === null ? undefined : builder.plan.groups.get(planned.group);
  const items = group === undefined || skipped ? null : itemsOf(builder, group, visit, state);
  const node: WorkNode = {
    key: instance,
    after,
    kind: skipped ? "milestone" : "task",
    uses: skipped ? [] : usesOf(builder, planned),
    priority: state?.priority ?? planned.priority,
  };
  builder.tasks.push({
    key: instance,
    planned,
    stage: visit.instance,
    after: inStage.map((other) => taskInstance(other, visit.iteration)),
    state,
    items,
    skipped,
    conditional: condition === "open",
  });
  builder.overview.push(node);
  if (group === undefined || items === null) {
    add(builder, node, skipped ? null : { planned, state, delayMs: null });
  } else {
    addItems(builder, { group, visit, planned, node, count: items.count });
  }
}

/** A condition that reads only the run's input is decided; one that reads outputs is open. */
function conditionOf(planned: PlanTask, input: Json): "holds" | "fails" | "open" {
  if (planned.alternativeTo !== null) return "fails";
  if (planned.when === null) return "holds";
  if (refsOf(planned.when).some(({ kind }) => kind !== "param")) return "open";
  try {
    return holds(planned.when, { input, output: () => undefined }) ? "holds" : "fails";
  } catch {
    return "open";
  }
}

function itemsOf(
  { input, itemsOf: expected, state: run }: Builder,
  group: PlanGroup,
  { iteration }: StageVisit,
  state: TaskState | undefined,
): NonNullable<PlannedTask["items"]> {
  if (state !== undefined && state.left !== null) {
    let count = 0;
    while (run?.tasks.has(taskInstance(state.plan, iteration, count)) === true) count += 1;
    return { count, known: true };
  }
  if (refsOf(group.items).every(({ kind }) => kind === "param")) {
    try {
      const list = resolve(group.items, { input, output: () => undefined });
      if (Array.isArray(list)) return { count: list.length, known: true };
    } catch {
      return { count: expected(group.key), known: false };
    }
  }
  return { count: expected(group.key), known: false };
}

interface ItemsOptions {
  readonly group: PlanGroup;
  readonly visit: StageVisit;
  readonly planned: PlanTask;
  readonly node: WorkNode;
  readonly count: number;
}

/** One node for each item; an item enters when the one that is a window ahead has left. */
function addItems(builder: Builder, { count, group, node, planned, visit }: ItemsOptions): void {
  const name = (key: string, index: number | null = null) =>
    taskInstance(key, visit.iteration, index);
  const inGroup = planned.after.filter((key) => group.tasks.includes(key));
  const outside = node.after.filter((key) => !inGroup.some((other) => name(other) === key));
  const begin = groupBegin(node.key);
  const last = group.tasks.at(-1) ?? planned.key;
  add(builder, { key: begin, after: outside, kind: "milestone", uses: [], priority: 0 }, null);
  const keys: string[] = [];
  for (let index = 0; index < count; index += 1) {
    const isFirst = planned.key === group.tasks[0];
    const ahead = isFirst && index >= group.window ? [name(last, index - group.window)] : [];
    const after = [begin, ...inGroup.map((key) => name(key, index)), ...ahead];
    const key = name(planned.key, index);
    keys.push(key);
    const state = builder.state?.tasks.get(key);
    add(builder, { ...node, key, after }, { planned, state, delayMs: null });
  }
  const after = keys.length === 0 ? [begin] : keys;
  add(builder, { key: node.key, after, kind: "milestone", uses: [], priority: 0 }, null);
}

function usesOf({ connectionsOf }: Builder, { action, agent, kind }: PlanTask): readonly PoolUse[] {
  if (kind !== "action") return [];
  const connections = connectionsOf(agent, action);
  return [
    { pool: `agent/${agent}`, units: 1 },
    { pool: "run", units: 1 },
    ...(connections === 0 ? [] : [{ pool: "connections", units: connections }]),
  ];
}
