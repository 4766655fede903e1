/**
 * Makes the views of the facade from rows of the database and from runs in memory.
 *
 * @module
 */

import type { AgentCard } from "../actors/define-agent.ts";
import type { TaskDefinition, WorkflowDefinition } from "../actors/define-workflow.ts";
import type { AgentState, Progress } from "../actors/ports.ts";
import type { JournalRow, RunRow, TaskRow } from "../db/view-repo.ts";
import type { Json } from "../machines/error-code.ts";
import type { JournalDraft, TaskState } from "../machines/run/state.ts";
import { isInFlight, isSatisfied } from "../machines/task.ts";
import { actionOf, kindOf } from "./engine/compile-definition.ts";
import type { OwnedRun } from "./engine/owned-run.ts";
import type {
  AgentView,
  JournalEntry,
  LoopFigures,
  TaskStatus,
  TaskView,
  WorkflowGraph,
  WorkflowStatus,
  WorkflowView,
} from "./system.ts";

/** Larger outputs are left out of live events; the API has them. */
const liveOutputBytes = 32 * 1024;

function iso(atMs: number | null): string | null {
  return atMs === null ? null : new Date(atMs).toISOString();
}

export function viewOfRow(row: RunRow): WorkflowView {
  return {
    id: row.id,
    workflow: row.workflow,
    title: row.title,
    version: row.definitionHash,
    status: row.status as WorkflowStatus,
    state: row.place,
    progress: row.total === 0 ? 0 : row.done / row.total,
    tasks: { total: row.total, done: row.done, running: row.running, failed: row.failed },
    priority: row.priority,
    createdAt: new Date(row.createdAtMs).toISOString(),
    startedAt: iso(row.startedAtMs),
    finishedAt: iso(row.finishedAtMs),
    input: row.input,
    ...(row.output === null ? {} : { output: row.output }),
    ...(row.error === null ? {} : { error: row.error }),
    ...(row.archivedAtMs === undefined ? {} : { archivedAt: iso(row.archivedAtMs) ?? "" }),
  };
}

export function viewOfRun(run: OwnedRun): WorkflowView {
  const { state, definition } = run;
  const statuses = [...state.tasks.values()].map(({ status }) => status);
  return viewOfRow({
    id: run.id,
    workflow: definition.id,
    title: definition.title,
    definitionHash: run.definitionHash,
    status: state.status,
    place: state.place,
    priority: state.priority,
    input: state.input,
    output: state.output,
    error: state.error,
    createdAtMs: run.createdAtMs,
    startedAtMs: state.startedAtMs,
    finishedAtMs: state.finishedAtMs,
    total: statuses.length,
    done: statuses.filter(isSatisfied).length,
    running: statuses.filter(isInFlight).length,
    failed: statuses.filter((status) => status === "failed").length,
  });
}

interface PlacedTask {
  readonly key: string;
  readonly stage: string;
  readonly task: TaskDefinition;
}

export function tasksOf(definition: WorkflowDefinition): readonly PlacedTask[] {
  return Object.entries(definition.stages).flatMap(([stage, { tasks }]) =>
    Object.entries(tasks).map(([key, task]) => ({ key, stage, task })),
  );
}

