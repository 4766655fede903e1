/**
 * A run with two stages in a given condition, for the tests of the views.
 *
 * @module
 */

import type { RunState } from "../../../runtime/cli/run-state.ts";
import type { TaskView, WorkflowView } from "../../../runtime/system.ts";

export const START = "2026-01-02T03:04:00.000Z";

export function createTask(key: string, overrides: Partial<TaskView> = {}): TaskView {
  return {
    key,
    kind: "action",
    title: key,
    stage: "week1",
    agent: "DATABASE",
    action: "execute_schema_migration",
    after: [],
    status: "blocked",
    attempt: 0,
    readyAt: null,
    startedAt: null,
    finishedAt: null,
    node: null,
    ...overrides,
  };
}

export function createWorkflow(overrides: Partial<WorkflowView> = {}): WorkflowView {
  return {
    id: "wf-1",
    workflow: "phase1",
    title: "Phase 1: Foundation Enhancement",
    version: "abc",
    status: "running",
    state: "week1",
    progress: 0.4,
    tasks: { total: 4, done: 1, running: 1, failed: 0 },
    priority: 3,
    createdAt: START,
    startedAt: START,
    finishedAt: null,
    input: {},
    ...overrides,
  };
}

export function createRun(tasks: readonly TaskView[], workflow = createWorkflow()): RunState {
  const stages = ["week1", "week2"].map((name, index) => ({
    name,
    title: `Week ${index + 1}`,
    tasks: tasks.filter(({ stage }) => stage === name).map(({ key }) => key),
  }));
  return {
    workflow,
    stages,
    tasks: new Map(tasks.map((task) => [task.key, task])),
    agents: new Map([
      ["DIRECTOR", true],
      ["DATABASE", false],
    ]),
  };
}
