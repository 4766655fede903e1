/**
 * The verbs that plan: the execution plan of a run, and a dry run of a workflow in virtual time.
 *
 * @module
 */

import type { Json } from "../../machines/error-code.ts";
import type { PlanView, SimulationView } from "../system.ts";
import type { ApiClient } from "./api-client.ts";
import { durationText, numberText } from "./figures.ts";
import { tableLines } from "./table.ts";
import type { VerbOutput } from "./verbs.ts";

export async function showPlan(api: ApiClient, id: string, out: VerbOutput): Promise<number> {
  const plan = await api.get<PlanView>(`/workflows/${encodeURIComponent(id)}/plan`);
  out.json(plan);
  for (const line of planLines(plan)) out.line(line);
  return 0;
}

function planLines(plan: PlanView): string[] {
  const rows = plan.tasks.map((task) => [
    task.critical ? `* ${task.key}` : `  ${task.key}`,
    task.skipped ? "not expected" : task.status,
    durationText(task.expectedMs),
    task.source === "task" ? `${task.observations} runs` : task.source,
    task.startAt,
    task.critical ? "" : durationText(task.slackMs),
    `${numberText(task.criticality * 100)} %`,
  ]);
  const headings = ["  TASK", "STATUS", "TAKES", "FROM", "BEGINS", "SLACK", "DECIDES"];
  return [
    `${plan.workflow} is ${plan.status}; ${finishText(plan)}`,
    `critical path (*), ${durationText(plan.criticalPathMs)}: ${plan.criticalPath.join(" → ")}`,
    "",
    ...tableLines(headings, rows),
  ];
}

function finishText({ finish, remainingMs }: PlanView): string {
  if (finish === null || remainingMs === null) return "nothing is left to run";
  const confidence = `${numberText(finish.confidence * 100)} %`;
  return `ends ${finish.expectedAt}, in ${durationText(remainingMs)} (${confidence}: ${finish.lowAt} to ${finish.highAt})`;
}

export interface SimulateVerb {
  readonly workflow: string;
  readonly input: { readonly [key: string]: Json };
  /** Durations, failures and outputs by task. */
  readonly tasks: { readonly [key: string]: Json };
}

/** 0 when the dry run completes, 1 when it does not. */
export async function simulateWorkflow(
  api: ApiClient,
  verb: SimulateVerb,
  out: VerbOutput,
): Promise<number> {
  const result = await api.post<SimulationView>("/workflows/simulate", { ...verb });
  out.json(result);
  for (const line of simulationLines(result)) out.line(line);
  return result.status === "completed" ? 0 : 1;
}

function simulationLines(result: SimulationView): string[] {
  const attempts = result.attempts.map((one) => [
    one.undo ? `undo ${one.task}` : one.task,
    String(one.attempt),
    one.agent,
    durationText(one.startMs),
    durationText(one.finishMs),
    durationText(one.waitedMs),
    one.code ?? one.outcome,
  ]);
  const agents = result.agents.map((one) => [
    one.agent,
    String(one.attempts),
    durationText(one.busyMs),
    `${numberText(one.utilisation * 100)} %`,
  ]);
  const error = result.error === null ? "" : `: ${result.error.code}: ${result.error.message}`;
  const left = result.unfinished.map(
    ({ code, status, task }) => `${task} is ${status}${code === null ? "" : ` (${code})`}`,
  );
  return [
    `${result.workflow} would be ${result.status} after ${durationText(result.makespanMs)}${error}`,
    "",
    ...tableLines(["TASK", "ATTEMPT", "AGENT", "BEGINS", "ENDS", "WAITED", "OUTCOME"], attempts),
    "",
    ...tableLines(["AGENT", "ATTEMPTS", "BUSY", "USE"], agents),
    ...(left.length === 0 ? [] : ["", ...left]),
  ];
}
