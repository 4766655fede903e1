/**
 * Execution plans of runs and of definitions, and what keeps their estimates true: durations of what
 * has finished.
 *
 * @module
 */

import type { WorkflowDefinition } from "../actors/define-workflow.ts";
import type { Log } from "../actors/ports.ts";
import type { DurationRepo } from "../db/duration-repo.ts";
import type { RunRepo } from "../db/run-repo.ts";
import { rootMessage } from "../db/server-error.ts";
import type { Json } from "../machines/error-code.ts";
import type { DurationHistory } from "../machines/plan/duration-history.ts";
import {
  type ExecutionPlan,
  type ExecutionPlanOptions,
  type PlanLimits,
  planRun,
} from "../machines/plan/execution-plan.ts";
import { confidence } from "../machines/plan/forecast.ts";
import { derive, type RunState } from "../machines/run/state.ts";
import { compileDefinition } from "./engine/compile-definition.ts";
import { simulate } from "./simulation.ts";
import type { PlansPort, PlanView, SimulateWorkflow } from "./system.ts";

/** Work between two looks at what else the node has to do. */
const sliceMs = 15;
/** A plan is answered again without new work for this long, unless the run has moved. */
const freshMs = 1_000;
/** Plans that are kept. */
const keptPlans = 64;
/** Finished runs are folded together, this long after the first of them. */
const foldAfterMs = 2_000;
/** Runs in one statement. */
const foldLimit = 200;
/** What finished so long before a start and was not folded, since the node ended, still is. */
const lookBackMs = 24 * 3_600_000;

export interface PlanServiceOptions {
  readonly durations: DurationRepo;
  readonly runs: Pick<RunRepo, "read" | "outputs">;
  readonly limits: PlanLimits;
  readonly registered: ReadonlyMap<string, WorkflowDefinition>;
  /** Finds, completes and checks what would be started. @throws {RequestError} */
  prepare(request: SimulateWorkflow): Promise<{ definition: WorkflowDefinition; input: Json }>;
  readonly log: Log;
}

export interface PlanService extends PlansPort {
  /** Folds what finished while nobody did. */
  start(): Promise<void>;
  /** A run has ended: its durations will be folded soon. */
  finished(workflowId: string): void;
  /** When a task is expected to begin; epoch ms. */
  expectedStart(id: string, taskKey: string): Promise<number | undefined>;
  stop(): Promise<void>;
}

interface Kept {
  readonly seq: number;
  readonly atMs: number;
  readonly view: Promise<{ plan: ExecutionPlan; view: PlanView }>;
}

export function createPlanService(options: PlanServiceOptions): PlanService {
  const { durations, limits, log, runs } = options;
  const kept = new Map<string, Kept>();
  const ended = new Set<string>();
  let timer: NodeJS.Timeout | undefined;
  let folding: Promise<void> = Promise.resolve();

  async function historyOf(definition: WorkflowDefinition): Promise<DurationHistory> {
    const actions = Object.values(definition.stages).flatMap(({ tasks }) =>
      Object.values(tasks).flatMap((task) => task.do ?? []),
    );
    return await durations.load(definition.id, [...new Set(actions)]);
  }

  async function ofStored(id: string) {
    const stored = await runs.read(id);
    if (stored === undefined) return undefined;
    const { loaded, nowMs } = stored;
    const { seq } = loaded.run;
    const known = kept.get(id);
    if (known !== undefined && known.seq === seq && nowMs - known.atMs < freshMs) return known.view;
    const view = computed(
      id,
      loaded.run,
      loaded.definition as unknown as WorkflowDefinition,
      nowMs,
    );
    kept.delete(id);
    kept.set(id, { seq, atMs: nowMs, view });
    const [oldest] = kept.keys();
    if (kept.size > keptPlans && oldest !== undefined) kept.delete(oldest);
    view.catch(() => kept.delete(id));
    return view;
  }

  async function computed(
    id: string,
    run: Omit<RunState, "counts" | "inFlight" | "outputs" | "waiting">,
    definition: WorkflowDefinition,
    nowMs: number,
  ) {
    const { plan } = compileDefinition(definition);
    const outputs = await runs.outputs(id, [...plan.observed]);
    const state: RunState = { ...run, outputs, ...derive(run.tasks.values(), plan) };
    const made = await inSlices({
      plan,
      state,
      input: run.input,
      history: await historyOf(definition),
      limits,
      // What has ended does not move any more.
      nowMs: run.finishedAtMs ?? nowMs,
      seed: id,
    });
    return {
      plan: made,
      view: viewOf(made, { definition, id, limits, nowMs, status: run.status }),
    };
  }

  async function before(request: SimulateWorkflow) {
    const { definition, input } = await options.prepare(request);
    const { plan } = compileDefinition(definition);
    const history = await historyOf(definition);
    const nowMs = Date.now();
    const made = await inSlices({
      plan,
      state: null,
      input,
      history,
      limits,
      nowMs,
      seed: definition.id,
    });
    const view = viewOf(made, { definition, id: null, limits, nowMs, status: "planned" });
    return { plan: view, dryRun: await dryRun(request, definition, input, history, nowMs) };
  }

  async function dryRun(
    request: SimulateWorkflow,
    definition: WorkflowDefinition,
    input: Json,
    history: DurationHistory,
    startAtMs: number,
  ) {
    return await simulate({
      definition,
      plan: compileDefinition(definition).plan,
      input,
      given: request.tasks ?? {},
      history,
      limits,
      startAtMs,
      childPlan: (workflow) => {
        const child = options.registered.get(workflow);
        return child && compileDefinition(child).plan;
      },
      ...(request.priority === undefined ? {} : { priority: request.priority }),
    });
  }

  async function fold(): Promise<void> {
    const ids = [...ended].slice(0, foldLimit);
    for (const id of ids) ended.delete(id);
    try {
      await durations.fold(ids);
    } catch (error) {
      // The next start of a node finds them again.
      log.warn("cannot keep the durations of finished runs", { error: rootMessage(error) });
    }
    if (ended.size > 0) await fold();
  }

  return {
    ofRun: async (id) => (await ofStored(id))?.view,
    expectedStart: async (id, taskKey) =>
      (await ofStored(id))?.plan.tasks.find(({ key }) => key === taskKey)?.startAtMs,
    before,
    simulate: async (request) => {
      const { definition, input } = await options.prepare(request);
      return await dryRun(request, definition, input, await historyOf(definition), Date.now());
    },
    start: async () => {
      const ids = await durations.unfolded(Date.now() - lookBackMs, foldLimit);
      await durations.fold(ids);
    },
    finished: (workflowId) => {
      ended.add(workflowId);
      timer ??= setTimeout(() => {
        timer = undefined;
        folding = folding.then(fold);
      }, foldAfterMs);
    },
    stop: async () => {
      clearTimeout(timer);
      await folding;
      if (ended.size > 0) await fold();
    },
  };
}

