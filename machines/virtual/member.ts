/**
 * One run in virtual time: its state, the outputs of its tasks, and what of it is ready.
 *
 * @module
 */

import type { Json } from "../error-code.ts";
import type { PlanTask, RunPlan } from "../run/plan.ts";
import {
  initialRun,
  isAtWork,
  type JournalDraft,
  type RunEffect,
  type RunEvent,
  type RunFields,
  type RunState,
  type RunTimer,
  type TaskState,
  taskInstance,
} from "../run/state.ts";
import { beginTurn, type MutableRunState } from "../run/turn.ts";
import { resolve } from "../run/values.ts";

/** What the shell has to do after a turn. */
export interface Aftermath {
  /** Keys of the tasks that changed. */
  readonly changed: readonly string[];
  /** The run's status or priority changed: that concerns all of its tasks. */
  readonly isOther: boolean;
  readonly effects: readonly RunEffect[];
  readonly timers: ReadonlyMap<string, RunTimer | null>;
  readonly journal: readonly JournalDraft[];
}

export interface Member {
  readonly id: string;
  readonly plan: RunPlan;
  state(): RunState;
  outputs(): ReadonlyMap<string, Json>;
  journal(): readonly JournalDraft[];
  /** Keys of tasks that are ready for an agent. */
  readonly ready: ReadonlySet<string>;
  /** Keys of tasks in an agent's hands. */
  readonly atWork: ReadonlySet<string>;
  /** @param timer Key of the timer that fired it. */
  apply(event: RunEvent, timer?: string): Aftermath;
  /** A task, and what the plan says of it. */
  task(key: string): { readonly task: TaskState; readonly planned: PlanTask } | undefined;
  /** The input of an attempt. @throws {AgentError} `INPUT_UNRESOLVED` */
  inputOf(task: TaskState, planned: PlanTask): Json;
}

export interface MemberOptions {
  readonly id: string;
  readonly plan: RunPlan;
  readonly input: Json;
  readonly priority?: number;
  readonly parent?: RunFields["parent"];
  readonly random: () => number;
}

export function createMember({ id, plan, random, ...initial }: MemberOptions): Member {
  const state: MutableRunState = initialRun(id, plan, initial);
  const outputs = new Map<string, Json>();
  const journal: JournalDraft[] = [];
  const ready = new Set<string>();
  const atWork = new Set<string>();

  function keep(task: TaskState): void {
    const isReady = task.status === "ready" && plan.tasks.get(task.plan)?.kind === "action";
    if (isReady) ready.add(task.key);
    else ready.delete(task.key);
    if (isAtWork(task, plan)) atWork.add(task.key);
    else atWork.delete(task.key);
  }

  function outputOf(name: string, reader: TaskState): Json | undefined {
    const [wanted, reading] = [plan.tasks.get(name), plan.tasks.get(reader.plan)];
    if (wanted === undefined) return undefined;
    const isOfStage = wanted.stage === reading?.stage;
    const iteration = isOfStage ? reader.iteration : (state.chart?.entered[wanted.stage] ?? 1);
    if (wanted.group !== null && wanted.group === reading?.group) {
      return outputs.get(taskInstance(name, iteration, reader.index));
    }
    const whole = state.tasks.get(taskInstance(name, iteration));
    if (whole === undefined || whole.status === "skipped") {
      const stand = [...plan.tasks.values()].find(({ alternativeTo }) => alternativeTo === name);
      return stand === undefined ? undefined : outputOf(stand.key, reader);
    }
    return whole.left === null ? outputs.get(whole.key) : listOf(whole.key);
  }

  function listOf(key: string): Json[] {
    const list: Json[] = [];
    while (state.tasks.has(`${key}[${list.length}]`)) {
      list.push(outputs.get(`${key}[${list.length}]`) ?? null);
    }
    return list;
  }

  return {
    id,
    plan,
    state: () => state,
    outputs: () => outputs,
    journal: () => journal,
    ready,
    atWork,
    apply: (event, timer) => {
      const { priority, status } = state;
      const turn = beginTurn(state, plan, random);
      turn.apply(event, timer);
      const drafts = turn.journal();
      for (const [key, { output, state: task }] of turn.changed()) {
        if (output !== undefined) outputs.set(key, output);
        keep(task);
      }
      turn.advance(state);
      journal.push(...drafts);
      return {
        changed: [...turn.changed().keys()],
        isOther: state.status !== status || state.priority !== priority,
        effects: turn.effects(),
        timers: turn.timers(),
        journal: drafts,
      };
    },
    task: (key) => {
      const task = state.tasks.get(key);
      const planned = task && plan.tasks.get(task.plan);
      return task === undefined || planned === undefined ? undefined : { task, planned };
    },
    inputOf: (task, planned) =>
      resolve(planned.input ?? {}, {
        input: state.input,
        output: (name) => outputOf(name, task),
        ...(task.index === null ? {} : { item: task.item, index: task.index }),
        ...(state.chart === null ? {} : { context: state.chart.context }),
      }),
  };
}
