/**
 * The execution plan of a run, before it starts or while it goes on: what runs when, what decides when
 * it ends, where it can be continued from and undone to, and what it needs.
 *
 * @module
 */

import type { Json } from "../error-code.ts";
import type { RunPlan } from "../run/plan.ts";
import type { RunState, TaskState } from "../run/state.ts";
import { isInFlight, isOpen, type TaskStatus } from "../task.ts";
import { type CriticalPath, criticalPath, type NodeDuration } from "./critical-path.ts";
import type { DurationEstimate, EstimateSource } from "./duration-estimate.ts";
import { knownDuration } from "./duration-estimate.ts";
import {
  type DurationHistory,
  estimateOf,
  expectedItems,
  failureRateOf,
} from "./duration-history.ts";
import { createForecast, type Forecast, type ForecastRun, type NodeForecast } from "./forecast.ts";
import type { NodeStart } from "./limited-schedule.ts";
import { checkpoints, parallelGroups } from "./parallel-groups.ts";
import { seedOf } from "./random-source.ts";
import { type NodeTask, type PlannedTask, type RunGraph, runGraph } from "./run-graph.ts";
import { createWorkGraph, type WorkGraph } from "./work-graph.ts";

/** Limits that the engine keeps to. */
export interface PlanLimits {
  agent(name: string): number;
  actionConnections(agent: string, action: string): number;
  readonly connections: number;
}

export interface ExecutionPlanOptions {
  readonly plan: RunPlan;
  /** Null before the start. */
  readonly state: RunState | null;
  readonly input: Json;
  readonly history: DurationHistory;
  readonly limits: PlanLimits;
  /** Epoch ms, of the clock that the state's times are of. */
  readonly nowMs: number;
  /** Names the forecast's random numbers: the same one gives the same plan. */
  readonly seed: string;
}

/** Times are epoch ms; durations ms. */
export interface TaskPlan {
  readonly key: string;
  readonly task: PlannedTask;
  readonly status: TaskStatus;
  readonly expectedMs: number;
  readonly source: EstimateSource | "actual";
  /** Past executions behind the estimate. */
  readonly observations: number;
  readonly startAtMs: number;
  readonly finishAtMs: number;
  /** How much later it may end without delaying the whole, limits left aside. */
  readonly slackMs: number;
  /** On the critical path. */
  readonly critical: boolean;
  /** In which part of the executions it decided when the run ended, limits included; 0 to 1. */
  readonly criticality: number;
}

export interface AgentNeed {
  readonly agent: string;
  readonly limit: number;
  readonly tasks: number;
  readonly peak: number;
  readonly busyMs: number;
}

export interface RollbackPoint {
  /** The checkpoint before which all of this is undone: a stage's end, or a task's. */
  readonly at: string;
  readonly undoes: readonly string[];
  /** Tasks of agents that nothing undoes. */
  readonly permanent: readonly string[];
}

export interface ExecutionPlan {
  /** Epoch ms; null: nothing is left to run. */
  readonly finish: {
    readonly expectedAtMs: number;
    readonly lowAtMs: number;
    readonly highAtMs: number;
  } | null;
  readonly samples: number;
  /** False: signals or outputs decide what comes after the tasks that are planned. */
  readonly complete: boolean;
  readonly criticalPath: readonly string[];
  /** Of the critical path, from the start (or from now, for what is left). */
  readonly criticalPathMs: number;
  readonly groups: readonly { readonly level: number; readonly keys: readonly string[] }[];
  readonly checkpoints: readonly string[];
  readonly rollbackPoints: readonly RollbackPoint[];
  readonly tasks: readonly TaskPlan[];
  readonly agents: readonly AgentNeed[];
  readonly peakTasks: number;
  readonly peakConnections: number;
}

/** A plan whose forecast is still to be drawn, sample by sample. */
export interface PlanRun {
  step(): boolean;
  result(): ExecutionPlan;
}

interface Prepared {
  readonly options: ExecutionPlanOptions;
  readonly run: RunGraph;
  readonly graph: WorkGraph;
  readonly nodes: readonly NodeForecast[];
}

export function planRun(options: ExecutionPlanOptions): PlanRun {
  const { history, input, limits, nowMs, plan, state } = options;
  const run = runGraph({
    plan,
    state,
    input,
    nowMs,
    itemsOf: (group) => expectedItems(plan.groups.get(group)?.tasks ?? [], history),
    connectionsOf: (agent, action) => limits.actionConnections(agent, action),
  });
  const graph = createWorkGraph(run.work);
  const known = new Map<string, DurationEstimate>();
  const nodes = run.parts.map((part) => nodeForecast(part, options, known));
  const pools = poolsOf(options);
  const forecast: ForecastRun = createForecast({ graph, pools, nodes, seed: seedOf(options.seed) });
  return {
    step: forecast.step,
    result: () => assemble({ options, run, graph, nodes }, forecast.result()),
  };
}

