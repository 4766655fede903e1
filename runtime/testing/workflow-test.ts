/**
 * A workflow in a test: the engine's real turns, admission and timers, in this process, with a clock
 * of its own that jumps to whatever happens next. No database, no threads.
 *
 * @module
 */

import type { AgentDefinition } from "../../actors/define-agent.ts";
import type { WorkflowDefinition } from "../../actors/define-workflow.ts";
import { type AgentError, type Json, toErrorRecord } from "../../machines/error-code.ts";
import type { RunPlan } from "../../machines/run/plan.ts";
import type { TaskOutcome } from "../../machines/run/state.ts";
import {
  createVirtualRun,
  type VirtualAnswer,
  type VirtualCall,
  type VirtualRun,
} from "../../machines/virtual/virtual-run.ts";
import { compileDefinition } from "../engine/compile-definition.ts";
import { checkDefinition } from "../engine/definition.ts";
import { parseDefinition } from "../engine/parse-definition.ts";
import { RequestError } from "../system.ts";
import {
  capabilityOf,
  compensate,
  parseInput,
  parseOutput,
} from "../worker/agent/called-action.ts";
import { type Duration, durationMs } from "./duration.ts";
import { actionsOf, definitionsOf, type TestAgents } from "./test-agents.ts";
import { type TestServices, testContext } from "./test-context.ts";
import { createFaults, type FaultOptions, type KillOptions } from "./test-faults.ts";
import { type TestRun, testRun } from "./test-run.ts";

/** Events of one test at most, its child runs included. */
const eventLimit = 200_000;
const defaultStart = Date.UTC(2000, 0, 1);

/** One call of an action. */
export interface TestCall {
  /** `AGENT.action`. */
  readonly action: string;
  readonly runId: string;
  readonly taskKey: string;
  readonly attempt: number;
  readonly undo: boolean;
  readonly input: Json;
  readonly atMs: number;
}

export interface WorkflowTestOptions {
  readonly input?: Readonly<Record<string, Json>>;
  /** Real agents, or stubs; every action that the workflow and its children call must be there. */
  readonly agents?: TestAgents;
  /**
   * How long an action takes on the test's clock, by `AGENT.action` or key of a task. Default 0.
   * What takes longer than its limit is timed out; `Infinity` hangs until then.
   */
  readonly durations?: Readonly<Record<string, Duration | ((call: TestCall) => Duration)>>;
  /** Workflows that tasks start as child runs. */
  readonly workflows?: readonly WorkflowDefinition[];
  /** Default 2000-01-01T00:00:00Z. */
  readonly startAt?: Date | string | number;
  /** From 0 to 1, for the jitter of retries. Default: no jitter. */
  readonly random?: () => number;
  readonly priority?: number;
  readonly startPaused?: boolean;
  /** What actions use besides: `sql`, `bus`, `coordination`, `host`, `log`. */
  readonly services?: TestServices;
}

export interface WorkflowTest extends TestRun {
  /** Epoch ms of the test's clock. */
  readonly now: number;
  /** All calls of actions so far, those of child runs too. */
  readonly calls: readonly TestCall[];
  /** Goes from event to event until nothing is left to happen: the run has ended, or waits for somebody. */
  runUntilIdle(): Promise<void>;
  /**
   * Goes from event to event until the condition holds.
   * @throws {Error} When nothing is left to happen before.
   */
  runUntil(condition: () => boolean): Promise<void>;
  /** Lets this much time pass: `"1y"`, `"2h 30m"`, or milliseconds. */
  advance(duration: Duration): Promise<void>;
  /** The next attempt fails with this instead of being made. @param where `AGENT.action`, or key of a task. */
  failNext(where: string, error: AgentError | Error, options?: FaultOptions): void;
  /** The next attempt is lost: its thread or its node dies. @param where `AGENT.action`, or key of a task. */
  killNext(where: string, options?: KillOptions): void;
}

/**
 * A run that has not begun yet: the first `runUntilIdle`, `runUntil` or `advance` starts it.
 * @throws {TypeError} Naming every mistake of the definition, of the input, and of the stubs.
 */
