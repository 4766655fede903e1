/**
 * What runs are at and wait for, read from their rows.
 *
 * @module
 */

import type { WorkflowDefinition } from "../actors/define-workflow.ts";
import type { Approval, ApprovalRepo } from "../db/approval-repo.ts";
import type { CommandRepo, RunStateRow } from "../db/command-repo.ts";
import type { ViewRepo } from "../db/view-repo.ts";
import type { PlanTask } from "../machines/run/plan.ts";
import { approvalDetails, planKeyOf } from "./approval-details.ts";
import { compileDefinition } from "./engine/compile-definition.ts";
import type { ApprovalView, ControlPort, RunStateView, WorkflowStatus } from "./system.ts";

export interface RunStatesOptions {
  readonly approvals: Pick<ApprovalRepo, "read" | "waiting">;
  readonly commands: Pick<CommandRepo, "answer" | "runState">;
  readonly views: Pick<ViewRepo, "definition" | "journal" | "output" | "run">;
}

export function createRunStates(
  options: RunStatesOptions,
): Pick<ControlPort, "state" | "approvals" | "approval"> {
  async function definitionOf(id: string): Promise<WorkflowDefinition | undefined> {
    return (await options.views.definition(id)) as unknown as WorkflowDefinition | undefined;
  }

  async function approvals(id: string): Promise<readonly ApprovalView[] | undefined> {
    const definition = await definitionOf(id);
    if (definition === undefined) return undefined;
    return (await options.approvals.waiting(id)).map((one) => viewOfApproval(one, definition));
  }

  return {
    approvals,
    approval: async (token) => {
      const found = await options.approvals.read(token);
      const definition = found && (await definitionOf(found.workflowId));
      if (found === undefined || definition === undefined) return undefined;
      return await approvalDetails(found, viewOfApproval(found, definition), definition, options);
    },
    state: async (id) => {
      const row = await options.commands.runState(id);
      const definition = await definitionOf(id);
      if (row === undefined || definition === undefined) return undefined;
      const { plan } = compileDefinition(definition);
      return stateView(row, plan.tasks, (await approvals(id)) ?? []);
    },
  };
}

function stateView(
  row: RunStateRow,
  plan: ReadonlyMap<string, PlanTask>,
  approvals: readonly ApprovalView[],
): RunStateView {
  const { chart, pause, rollback, raised, signals, spent } = row.extras;
  const inHand = new Set(["dispatched", "running", "compensating"]);
  const isAction = (key: string): boolean => plan.get(key)?.kind === "action";
  return {
    id: row.id,
    status: row.status as WorkflowStatus,
    seq: row.seq,
    priority: row.priority,
    state: row.place,
    chart: chart === null ? null : { value: chart.value, context: chart.context },
    pause:
      pause === null
        ? null
        : { since: iso(pause.atMs), clocks: pause.clocks, drained: pause.drained },
    inFlight: row.tasks.filter(
      ({ isGroup, status, plan: key, stopping }) =>
        stopping || (!isGroup && isAction(key) && inHand.has(status)),
    ).length,
    waiting: row.tasks.flatMap((task) => {
      const planned = plan.get(task.plan);
      if (task.status !== "running" || planned === undefined || task.isGroup) return [];
      if (planned.kind === "action") return [];
      const what = planned.kind === "signal" ? planned.signal : task.childId;
      const since = task.startedAtMs === null ? null : iso(task.startedAtMs);
      return [{ task: task.key, for: planned.kind, what, since }];
    }),
    parked: row.tasks
      .filter(({ status }) => status === "parked")
      .map(({ key, error }) => ({ task: key, error })),
    approvals,
    signals: signals.map(({ name, payload, atMs }) => ({ name, payload, at: iso(atMs) })),
    budget: { spent, raised },
    rollback: rollback === null ? null : { left: rollback.queue.length, cause: rollback.cause },
  };
}

function viewOfApproval(
  { token, workflowId, taskKey, expiresAtMs, decided }: Approval,
  definition: WorkflowDefinition,
): ApprovalView {
  const name = planKeyOf(taskKey);
  const task = Object.values(definition.stages).flatMap(({ tasks }) => tasks[name] ?? [])[0];
  return {
    token,
    workflowId,
    workflow: definition.title,
    task: taskKey,
    title: task?.approval?.title ?? task?.title ?? taskKey,
    expiresAt: expiresAtMs === null ? null : iso(expiresAtMs),
    path: `/approvals/${token}`,
    decided,
  };
}

function iso(atMs: number): string {
  return new Date(atMs).toISOString();
}
