/**
 * Dry runs: a definition carried through in virtual time, before anything real happens.
 *
 * @module
 */

import type { WorkflowDefinition } from "../actors/define-workflow.ts";
import type { ErrorRecord, Json } from "../machines/error-code.ts";
import {
  type DurationHistory,
  estimateOf,
  expectedItems,
} from "../machines/plan/duration-history.ts";
import type { PlanLimits } from "../machines/plan/execution-plan.ts";
import type { PlanTask, RunPlan } from "../machines/run/plan.ts";
import { isSatisfied } from "../machines/task.ts";
import { placeholderOutputs } from "../machines/virtual/placeholder-output.ts";
import {
  createVirtualRun,
  type VirtualAnswer,
  type VirtualAttempt,
  type VirtualCall,
  type VirtualRun,
} from "../machines/virtual/virtual-run.ts";
import { type GivenTask, RequestError, type SimulationView } from "./system.ts";
import { journalEntry } from "./views.ts";

/** Events of one dry run at most. */
const eventLimit = 300_000;
/** Entries of the journal in an answer. */
const journalLimit = 2_000;
/** Work between two looks at what else the node has to do. */
const sliceMs = 15;

export interface SimulationOptions {
  readonly definition: WorkflowDefinition;
  readonly plan: RunPlan;
  readonly input: Json;
  readonly priority?: number;
  readonly given: Readonly<Record<string, GivenTask>>;
  readonly history: DurationHistory;
  readonly limits: PlanLimits;
  readonly childPlan: (workflow: string) => RunPlan | undefined;
  /** Epoch ms: when it would start. */
  readonly startAtMs: number;
}

interface Knowledge {
  readonly plan: RunPlan;
  readonly placeholders: ReadonlyMap<string, Json>;
}

/** @throws {AgentError} `SIMULATION_TOO_LONG` */
export async function simulate(options: SimulationOptions): Promise<SimulationView> {
  const { definition, given, history, input, limits, plan, startAtMs } = options;
  const known = new Map<RunPlan, Knowledge>();
  const plans = new Map<string, RunPlan>();
  const knowledgeOf = (of: RunPlan): Knowledge => {
    const items = (group: string) => expectedItems(of.groups.get(group)?.tasks ?? [], history);
    const found = known.get(of) ?? { plan: of, placeholders: placeholderOutputs(of, items) };
    known.set(of, found);
    return found;
  };
  const childPlan = (workflow: string) => {
    const child = plans.get(workflow) ?? options.childPlan(workflow);
    if (child !== undefined) plans.set(workflow, child);
    return child;
  };
  const planOf = (call: VirtualCall) =>
    [plan, ...plans.values()].find((one) => one.tasks.has(call.plan)) ?? plan;
  checkGiven(given, plan, childPlan);
  const run = createVirtualRun({
    plan,
    input,
    startAtMs,
    eventLimit,
    childPlan,
    limits,
    ...(options.priority === undefined ? {} : { priority: options.priority }),
    execute: (call) => answer(call, given[call.plan] ?? {}, knowledgeOf(planOf(call)), options),
  });
  await runInSlices(run);
  return viewOf(run, definition, options, knowledgeOf(plan).placeholders);
}

async function runInSlices(run: VirtualRun): Promise<void> {
  let sinceMs = performance.now();
  while (await run.step()) {
    if (performance.now() - sinceMs < sliceMs) continue;
    await new Promise((resolve) => setImmediate(resolve));
    sinceMs = performance.now();
  }
}

