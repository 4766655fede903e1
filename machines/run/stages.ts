/**
 * Where a run is: its chart, the stages that the chart invokes, and the end of the run.
 *
 * @module
 */

import { AgentError, type ErrorRecord, type Json, toErrorRecord } from "../error-code.ts";
import { isOpen, isSatisfied } from "../task.ts";
import {
  type ChartState,
  type ChartStep,
  chartStart,
  chartStep,
  chartTakes,
} from "./chart-machine.ts";
import type { Draft } from "./draft.ts";
import { tasksOf } from "./lookup.ts";
import {
  blockedTask,
  type RunEvent,
  type RunFields,
  type RunTimer,
  stageInstance,
  type TaskState,
  taskInstance,
} from "./state.ts";
import { cancelTask, unblock } from "./tasks.ts";
import { resolve } from "./values.ts";

/** Signals that wait for somebody to take them; more are refused before they are stored. */
export const pendingSignalLimit = 1_000;
/** Steps of a chart in one turn at most: a chart that goes on without any work is a loop. */
const chartStepLimit = 1_000;

export function startChart(draft: Draft, event: RunEvent): void {
  const step = tryStep(draft, event, () => chartStart(draft.plan.chart, draft.scope()));
  if (step === undefined) return;
  draft.set({
    chart: { value: step.value, context: step.context, invoked: {}, entered: {}, history: {} },
  });
  follow(draft, step, event, 0);
}

/** Feeds the chart an event; false when nothing in it takes the event. */
export function tellChart(draft: Draft, chartEvent: Json, event: RunEvent, depth = 0): boolean {
  const { chart } = draft.run();
  if (chart === null) return false;
  if (depth > chartStepLimit) {
    const message = `Cannot go on: the chart took ${chartStepLimit} steps without any work`;
    fail(draft, { name: "Error", code: "CHART_LOOPS", message, retryable: false }, event);
    return true;
  }
  const step = tryStep(draft, event, () =>
    chartStep(draft.plan.chart, chart, chartEvent, draft.scope()),
  );
  if (step === undefined) return true;
  follow(draft, step, event, depth);
  return step.taken;
}

/** Guards and assignments read data that a definition cannot promise: what they throw fails the run. */
function tryStep(draft: Draft, event: RunEvent, take: () => ChartStep): ChartStep | undefined {
  try {
    return take();
  } catch (error) {
    const { name, message } = toErrorRecord(error);
    fail(draft, { name, message, code: "CHART_FAILED", retryable: false }, event);
    return undefined;
  }
}

export function chartWants(draft: Draft, chartEvent: Json): boolean {
  const { chart } = draft.run();
  if (chart === null) return false;
  try {
    return chartTakes(draft.plan.chart, chart, chartEvent, draft.scope());
  } catch {
    // Its guard cannot be read: taking the event says so, and fails the run.
    return true;
  }
}

function follow(draft: Draft, step: ChartStep, event: RunEvent, depth: number): void {
  const { value, context, history } = step;
  changeChart(draft, () => ({ value, context, history }));
  const place = placeText(value);
  if (place !== draft.run().place) draft.set({ place });
  const entered: string[] = [];
  for (const effect of step.effects) {
    switch (effect.type) {
      case "stop":
        leave(draft, effect.id, event);
        break;
      case "cancel-timer":
        draft.clearTimer(`chart/${effect.id}`);
        break;
      case "timer": {
        const due = { type: "chart.due", timer: effect.id, event: effect.event, by: "timer" };
        draft.setTimer(`chart/${effect.id}`, due, event.atMs + effect.delayMs);
        break;
      }
      case "invoke":
        entered.push(enter(draft, effect.id, effect.src, event));
        break;
    }
  }
  if (step.done || step.broken) return end(draft, step, event);
  for (const stage of entered) begin(draft, stage, event, depth);
  deliverSignals(draft, event, depth);
}

function changeChart(draft: Draft, change: (chart: ChartState) => Partial<ChartState>): void {
  const { chart } = draft.run();
  if (chart !== null) draft.set({ chart: { ...chart, ...change(chart) } });
}

/** Takes a stage as the chart's child `id`; its tasks begin once the whole step is known. */
function enter(draft: Draft, id: string, stage: string, event: RunEvent): string {
  const iteration = (draft.run().chart?.entered[stage] ?? 0) + 1;
  const instance = stageInstance(stage, iteration);
  changeChart(draft, ({ entered, invoked }) => ({
    entered: { ...entered, [stage]: iteration },
    invoked: { ...invoked, [id]: instance },
  }));
  for (const key of draft.plan.stages.get(stage) ?? []) {
    const instanceKey = taskInstance(key, iteration);
    if (!draft.has(instanceKey)) draft.add(blockedTask(instanceKey, key, iteration));
  }
  draft.record(event, "stage.entered", { stage: instance });
  return instance;
}