/** All at once. */
export function executionPlan(options: ExecutionPlanOptions): ExecutionPlan {
  const run = planRun(options);
  while (run.step());
  return run.result();
}

function poolsOf({ limits, plan }: ExecutionPlanOptions): ReadonlyMap<string, number> {
  const agents = new Set([...plan.tasks.values()].map(({ agent }) => agent));
  return new Map([
    ...[...agents].map((agent) => [`agent/${agent}`, limits.agent(agent)] as const),
    ["run", plan.maxParallel],
    ["connections", limits.connections],
  ]);
}

const nothing = knownDuration(0);

function nodeForecast(
  part: NodeTask | null,
  { history, input, nowMs, state: run }: ExecutionPlanOptions,
  known: Map<string, DurationEstimate>,
): NodeForecast {
  const open: NodeStart = { type: "open", notBeforeMs: 0 };
  const retry = part?.planned.retry ?? noRetry;
  const base = { failureRate: 0, retry, longestMs: Number.POSITIVE_INFINITY, elapsedMs: 0 };
  if (part === null) return { ...base, estimate: nothing, state: open };
  const { delayMs, planned, state } = part;
  if (delayMs !== null) return { ...base, estimate: knownDuration(delayMs), state: open };
  const estimate = known.get(planned.key) ?? estimateOf(planned, history, input);
  known.set(planned.key, estimate);
  const isAction = planned.kind === "action";
  const isRunning = state !== undefined && (isInFlight(state.status) || state.status === "parked");
  return {
    estimate,
    failureRate: isAction ? failureRateOf(planned.key, history) : 0,
    retry,
    longestMs: isAction ? planned.timeouts.startToCloseMs : Number.POSITIVE_INFINITY,
    state: startOf(state, run, nowMs),
    elapsedMs: isRunning ? Math.max(0, nowMs - (state.startedAtMs ?? nowMs)) : 0,
  };
}

const noRetry: NodeForecast["retry"] = {
  maxFailures: 1,
  kind: "fixed",
  initialMs: 0,
  maxMs: 0,
  jitter: 0,
  totalMs: null,
  nonRetryable: [],
};

function startOf(task: TaskState | undefined, run: RunState | null, nowMs: number): NodeStart {
  if (task === undefined) return { type: "open", notBeforeMs: 0 };
  if (!isOpen(task.status)) return { type: "done" };
  // What waits for an operator is taken to be decided about as fast as the task runs.
  const isRunning = isInFlight(task.status) || task.status === "parked";
  if (isRunning || task.status === "compensating") return { type: "running" };
  const timer = task.status === "retrying" ? run?.timers.get(`retry/${task.key}`) : undefined;
  const leftMs = timer?.remainingMs ?? (timer?.dueAtMs ?? nowMs) - nowMs;
  return { type: "open", notBeforeMs: Math.max(0, leftMs) };
}

function assemble(prepared: Prepared, forecast: Forecast): ExecutionPlan {
  const { graph, options, run } = prepared;
  const exact = exactTimes(prepared);
  const onPath = new Set(exact.path.map((index) => taskKeyOf(graph.nodes[index]?.key ?? "")));
  const indexOf = new Map(graph.nodes.map(({ key }, index) => [key, index]));
  const tasks = run.tasks.map((task) =>
    taskPlan(task, { ...prepared, forecast, exact, onPath, indexOf }),
  );
  const overview = createWorkGraph(run.overview);
  const points = checkpoints(overview).map((index) => overview.nodes[index]?.key ?? "");
  const left = prepared.nodes.some(
    ({ state }, index) => state.type !== "done" && run.parts[index] !== null,
  );
  const { nowMs } = options;
  const { expectedMs, highMs, lowMs } = forecast.finish;
  const path = run.tasks.filter(({ key, skipped }) => onPath.has(key) && !skipped);
  return {
    finish: left
      ? { expectedAtMs: nowMs + expectedMs, lowAtMs: nowMs + lowMs, highAtMs: nowMs + highMs }
      : null,
    samples: forecast.samples,
    complete: run.complete,
    criticalPath: path.map(({ key }) => key),
    criticalPathMs: exact.finishMs,
    groups: parallelGroups(overview),
    checkpoints: points,
    rollbackPoints: rollbackPoints(overview, points, run.tasks),
    tasks,
    agents: agentNeeds(options, run.tasks, forecast),
    peakTasks: forecast.peakTasks,
    peakConnections: forecast.use.get("connections")?.peak ?? 0,
  };
}

/** `render` of `render[7]` and of `begin render`. */
function taskKeyOf(node: string): string {
  return node.replace(/\[\d+\]$/, "").replace(/^begin /, "");
}