/** What the caller says of tasks that do not exist is a mistake, not nothing. */
function checkGiven(
  given: Readonly<Record<string, GivenTask>>,
  plan: RunPlan,
  childPlan: (workflow: string) => RunPlan | undefined,
): void {
  const names = new Set(plan.tasks.keys());
  for (const { workflow } of plan.tasks.values()) {
    const child = workflow === null ? undefined : childPlan(workflow);
    for (const key of child?.tasks.keys() ?? []) names.add(key);
  }
  const fields = Object.keys(given)
    .filter((key) => !names.has(key))
    .map((key) => ({ pointer: `/tasks/${key}`, detail: "names no task of the workflow" }));
  if (fields.length === 0) return;
  const unknown = fields.map(({ pointer }) => pointer.slice("/tasks/".length)).join(", ");
  throw new RequestError("INVALID", `Cannot simulate: there is no task ${unknown}`, fields);
}

function answer(
  call: VirtualCall,
  given: GivenTask,
  { placeholders, plan }: Knowledge,
  { history, input }: SimulationOptions,
): VirtualAnswer | undefined {
  if (given.never === true) return undefined;
  const planned = plan.tasks.get(call.plan);
  const durationMs = given.durationMs ?? expectedMs(planned, history, input);
  const failure = given.fail?.find(
    ({ attempt }) => attempt === undefined || attempt === call.attempt,
  );
  if (failure !== undefined && !call.undo) {
    const { code, retryable = true } = failure;
    const message = `"${call.taskKey}" was told to fail in attempt ${call.attempt}`;
    const error: ErrorRecord = { name: "Error", code, message, retryable };
    return { durationMs, outcome: { type: "failed", error } };
  }
  const output = given.output ?? placeholders.get(call.plan) ?? null;
  return { durationMs, outcome: { type: "succeeded", output } };
}

function expectedMs(planned: PlanTask | undefined, history: DurationHistory, input: Json): number {
  if (planned === undefined) return 0;
  const { medianMs } = estimateOf(planned, history, input);
  return Math.round(Math.min(medianMs, planned.timeouts.startToCloseMs));
}

function viewOf(
  run: VirtualRun,
  definition: WorkflowDefinition,
  { given, limits, startAtMs }: SimulationOptions,
  placeholders: ReadonlyMap<string, Json>,
): SimulationView {
  const state = run.state();
  const makespanMs = (state.finishedAtMs ?? run.nowMs()) - startAtMs;
  return {
    workflow: definition.id,
    status: state.status,
    makespanMs,
    output: state.output,
    error: state.error,
    attempts: run.attempts().map((one) => ({
      workflowId: one.workflowId,
      task: one.taskKey,
      agent: one.agent,
      action: one.action,
      attempt: one.attempt,
      undo: one.undo,
      waitedMs: one.startMs - one.readyAtMs,
      startMs: one.startMs - startAtMs,
      finishMs: one.finishMs - startAtMs,
      outcome: one.outcome,
      code: one.error?.code ?? null,
    })),
    agents: agentUse(run.attempts(), limits, makespanMs),
    unfinished: [...state.tasks.values()]
      .filter(({ status }) => !isSatisfied(status))
      .map(({ error, key, status }) => ({ task: key, status, code: error?.code ?? null })),
    placeholders: [...placeholders.keys()].filter((key) => given[key]?.output === undefined),
    journal: run.journal().slice(0, journalLimit).map(journalEntry),
    journalLength: run.journal().length,
  };
}

function agentUse(
  attempts: readonly VirtualAttempt[],
  limits: PlanLimits,
  makespanMs: number,
): SimulationView["agents"] {
  const busy = new Map<string, { attempts: number; busyMs: number }>();
  for (const { agent, finishMs, startMs } of attempts) {
    const figures = busy.get(agent) ?? { attempts: 0, busyMs: 0 };
    figures.attempts += 1;
    figures.busyMs += finishMs - startMs;
    busy.set(agent, figures);
  }
  return [...busy].map(([agent, figures]) => {
    const limit = limits.agent(agent);
    const possibleMs = Math.max(limit, 1) * makespanMs;
    return {
      agent,
      limit,
      ...figures,
      utilisation: possibleMs === 0 ? 0 : figures.busyMs / possibleMs,
    };
  });
}