/** The chart left the state that invoked the stage: what is open of it is cancelled. */
function leave(draft: Draft, id: string, event: RunEvent): void {
  const stage = draft.run().chart?.invoked[id];
  if (stage === undefined) return;
  changeChart(draft, ({ invoked }) => ({ invoked: without(invoked, id) }));
  for (const { key, status } of tasksOf(draft, stage))
    if (isOpen(status)) cancelTask(draft, key, event);
  draft.record(event, "stage.left", { stage });
}

function begin(draft: Draft, stage: string, event: RunEvent, depth: number): void {
  for (const { key } of tasksOf(draft, stage)) unblock(draft, key, event);
  settleStage(draft, stage, event, depth);
}

/** Ends the stage once nothing in it can move any more, and tells the chart how. */
export function settleStage(draft: Draft, stage: string, event: RunEvent, depth = 0): void {
  const { chart, rollback, status } = draft.run();
  const id = Object.entries(chart?.invoked ?? {}).find(([, one]) => one === stage)?.[0];
  const { moving, blocked, bad } = draft.count(stage);
  const isOver = status !== "running" && status !== "paused";
  if (id === undefined || moving > 0 || rollback !== null || isOver) return;
  const error = blocked + bad === 0 ? null : closeBadly(draft, stage, event);
  changeChart(draft, ({ invoked }) => ({ invoked: without(invoked, id) }));
  const told =
    error === null
      ? { type: `xstate.done.actor.${id}`, output: stageOutput(draft, stage) }
      : { type: `xstate.error.actor.${id}`, error: error as unknown as Json };
  if (error !== null) draft.set({ error: draft.run().error ?? error });
  if (!tellChart(draft, told, event, depth + 1) && error !== null) fail(draft, error, event);
  // A run that failed stays where it failed: that is where a retry goes on.
  if (chart !== null && draft.run().status === "failed") {
    draft.set({ chart, place: placeText(chart.value) });
  }
}

/** Cancels what waits for tasks that ended badly, or that this stage never reaches; returns the cause. */
function closeBadly(draft: Draft, stage: string, event: RunEvent): ErrorRecord {
  const open = tasksOf(draft, stage).filter(({ status }) => !isSatisfied(status));
  const failed = open.find(({ error }) => error !== null);
  const [first] = open;
  const cause = failed?.error ?? unreachable(draft, first);
  for (const { key, status } of open) if (isOpen(status)) cancelTask(draft, key, event);
  return cause;
}

function unreachable(draft: Draft, task: TaskState | undefined): ErrorRecord {
  const missing =
    task === undefined
      ? []
      : draft
          .planned(task)
          .after.filter((key) => !draft.has(key) || !isSatisfied(draft.task(key).status));
  const message = `Cannot run "${task?.key ?? ""}": it waits for ${missing.join(", ")}, which cannot end before it`;
  return { name: "Error", message, code: "DEPENDENCY_UNREACHABLE", retryable: false };
}

/** Of a stage of one task that task's output, of others theirs by key; only what the plan observes. */
function stageOutput(draft: Draft, stage: string): Json {
  const tasks = tasksOf(draft, stage);
  const scope = draft.scope(tasks[0]);
  const outputs = tasks.map(({ plan }) => [plan, scope.output(plan) ?? null] as const);
  const [only] = outputs;
  return outputs.length === 1 && only !== undefined ? only[1] : Object.fromEntries(outputs);
}

function end(draft: Draft, step: ChartStep, event: RunEvent): void {
  const failed = step.broken || placeText(step.value) === "failed";
  if (!failed) return finish(draft, "completed", event);
  const message = 'The workflow\'s chart ended in its state "failed"';
  const error = { name: "Error", code: "WORKFLOW_FAILED", message, retryable: false };
  fail(draft, draft.run().error ?? error, event);
}

function fail(draft: Draft, error: ErrorRecord, event: RunEvent): void {
  draft.set({ error: draft.run().error ?? error });
  finish(draft, "failed", event);
}

