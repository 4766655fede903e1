/**
 * What the page knows, and how frames of the live stream change it. Pure, so that it is tested
 * without a browser.
 *
 * @module
 */

import type {
  AgentView,
  JournalEntry,
  LiveBody,
  SystemMetrics,
  SystemStatus,
  TaskView,
  WorkflowGraph,
  WorkflowView,
} from "../../runtime/system.ts";
import type { LiveState, ServerFrame } from "../live/frames.ts";

/** Journal entries that the page keeps. */
export const MAX_JOURNAL = 1_000;

export interface Run {
  readonly workflow: WorkflowView;
  readonly tasks: ReadonlyMap<string, TaskView>;
  readonly graph: WorkflowGraph | null;
}

export interface Model {
  readonly status: SystemStatus | null;
  readonly metrics: SystemMetrics | null;
  /** By name. */
  readonly agents: ReadonlyMap<string, AgentView>;
  /** By id, newest first. */
  readonly workflows: ReadonlyMap<string, WorkflowView>;
  /** The run that is looked at: null when it does not exist, undefined before it is known. */
  readonly run: Run | null | undefined;
  /** Of the run, by growing `seq`. */
  readonly journal: readonly JournalEntry[];
  /** When the status was received, for an uptime that goes on; milliseconds of the page's clock. */
  readonly statusAtMs: number;
}

export const EMPTY_MODEL: Model = {
  status: null,
  metrics: null,
  agents: new Map(),
  workflows: new Map(),
  run: undefined,
  journal: [],
  statusAtMs: 0,
};

/** The model after a frame. `workflowId` is the run that the page looks at. */
export function applyFrame(
  model: Model,
  frame: ServerFrame,
  workflowId: string | undefined,
  nowMs: number,
): Model {
  if (frame.type === "snapshot" || frame.type === "resync") {
    return applyState(model, frame.state, workflowId, nowMs);
  }
  return frame.type === "event" ? applyBody(model, frame.body, workflowId) : model;
}

function applyState(
  model: Model,
  state: LiveState,
  workflowId: string | undefined,
  nowMs: number,
): Model {
  let next = model;
  if (state.system !== undefined) {
    const { status, metrics, agents, workflows } = state.system;
    next = {
      ...next,
      status,
      metrics,
      statusAtMs: nowMs,
      agents: new Map(agents.map((agent) => [agent.name, agent])),
      workflows: newestFirst(new Map(workflows.map((workflow) => [workflow.id, workflow]))),
    };
  }
  const run = workflowId === undefined ? undefined : state.workflows?.[workflowId];
  if (run === undefined) return next;
  if (run === null) return { ...next, run: null };
  const tasks = new Map(run.tasks.map((task) => [task.key, task]));
  return { ...next, run: { workflow: run.workflow, tasks, graph: run.graph } };
}

function applyBody(model: Model, body: LiveBody, workflowId: string | undefined): Model {
  switch (body.type) {
    case "system":
      return { ...model, metrics: body.metrics };
    case "agent":
      return { ...model, agents: new Map(model.agents).set(body.agent.name, body.agent) };
    case "workflow": {
      const { workflow } = body;
      const workflows = newestFirst(new Map(model.workflows).set(workflow.id, workflow));
      const run = model.run?.workflow.id === workflow.id ? { ...model.run, workflow } : model.run;
      return { ...model, workflows, run };
    }
    case "task": {
      const { run } = model;
      if (run === null || run === undefined || body.workflowId !== run.workflow.id) return model;
      const tasks = new Map(run.tasks).set(body.task.key, body.task);
      return { ...model, run: { ...run, tasks } };
    }
    case "journal":
      return body.workflowId === workflowId ? addJournal(model, [body.entry]) : model;
    case "message":
    case "inspection":
      return model;
  }
}

/** Adds entries, each `seq` once, and keeps the newest `MAX_JOURNAL`. */
export function addJournal(model: Model, entries: readonly JournalEntry[]): Model {
  const lastSeq = model.journal.at(-1)?.seq ?? 0;
  const [first] = entries;
  // The usual case: one newer entry.
  if (first !== undefined && entries.length === 1 && first.seq > lastSeq) {
    return { ...model, journal: [...model.journal, first].slice(-MAX_JOURNAL) };
  }
  const bySeq = new Map([...model.journal, ...entries].map((entry) => [entry.seq, entry]));
  const journal = [...bySeq.values()].sort((a, b) => a.seq - b.seq).slice(-MAX_JOURNAL);
  return { ...model, journal };
}

function newestFirst(workflows: ReadonlyMap<string, WorkflowView>): Map<string, WorkflowView> {
  const order = [...workflows].sort(([, a], [, b]) => (a.createdAt < b.createdAt ? 1 : -1));
  return new Map(order);
}

export interface StageProgress {
  readonly name: string;
  readonly title: string;
  readonly total: number;
  readonly done: number;
  readonly running: number;
  readonly failed: number;
  /** 0 to 1; running tasks count by their own progress. */
  readonly progress: number;
}

/** 0 to 1, or undefined when the task does not say. */
export function taskFraction(task: TaskView): number | undefined {
  const { percent, done, total } = task.progress ?? {};
  if (percent !== undefined) return Math.min(1, Math.max(0, percent / 100));
  if (done === undefined || total === undefined || total <= 0) return undefined;
  return Math.min(1, Math.max(0, done / total));
}

export function stageProgress(run: Run): StageProgress[] {
  const stages = run.graph?.stages ?? [];
  return stages.map(({ name, title, tasks }) => {
    const views = tasks.map((key) => run.tasks.get(key)).filter((task) => task !== undefined);
    const count = (...statuses: TaskView["status"][]): number =>
      views.filter((task) => statuses.includes(task.status)).length;
    const done = count("succeeded", "skipped");
    const running = views.filter((task) => task.status === "running");
    const part = running.reduce((sum, task) => sum + (taskFraction(task) ?? 0), 0);
    return {
      name,
      title,
      total: tasks.length,
      done,
      running: running.length + count("dispatched"),
      failed: count("failed"),
      progress: tasks.length === 0 ? 1 : (done + part) / tasks.length,
    };
  });
}

/** One sentence for those who listen to the page instead of looking at it. */
export function spokenSummary(run: Run): string {
  const { title, status, tasks } = run.workflow;
  const failed = tasks.failed === 0 ? "" : `, ${tasks.failed} failed`;
  if (status === "parked") return `${title} needs you: it is parked.`;
  const parked = [...run.tasks.values()].filter((task) => task.status === "parked").length;
  const waits = parked === 0 ? "" : `, ${parked} need you`;
  return `${title} is ${status}: ${tasks.done} of ${tasks.total} tasks done, ${tasks.running} running${failed}${waits}.`;
}
