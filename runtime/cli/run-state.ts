/**
 * What a view of one workflow run shows, and how live events change it. Pure.
 *
 * @module
 */

import type {
  AgentView,
  LiveEvent,
  TaskStatus,
  TaskView,
  WorkflowStatus,
  WorkflowView,
} from "../system.ts";

export interface RunState {
  readonly workflow: WorkflowView;
  /** In the order of the statechart. */
  readonly stages: readonly {
    readonly name: string;
    readonly title: string;
    readonly tasks: readonly string[];
  }[];
  readonly tasks: ReadonlyMap<string, TaskView>;
  /** By name, true when healthy. */
  readonly agents: ReadonlyMap<string, boolean>;
}

/** The state after the event; the same object when the event is about something else. */
export function applyEvent(state: RunState, event: LiveEvent): RunState {
  const { body } = event;
  if (body.type === "workflow" && body.workflow.id === state.workflow.id) {
    return { ...state, workflow: body.workflow };
  }
  if (body.type === "task" && body.workflowId === state.workflow.id) {
    return { ...state, tasks: new Map(state.tasks).set(body.task.key, body.task) };
  }
  if (body.type === "agent") {
    return { ...state, agents: new Map(state.agents).set(body.agent.name, isHealthy(body.agent)) };
  }
  return state;
}

export function isHealthy(agent: Pick<AgentView, "health">): boolean {
  return agent.health === "healthy";
}

/** True when the run will not go on by itself. */
export function hasEnded(status: WorkflowStatus): boolean {
  return (
    status === "completed" || status === "failed" || status === "cancelled" || status === "parked"
  );
}

/** True when nothing more happens in the task. */
export function isDone(status: TaskStatus): boolean {
  return status === "succeeded" || status === "skipped" || status === "compensated";
}

/** True while an agent works for the task or is about to. */
export function isActive(status: TaskStatus): boolean {
  return status === "running" || status === "retrying" || status === "compensating";
}

/** 0 to 1; undefined when the task does not say. */
export function shareOf(task: TaskView): number | undefined {
  if (isDone(task.status)) return 1;
  const { percent, done, total } = task.progress ?? {};
  if (percent !== undefined) return percent / 100;
  return done !== undefined && total !== undefined && total > 0 ? done / total : undefined;
}

/** Tasks of a stage that are known, in the order of the definition. */
export function tasksOf(state: RunState, stage: RunState["stages"][number]): readonly TaskView[] {
  return stage.tasks.flatMap((key) => state.tasks.get(key) ?? []);
}