export function createWorkflowTest(
  definition: WorkflowDefinition,
  options: WorkflowTestOptions = {},
): WorkflowTest {
  const { durations = {}, input = {}, services = {} } = options;
  const library = new Map<string, Compiled>();
  for (const one of [definition, ...(options.workflows ?? [])]) library.set(one.id, compiled(one));
  const main = library.get(definition.id) ?? compiled(definition);
  const reached = reachable(main, library);
  const plans = reached.map(({ plan }) => plan);
  const agents = definitionsOf(options.agents ?? {}, plans);
  const findAgent = (name: string): AgentDefinition | undefined => agents.get(name);
  const findWorkflow = (id: string): WorkflowDefinition | undefined => library.get(id)?.definition;
  checkActions(definition.id, plans, agents);
  named(() => checkDefinition(main.definition, input, findAgent, findWorkflow));
  const names = new Set(plans.flatMap((plan) => [...plan.tasks.keys(), ...actionsOf(plan)]));
  for (const name of Object.keys(durations)) checkName(name, "give a duration to", names);

  const faults = createFaults();
  const calls: TestCall[] = [];
  const checkpoints = new Map<string, Json>();
  const controllers = new Map<string, AbortController>();

  const run: VirtualRun = createVirtualRun({
    plan: main.plan,
    input,
    id: definition.id,
    eventLimit,
    startAtMs: startMs(options.startAt),
    limits: { agent: (name) => concurrencyOf(options.agents ?? {}, name) },
    execute,
    childPlan: (workflow, childInput) => {
      const child = library.get(workflow);
      if (child === undefined) return undefined;
      const given = childInput as Readonly<Record<string, Json>>;
      checkDefinition(child.definition, given, findAgent, findWorkflow);
      return child.plan;
    },
    attemptEnded: ({ attempt, error, outcome, taskKey, workflowId }) => {
      const key = `${workflowId}/${taskKey}/${attempt}`;
      const isLate = outcome === "stopped" || error?.code === "START_TO_CLOSE_TIMEOUT";
      if (isLate) controllers.get(key)?.abort();
      controllers.delete(key);
    },
    ...(options.random === undefined ? {} : { random: options.random }),
    ...(options.priority === undefined ? {} : { priority: options.priority }),
    ...(options.startPaused === undefined ? {} : { startPaused: options.startPaused }),
  });

  /** The test itself answers for what waits for a signal or a person. */
  async function execute(call: VirtualCall): Promise<VirtualAnswer | undefined> {
    if (call.kind !== "action") return undefined;
    const { attempt, atMs, input: given, taskKey, undo, workflowId: runId } = call;
    const action = `${call.agent}.${call.action}`;
    const shown = { action, runId, taskKey, attempt, undo, input: given, atMs };
    const duration = durations[taskKey] ?? durations[call.plan] ?? durations[action] ?? 0;
    const takesMs = durationMs(typeof duration === "function" ? duration(shown) : duration);
    const fault = faults.take(call);
    if (fault?.type === "fail") {
      return { durationMs: takesMs, outcome: { type: "failed", error: fault.error } };
    }
    const dead = { type: "failed", error: deathOf(call) } as const;
    if (fault?.when !== "before") {
      calls.push(shown);
      const outcome = await perform(call);
      if (fault === undefined) return { durationMs: takesMs, outcome };
    }
    return {
      durationMs: takesMs,
      outcome: dead,
      ...(fault.what === "node" ? { lost: "node died" } : {}),
    };
  }

  async function perform(call: VirtualCall): Promise<TaskOutcome> {
    const { attempt, taskKey, workflowId } = call;
    const task = `${workflowId}/${taskKey}`;
    const controller = new AbortController();
    controllers.set(`${task}/${attempt}`, controller);
    const spent = new Map<string, number>();
    const ctx = testContext({
      call,
      services,
      spent,
      signal: controller.signal,
      lastCheckpoint: checkpoints.get(task),
      nowMs: run.nowMs,
      taskTimes: () => timesOf(run, workflowId),
      checkpoint: (data) => void checkpoints.set(task, data),
    });
    const spending = () => (spent.size === 0 ? {} : { spent: Object.fromEntries(spent) });
    try {
      const agent = agents.get(call.agent);
      if (agent === undefined) throw new Error(`there is no agent ${call.agent}`);
      const capability = capabilityOf(agent, call.action);
      const parsed = await parseInput(capability, call, call.input);
      const output =
        call.undo && undoesItself(call)
          ? await compensate(capability, call, ctx, parsed)
          : await parseOutput(capability, call, await capability.run(ctx, parsed));
      return { type: "succeeded", output, ...spending() };
    } catch (error) {
      return { type: "failed", error: toErrorRecord(error), ...spending() };
    }
  }

  /** Another action that undoes a task is run; its own is asked to compensate. */
  function undoesItself({ action, agent, plan: key, workflowId }: VirtualCall): boolean {
    const planned = compiledOf(workflowId).plan.tasks.get(key);
    return planned?.agent === agent && planned.action === action;
  }

  /** What a run was started from: its parent's task says that of a child. */
  function compiledOf(id: string): Compiled {
    const parent = id === run.id ? null : run.child(id)?.state().parent;
    if (parent === null || parent === undefined) return main;
    const key = parent.taskKey.replace(/[#[].*$/, "");
    const workflow = compiledOf(parent.workflowId).plan.tasks.get(key)?.workflow;
    return library.get(workflow ?? "") ?? main;
  }

  const root = testRun({
    run,
    id: run.id,
    view: run,
    definitionOf: (id) => compiledOf(id).definition,
  });
  return Object.defineProperties(
    {
      runUntilIdle: async () => void (await run.runUntilIdle()),
      runUntil: async (condition: () => boolean) => {
        while (!condition()) {
          if (await run.step()) continue;
          const { status } = run.state();
          throw new Error(
            `Cannot reach the condition: the run is ${status}, and nothing is left to happen`,
          );
        }
      },
      advance: (duration: Duration) => run.advance(durationMs(duration)),
      failNext: (where: string, error: Error, given: FaultOptions = {}) => {
        checkName(where, "fail", names);
        faults.plan(where, { type: "fail", error: toErrorRecord(error) }, given);
      },
      killNext: (
        where: string,
        { what = "thread", when = "after", ...given }: KillOptions = {},
      ) => {
        checkName(where, "kill", names);
        faults.plan(where, { type: "kill", what, when }, given);
      },
    },
    {
      ...Object.getOwnPropertyDescriptors(root),
      now: { get: run.nowMs, enumerable: true },
      calls: { get: () => calls, enumerable: true },
    },
  ) as WorkflowTest;
}

interface Compiled {
  readonly definition: WorkflowDefinition;
  readonly plan: RunPlan;
}

/** As the engine reads it when it is started. */
function compiled(definition: WorkflowDefinition): Compiled {
  return named(() => compileDefinition(parseDefinition(JSON.parse(JSON.stringify(definition)))));
}

/** Says with the error what its fields say. */
function named<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof RequestError) || error.fields.length === 0) throw error;
    const fields = error.fields.map(({ detail, pointer }) => `\n  ${pointer} ${detail}`);
    throw new TypeError(`${error.message}${fields.join("")}`, { cause: error });
  }
}