/** Ends the run: nothing of it is open after this. */
export function finish(
  draft: Draft,
  status: "completed" | "failed" | "cancelled",
  event: RunEvent,
  wasUndone = false,
): void {
  const filled = status === "completed" ? outputOf(draft) : { output: null };
  if (filled instanceof AgentError) return fail(draft, toErrorRecord(filled), event);
  const { output } = filled;
  for (const key of draft.keys()) {
    const task = draft.task(key);
    const isLeft = task.index === null || task.status !== "blocked";
    if (isOpen(task.status) && isLeft) {
      // A stage that the chart never entered stays as it is: blocked.
      if (task.status !== "blocked" || status === "cancelled") cancelTask(draft, key, event);
    }
  }
  const done = status === "completed";
  // The chart's own timers stand still until a retry goes on.
  if (done) for (const [key] of draft.timers()) draft.clearTimer(key);
  else stopClocks(draft, draft.timers(), event.atMs);
  const { pause, stoodMs } = draft.run();
  const stood = pause?.clocks === "stop" ? Math.max(0, event.atMs - pause.atMs) : 0;
  draft.set({
    status,
    finishedAtMs: event.atMs,
    pause: null,
    stoodMs: stoodMs + stood,
    output,
    ...(done ? { error: null } : {}),
  });
  const { error, parent, spent } = draft.run();
  draft.record(
    event,
    `run.${status}`,
    error === null ? {} : { code: error.code, message: error.message },
  );
  if (parent === null) return;
  if (wasUndone) return tellUndone(draft, parent);
  const outcome = done
    ? { type: "succeeded", output, spent }
    : { type: "failed", error: (error ?? cancelled(status)) as unknown as Json, spent };
  draft.effect({
    type: "tell-parent",
    workflowId: parent.workflowId,
    event: {
      type: "child.finished",
      taskKey: parent.taskKey,
      childId: draft.run().id,
      outcome,
      by: "child",
    } as unknown as Json,
  });
}

function tellUndone(draft: Draft, { workflowId, taskKey }: NonNullable<RunFields["parent"]>): void {
  const childId = draft.run().id;
  const told = { type: "child.undone", taskKey, childId, by: "child" };
  draft.effect({ type: "tell-parent", workflowId, event: told });
}

/** The run's output, or why it cannot be filled in. */
function outputOf(draft: Draft): { readonly output: Json } | AgentError {
  if (draft.plan.output === undefined) return { output: null };
  try {
    return { output: resolve(draft.plan.output, draft.scope()) };
  } catch (error) {
    if (error instanceof AgentError) return error;
    throw error;
  }
}

function cancelled(status: string): ErrorRecord {
  const message = `The child run was ${status}`;
  return { name: "Error", code: "CHILD_CANCELLED", message, retryable: false };
}

/** Clocks of timers stand still: what is left of them is kept. */
export function stopClocks(
  draft: Draft,
  timers: readonly (readonly [string, RunTimer])[],
  atMs: number,
): void {
  for (const [key, timer] of timers) {
    if (timer.dueAtMs === null) continue;
    const remainingMs = Math.max(0, timer.dueAtMs - atMs);
    draft.replaceTimer(key, { ...timer, dueAtMs: null, remainingMs });
  }
}

export function startClocks(draft: Draft, atMs: number): void {
  for (const [key, timer] of draft.timers()) {
    if (timer.remainingMs === null) continue;
    draft.replaceTimer(key, { ...timer, dueAtMs: atMs + timer.remainingMs, remainingMs: null });
  }
}

/** Gives signals that wait to whoever takes them now, oldest first. */
export function deliverSignals(draft: Draft, event: RunEvent, depth = 0): void {
  if (draft.run().rollback !== null) return;
  for (const signal of draft.run().signals) {
    const told = { type: signal.name, payload: signal.payload };
    if (!chartWants(draft, told)) continue;
    draft.set({ signals: draft.run().signals.filter((one) => one !== signal) });
    draft.record(event, "signal.taken", { name: signal.name });
    tellChart(draft, told, event, depth + 1);
    return;
  }
}

/** `week2`; of nested states `outer.inner`, of parallel ones `a + b`. */
function placeText(value: Json): string {
  if (typeof value === "string") return value;
  return Object.entries((value ?? {}) as Record<string, Json>)
    .map(([name, inner]) => {
      const text = placeText(inner);
      return text === "" ? name : `${name}.${text}`;
    })
    .join(" + ");
}

function without<T>(record: Readonly<Record<string, T>>, key: string): Readonly<Record<string, T>> {
  return Object.fromEntries(Object.entries(record).filter(([name]) => name !== key));
}