/** The critical path over actual times of what has begun and medians of what has not; 0 is the start. */
function exactTimes({ graph, nodes, options, run }: Prepared): CriticalPath {
  const { nowMs, state } = options;
  const zeroMs = state?.startedAtMs ?? nowMs;
  const sinceMs = nowMs - zeroMs;
  return criticalPath(graph, (index): NodeDuration => {
    const node = nodes[index];
    const part = run.parts[index];
    if (node === undefined || part === undefined || part === null) return { durationMs: 0 };
    const { estimate, elapsedMs, state: start } = node;
    const { finishedAtMs, startedAtMs } = part.state ?? {};
    if (start.type === "done") {
      const begunAtMs = (startedAtMs ?? finishedAtMs ?? zeroMs) - zeroMs;
      return {
        durationMs: (finishedAtMs ?? startedAtMs ?? zeroMs) - zeroMs - begunAtMs,
        begunAtMs,
      };
    }
    const medianMs = Math.min(estimate.medianMs, node.longestMs);
    if (start.type === "running") {
      return { durationMs: Math.max(medianMs, elapsedMs), begunAtMs: sinceMs - elapsedMs };
    }
    return { durationMs: medianMs, notBeforeMs: sinceMs + start.notBeforeMs };
  });
}

interface TaskContext extends Prepared {
  readonly forecast: Forecast;
  readonly exact: CriticalPath;
  readonly onPath: ReadonlySet<string>;
  readonly indexOf: ReadonlyMap<string, number>;
}

function taskPlan(task: PlannedTask, context: TaskContext): TaskPlan {
  const { exact, forecast, indexOf, nodes, onPath, options } = context;
  const { key, state } = task;
  const end = indexOf.get(key) ?? 0;
  const first = task.items === null ? end : (indexOf.get(`begin ${key}`) ?? end);
  const one = task.items === null ? end : (indexOf.get(`${key}[0]`) ?? end);
  const node = nodes[one];
  const isOver = state !== undefined && !isOpen(state.status);
  const actualMs = isOver
    ? (state.finishedAtMs ?? 0) - (state.startedAtMs ?? state.finishedAtMs ?? 0)
    : 0;
  const beginsAtMs = options.nowMs + (forecast.nodes[first]?.startMs ?? 0);
  const endsAtMs = options.nowMs + (forecast.nodes[end]?.finishMs ?? 0);
  return {
    key,
    task,
    status: state?.status ?? "blocked",
    expectedMs: isOver ? actualMs : task.skipped ? 0 : (node?.estimate.medianMs ?? 0),
    source: isOver ? "actual" : (node?.estimate.source ?? "guess"),
    observations: node?.estimate.count ?? 0,
    startAtMs: state?.startedAtMs ?? (isOver ? (state.finishedAtMs ?? beginsAtMs) : beginsAtMs),
    finishAtMs: isOver ? (state.finishedAtMs ?? endsAtMs) : endsAtMs,
    slackMs: exact.times[end]?.slackMs ?? 0,
    critical: onPath.has(key) && !task.skipped,
    criticality: isOver ? 0 : (forecast.nodes[end]?.criticality ?? 0),
  };
}

/** Between each two checkpoints: what a rollback undoes, and what it cannot. */
function rollbackPoints(
  { nodes, order }: WorkGraph,
  points: readonly string[],
  tasks: readonly PlannedTask[],
): RollbackPoint[] {
  const byKey = new Map(tasks.map((task) => [task.key, task]));
  const ends = new Set(points);
  const found: RollbackPoint[] = [];
  let [undoes, permanent]: [string[], string[]] = [[], []];
  for (const index of order) {
    const key = nodes[index]?.key ?? "";
    const task = byKey.get(key);
    if (task?.planned.kind === "action" && !task.skipped) {
      (task.planned.compensate === null ? permanent : undoes).push(key);
    }
    if (!ends.has(key)) continue;
    if (undoes.length + permanent.length > 0) found.push({ at: key, undoes, permanent });
    [undoes, permanent] = [[], []];
  }
  return found;
}

function agentNeeds(
  { limits }: ExecutionPlanOptions,
  tasks: readonly PlannedTask[],
  { use }: Forecast,
): AgentNeed[] {
  const counts = new Map<string, number>();
  for (const { items, planned, skipped } of tasks) {
    if (planned.kind !== "action" || skipped) continue;
    counts.set(planned.agent, (counts.get(planned.agent) ?? 0) + (items?.count ?? 1));
  }
  return [...counts].map(([agent, count]) => {
    const figures = use.get(`agent/${agent}`);
    const limit = limits.agent(agent);
    return { agent, limit, tasks: count, peak: figures?.peak ?? 0, busyMs: figures?.busyMs ?? 0 };
  });
}
