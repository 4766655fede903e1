/**
 * Real-shaped live events for the tests of the stream.
 *
 * @module
 */

import type { AgentView, LiveEvent, TaskView, WorkflowView } from "../../../runtime/system.ts";

export interface EventKind {
  readonly kind: "agent" | "task" | "journal" | "workflow";
  readonly name: string;
}

const AT = "2026-01-01T00:00:00.000Z";

export function agentOf(name: string): AgentView {
  return {
    name,
    category: "test",
    description: "",
    capabilities: [],
    skills: [],
    dependsOn: [],
    status: "running",
    health: "healthy",
    restarts: 0,
    inFlight: 0,
    concurrency: 1,
    successRate: null,
    averageMs: null,
    lastSeenAt: AT,
    threadId: 1,
    permissions: {},
    resources: { cpu: 1, memoryMb: 64 },
    figures: null,
  };
}

export function workflowOf(id: string): WorkflowView {
  return {
    id,
    workflow: "phase1",
    title: "Phase 1",
    version: "v1",
    status: "running",
    state: "week1",
    progress: 0,
    tasks: { total: 1, done: 0, running: 0, failed: 0 },
    priority: 3,
    createdAt: AT,
    startedAt: AT,
    finishedAt: null,
    input: {},
  };
}

export function taskOf(key: string): TaskView {
  return {
    key,
    kind: "action",
    title: key,
    stage: "week1",
    agent: "A",
    action: "act",
    after: [],
    status: "running",
    attempt: 1,
    readyAt: AT,
    startedAt: AT,
    finishedAt: null,
    node: "n1",
  };
}

function bodyOf(seq: number, { kind, name }: EventKind): LiveEvent["body"] {
  switch (kind) {
    case "agent":
      return { type: "agent", agent: agentOf(name) };
    case "task":
      return { type: "task", workflowId: "wf", task: taskOf(name) };
    case "workflow":
      return { type: "workflow", workflow: workflowOf(name) };
    case "journal":
      return {
        type: "journal",
        workflowId: "wf",
        entry: { seq, type: "task.started", at: AT, actor: "A", payload: {} },
      };
  }
}

export function eventOf(seq: number, kind: EventKind, topics = ["events"]): LiveEvent {
  return { seq, topics, at: AT, body: bodyOf(seq, kind) };
}