/** The workflow and all that it may start, at any depth. */
function reachable(main: Compiled, library: ReadonlyMap<string, Compiled>): readonly Compiled[] {
  const found = new Set([main]);
  for (const { definition, plan } of found) {
    for (const { key, workflow } of plan.tasks.values()) {
      if (workflow === null) continue;
      const child = library.get(workflow);
      if (child === undefined) {
        throw new TypeError(
          `Cannot test workflow "${definition.id}": its task "${key}" starts the workflow "${workflow}"; pass it in workflows: [ … ]`,
        );
      }
      found.add(child);
    }
  }
  return [...found];
}

function checkActions(
  id: string,
  plans: readonly RunPlan[],
  agents: ReadonlyMap<string, AgentDefinition>,
): void {
  const missing = new Set(plans.flatMap(actionsOf));
  for (const [name, { capabilities }] of agents) {
    for (const action of Object.keys(capabilities)) missing.delete(`${name}.${action}`);
  }
  if (missing.size === 0) return;
  throw new TypeError(
    `Cannot test workflow "${id}": nothing stands in for ${[...missing].sort().join(", ")}; pass them in agents: { AGENT: { action: … } }`,
  );
}

/** A misspelt name would never happen, and the test would pass for the wrong reason. */
function checkName(name: string, verb: string, names: ReadonlySet<string>): void {
  if (names.has(name) || names.has(name.replace(/(?:#\d+)?(?:\[\d+\])?$/, ""))) return;
  throw new TypeError(
    `Cannot ${verb} "${name}": it is no action or task of the workflow; those are ${[...names].sort().join(", ")}`,
  );
}

/** Stubs have no limit; a real agent has the one of one replica. */
function concurrencyOf(agents: TestAgents, name: string): number {
  const concurrency = Object.values(agents).find((agent) => agent["name"] === name)?.[
    "concurrency"
  ];
  return typeof concurrency === "number" ? concurrency : Number.POSITIVE_INFINITY;
}

function startMs(startAt: Date | string | number = defaultStart): number {
  const ms = new Date(startAt).getTime();
  if (Number.isNaN(ms)) {
    throw new TypeError(`Cannot start the test at "${String(startAt)}": it is no date`);
  }
  return ms;
}

function deathOf({ action, agent }: VirtualCall) {
  const message = `Cannot go on with agent ${agent}: its thread died during ${agent}.${action}, as the test wanted`;
  return { name: "AgentError", code: "AGENT_DIED", message, retryable: true };
}

function timesOf(run: VirtualRun, id: string) {
  const { tasks } = (id === run.id ? run : run.child(id))?.state() ?? run.state();
  return [...tasks.values()]
    .filter(({ startedAtMs }) => startedAtMs !== null)
    .sort((a, b) => (a.startedAtMs ?? 0) - (b.startedAtMs ?? 0))
    .map(({ attempt, finishedAtMs, key, startedAtMs }) => ({
      key,
      attempt,
      startedAt: startedAtMs === null ? null : new Date(startedAtMs),
      finishedAt: finishedAtMs === null ? null : new Date(finishedAtMs),
    }));
}