async function inSlices(options: ExecutionPlanOptions): Promise<ExecutionPlan> {
  const run = planRun(options);
  let sinceMs = performance.now();
  while (run.step()) {
    if (performance.now() - sinceMs < sliceMs) continue;
    await new Promise((resolve) => setImmediate(resolve));
    sinceMs = performance.now();
  }
  return run.result();
}

interface ViewContext {
  readonly definition: WorkflowDefinition;
  readonly id: string | null;
  readonly limits: PlanLimits;
  readonly nowMs: number;
  readonly status: PlanView["status"];
}

function iso(atMs: number): string {
  return new Date(Math.round(atMs)).toISOString();
}

function viewOf(plan: ExecutionPlan, context: ViewContext): PlanView {
  const { definition, id, limits, nowMs, status } = context;
  const { finish } = plan;
  const isOver = status === "completed" || status === "failed" || status === "cancelled";
  return {
    workflowId: id,
    workflow: definition.id,
    status,
    computedAt: iso(nowMs),
    finish:
      finish === null || isOver
        ? null
        : {
            expectedAt: iso(finish.expectedAtMs),
            lowAt: iso(finish.lowAtMs),
            highAt: iso(finish.highAtMs),
            confidence,
          },
    remainingMs: finish === null || isOver ? null : Math.round(finish.expectedAtMs - nowMs),
    samples: plan.samples,
    complete: plan.complete || isOver,
    criticalPath: plan.criticalPath,
    criticalPathMs: Math.round(plan.criticalPathMs),
    groups: plan.groups.map(({ keys, level }) => ({ level, tasks: keys })),
    checkpoints: plan.checkpoints.map((key) =>
      key.startsWith("stage ")
        ? { after: key.slice("stage ".length), kind: "stage" }
        : { after: key, kind: "task" },
    ),
    rollbackPoints: plan.rollbackPoints,
    tasks: plan.tasks.map(taskView),
    resources: {
      maxParallel: definition.maxParallel,
      peakTasks: plan.peakTasks,
      connections: { limit: limits.connections, peak: plan.peakConnections },
      agents: plan.agents.map((need) => ({ ...need, busyMs: Math.round(need.busyMs) })),
    },
  };
}

function taskView(one: ExecutionPlan["tasks"][number]): PlanView["tasks"][number] {
  const { planned, after, conditional, items, skipped, stage } = one.task;
  const isAction = planned.kind === "action";
  return {
    key: one.key,
    stage,
    agent: isAction ? planned.agent : null,
    action: isAction ? planned.action : null,
    kind: planned.kind,
    after,
    status: one.status,
    expectedMs: Math.round(one.expectedMs),
    source: one.source,
    observations: one.observations,
    startAt: iso(one.startAtMs),
    finishAt: iso(one.finishAtMs),
    slackMs: Math.round(one.slackMs),
    critical: one.critical,
    criticality: Math.round(one.criticality * 1_000) / 1_000,
    items,
    skipped,
    conditional,
  };
}