/** Parts of a task's key: its name in the definition, its round, and its item. */
const keyParts = /^([^#[]+)(?:#(\d+))?(?:\[(\d+)\])?$/;

interface TaskInstance {
  readonly plan: string;
  readonly iteration: number;
  readonly index: number | null;
}

function instanceOf(key: string): TaskInstance {
  const [, plan = key, iteration = "1", index] = keyParts.exec(key) ?? [];
  return { plan, iteration: Number(iteration), index: index === undefined ? null : Number(index) };
}

/** All tasks of a run in the definition's order: each followed by its items, round by round. */
export function viewsOfTasks(
  definition: WorkflowDefinition,
  rows: readonly TaskRow[],
  progress: (key: string) => Progress | undefined,
): TaskView[] {
  const byPlan = new Map<string, (TaskInstance & { readonly row: TaskRow })[]>();
  for (const row of rows) {
    const instance = { ...instanceOf(row.key), row };
    const list = byPlan.get(instance.plan) ?? [];
    list.push(instance);
    byPlan.set(instance.plan, list);
  }
  return tasksOf(definition).flatMap((placed) => {
    const all = (byPlan.get(placed.key) ?? []).sort(
      (a, b) => a.iteration - b.iteration || (a.index ?? -1) - (b.index ?? -1),
    );
    return all.map(({ index, iteration, row }) => {
      const view = viewOfTask(placed, row, row.output ?? undefined, progress(row.key));
      if (index !== null) return view;
      const items = all.filter((one) => one.index !== null && one.iteration === iteration);
      return items.length === 0 ? view : { ...view, items: itemsOf(items.map((one) => one.row)) };
    });
  });
}

function itemsOf(rows: readonly TaskRow[]): NonNullable<TaskView["items"]> {
  const statuses = rows.map(({ status }) => status as TaskStatus);
  return {
    total: statuses.length,
    done: statuses.filter(isSatisfied).length,
    running: statuses.filter(isInFlight).length,
    failed: statuses.filter((status) => status === "failed").length,
  };
}

export function viewOfTask(
  placed: PlacedTask,
  row: TaskRow | TaskState,
  output: Json | undefined,
  progress: Progress | undefined,
): TaskView {
  const { agent, action } = actionOf(placed.task);
  const { index } = instanceOf(row.key);
  const title = placed.task.title ?? placed.key;
  return {
    key: row.key,
    kind: kindOf(placed.task),
    title: index === null ? title : `${title} [${index}]`,
    ...(index === null ? {} : { of: row.key.slice(0, row.key.lastIndexOf("[")) }),
    stage: placed.stage,
    agent,
    action,
    after: placed.task.after ?? [],
    status: row.status as TaskStatus,
    attempt: row.attempt,
    ...(progress === undefined ? {} : { progress }),
    ...(output === undefined ? {} : { output }),
    ...(row.error === null ? {} : { error: row.error }),
    readyAt: iso(row.readyAtMs),
    startedAt: iso(row.startedAtMs),
    finishedAt: iso(row.finishedAtMs),
    node: row.node,
  };
}

/** The view of a task for the live stream, or undefined for an item of a list, and when the definition has no such task. */
export function liveTask(
  run: OwnedRun,
  key: string,
  output: Json | undefined,
  progress: Progress | undefined,
): TaskView | undefined {
  const state = run.state.tasks.get(key);
  const { index, plan } = instanceOf(key);
  // Items are counted by the task that stands for them.
  if (index !== null) return undefined;
  const placed = tasksOf(run.definition).find((task) => task.key === plan);
  if (state === undefined || placed === undefined) return undefined;
  const isSmall = output !== undefined && JSON.stringify(output).length <= liveOutputBytes;
  return viewOfTask(placed, state, isSmall ? output : undefined, progress);
}

export function journalEntry(row: JournalRow | JournalDraft): JournalEntry {
  const { seq, type, actor, payload } = row;
  return { seq, type, actor, payload, at: new Date(row.atMs).toISOString() };
}

export function graphOf(definition: WorkflowDefinition, rows: readonly TaskRow[]): WorkflowGraph {
  const statuses = new Map(rows.map(({ key, status }) => [key, status as TaskStatus]));
  const placed = tasksOf(definition);
  return {
    stages: Object.entries(definition.stages).map(([name, { title, tasks }]) => ({
      name,
      title,
      tasks: Object.keys(tasks),
    })),
    nodes: placed.map(({ key, stage, task }) => ({
      key,
      stage,
      title: task.title ?? key,
      agent: actionOf(task).agent,
      status: statuses.get(key) ?? "blocked",
    })),
    edges: placed.flatMap(({ key, task }) => (task.after ?? []).map((from) => ({ from, to: key }))),
  };
}

export function viewOfAgent(definition: AgentCard, state: AgentState | undefined): AgentView {
  const finished = (state?.succeeded ?? 0) + (state?.failed ?? 0);
  return {
    name: definition.name,
    category: definition.category,
    description: definition.description,
    capabilities: Object.keys(definition.capabilities),
    skills: definition.skills,
    dependsOn: definition.dependsOn,
    status: state?.status ?? "starting",
    health: state?.health ?? "unknown",
    restarts: state?.restarts ?? 0,
    inFlight: state?.inFlight ?? 0,
    concurrency: definition.concurrency,
    successRate: finished === 0 ? null : (state?.succeeded ?? 0) / finished,
    averageMs: finished === 0 ? null : (state?.busyMs ?? 0) / finished,
    lastSeenAt: state?.lastSeenAt?.toISOString() ?? null,
    threadId: state?.threadId ?? null,
    permissions: { ...definition.permissions },
    resources: definition.resources,
    figures: state === undefined ? null : figuresOf(state),
  };
}

/** Of the running thread; null while there is none. */
export function figuresOf({ figures }: AgentState): LoopFigures | null {
  if (figures === null) return null;
  const { arrayBufferBytes, cpuMs, heapBytes, lagMs } = figures;
  return { lagMs, cpuMs, heapBytes, bufferBytes: arrayBufferBytes };
}
