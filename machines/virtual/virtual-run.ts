/**
 * A run in virtual time: the real turns, the real admission and the real timers, with a clock that
 * jumps to whatever happens next and agents that the caller stands in for. Nothing is stored.
 *
 * The same options and the same answers give the same journal, entry by entry.
 *
 * @module
 */

import { AgentError, type ErrorRecord, type Json, toErrorRecord } from "../error-code.ts";
import { createHeap } from "../plan/heap.ts";
import type { PlanTask, RunPlan, TaskKind } from "../run/plan.ts";
import type {
  JournalDraft,
  RunEffect,
  RunEvent,
  RunFields,
  RunState,
  TaskOutcome,
  TaskState,
} from "../run/state.ts";
import { type Aftermath, createMember, type Member } from "./member.ts";
import { createVirtualAdmission, type VirtualLimits } from "./virtual-admission.ts";

/** What the caller answers for: an attempt of an agent, or what a task waits for. */
export interface VirtualCall {
  readonly workflowId: string;
  readonly taskKey: string;
  /** Key of the task in the definition. */
  readonly plan: string;
  readonly kind: Exclude<TaskKind, "sleep">;
  readonly agent: string;
  readonly action: string;
  readonly attempt: number;
  /** Undoes the task instead of doing it. */
  readonly undo: boolean;
  /** Which item of its group; null for every other task. */
  readonly index: number | null;
  readonly input: Json;
  readonly atMs: number;
}

export interface VirtualAnswer {
  /** After this long the outcome is there; at once when it is 0. */
  readonly durationMs: number;
  readonly outcome: TaskOutcome;
  /** The attempt's node is gone by then: nobody hears of the outcome, and this is why. */
  readonly lost?: string;
}

export interface VirtualRunOptions {
  readonly plan: RunPlan;
  readonly input: Json;
  /** Undefined: nobody answers, so the task waits for `signal` or `post`. */
  execute(call: VirtualCall): VirtualAnswer | undefined | Promise<VirtualAnswer | undefined>;
  /**
   * Plan of a workflow that a task starts as a child; undefined: `execute` stands in for it.
   * @throws {AgentError} When no such run can be started: its task fails with that.
   */
  childPlan?(workflow: string, input: Json): RunPlan | undefined;
  /** Told of every attempt at the instant of its end. */
  attemptEnded?(attempt: VirtualAttempt): void;
  readonly limits?: VirtualLimits;
  /** Epoch ms. Default 0. */
  readonly startAtMs?: number;
  /** From 0 to 1, for the jitter of retries. Default: no jitter. */
  readonly random?: () => number;
  readonly id?: string;
  readonly priority?: number;
  readonly startPaused?: boolean;
  /** Events at most, so that a run that never ends is found. */
  readonly eventLimit?: number;
}

/** One attempt, as it went. */
export interface VirtualAttempt {
  readonly workflowId: string;
  readonly taskKey: string;
  readonly agent: string;
  readonly action: string;
  readonly attempt: number;
  readonly undo: boolean;
  readonly readyAtMs: number;
  readonly startMs: number;
  readonly finishMs: number;
  /** `stopped`: it was told to, or its node is gone. */
  readonly outcome: "succeeded" | "failed" | "stopped";
  readonly error: ErrorRecord | null;
}

type Unstamped<E> = E extends unknown ? Omit<E, "atMs" | "by"> : never;
export type VirtualEvent = Unstamped<RunEvent>;

export interface VirtualRun {
  readonly id: string;
  nowMs(): number;
  state(): RunState;
  journal(): readonly JournalDraft[];
  /** By key of the task's instance. */
  outputs(): ReadonlyMap<string, Json>;
  attempts(): readonly VirtualAttempt[];
  /** Ids of this run and of the child runs that it started. */
  runs(): readonly string[];
  /** A child run's state and journal. */
  child(id: string): Pick<VirtualRun, "state" | "journal" | "outputs"> | undefined;
  /** Does all that happens next, and at the same instant; false when nothing is left to happen. */
  step(): Promise<boolean>;
  /** Until nothing is left to happen: the run has ended, or waits for somebody. */
  runUntilIdle(): Promise<RunState>;
  /** Lets this much time pass. */
  advance(ms: number): Promise<void>;
  signal(name: string, payload?: Json): Promise<void>;
  /** Any event, now: what an operator does. To a child run where `run` is its id. */
  post(event: VirtualEvent, by?: string, run?: string): Promise<void>;
}

const defaultEventLimit = 1_000_000;

interface Happening {
  readonly atMs: number;
  readonly order: number;
  readonly run: string;
  readonly event: Json | VirtualEvent;
  readonly by: string;
  /** Set for timers: it is stale unless the run still has it for this time. */
  readonly timer?: string;
  readonly attempt?: OpenAttempt;
}

interface OpenAttempt extends Omit<VirtualAttempt, "finishMs" | "outcome" | "error"> {
  stopped: boolean;
}

export function createVirtualRun(options: VirtualRunOptions): VirtualRun {
  const { random = () => 0, eventLimit = defaultEventLimit, id = "virtual" } = options;
  const members = new Map<string, Member>();
  const happenings = createHeap<Happening>(
    (a, b) => a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order),
  );
  const admission = createVirtualAdmission(members, options.limits);
  const open = new Map<string, OpenAttempt>();
  const attempts: VirtualAttempt[] = [];
  /** Calls that the turns of this instant asked for. */
  let calls: (() => Promise<void>)[] = [];
  let [nowMs, order, events] = [options.startAtMs ?? 0, 0, 0];
  /** One step at a time, however many callers there are. */
  let turn: Promise<unknown> = Promise.resolve();

  function happen(run: string, event: Happening["event"], extra: Partial<Happening> = {}): void {
    order += 1;
    happenings.push({ run, event, atMs: nowMs, by: "virtual", order, ...extra });
  }

  function join(
    memberId: string,
    plan: RunPlan,
    input: Json,
    priority: number | undefined,
    parent: RunFields["parent"],
  ): void {
    const isRoot = parent === null;
    const given = { id: memberId, plan, input, parent, random };
    members.set(memberId, createMember(priority === undefined ? given : { ...given, priority }));
    happen(memberId, {
      type: "run.start",
      paused: isRoot && options.startPaused === true,
    });
  }

  function apply(member: Member, event: Happening["event"], by: string, timer?: string): void {
    events += 1;
    if (events > eventLimit) {
      throw new AgentError(
        "SIMULATION_TOO_LONG",
        `Cannot go on in virtual time: ${eventLimit} events have happened and the run has not ended`,
      );
    }
    perform(member, member.apply({ by, ...(event as object), atMs: nowMs } as RunEvent, timer));
  }

  function perform(member: Member, aftermath: Aftermath): void {
    const { changed, effects, isOther, journal, timers } = aftermath;
    admission.follow(member, changed);
    if (isOther) admission.follow(member);
    for (const [key, timer] of timers) {
      if (timer === null || timer.dueAtMs === null) continue;
      happen(member.id, timer.event, { atMs: timer.dueAtMs, timer: key, by: "timer" });
    }
    for (const effect of effects) performOne(member, effect);
    for (const { type, payload } of journal) {
      const waiting = payload as { readonly task?: string; readonly for?: string };
      if (type === "task.waiting" && waiting.for === "signal" && waiting.task !== undefined) {
        ask(member, waiting.task, ({ outcome, planned }) => ({
          type: "run.signal",
          name: planned.signal ?? "",
          payload: outcome.type === "succeeded" ? outcome.output : null,
        }));
      }
    }
  }

  function performOne(member: Member, effect: RunEffect): void {
    switch (effect.type) {
      case "dispatch":
        calls.push(() => attempt(member, effect.taskKey, effect.attempt, effect.undo ?? false));
        return;
      case "abort":
        return abort(member, effect.taskKey, effect.attempt);
      case "start-child":
        return startChild(member, effect);
      case "open-approval":
        return ask(member, effect.taskKey, ({ outcome }) =>
          outcome.type === "succeeded"
            ? { type: "task.resolve", as: "succeeded", output: outcome.output, reason: null }
            : { type: "task.resolve", as: "failed", reason: outcome.error.message },
        );
      case "command-child":
        if (members.has(effect.childId)) happen(effect.childId, effect.event);
        return;
      case "tell-parent":
        if (members.has(effect.workflowId)) happen(effect.workflowId, effect.event);
        return;
      default:
        effect satisfies never;
    }
  }

  function startChild(
    member: Member,
    effect: Extract<RunEffect, { readonly type: "start-child" }>,
  ): void {
    const { childId, input, priority, taskKey, workflow } = effect;
    let plan: RunPlan | undefined;
    try {
      plan = options.childPlan?.(workflow, input);
    } catch (error) {
      const outcome = { type: "failed", error: toErrorRecord(error) };
      const event = { type: "child.finished", taskKey, childId, outcome, by: "engine" };
      return happen(member.id, event as unknown as Json);
    }
    if (plan !== undefined) {
      return join(childId, plan, input, priority, { workflowId: member.id, taskKey });
    }
    ask(member, taskKey, ({ outcome }) => ({ type: "child.finished", childId, outcome }));
  }

  /** Asks the caller for what a task waits for. */
  function ask(
    member: Member,
    taskKey: string,
    eventOf: (answer: { outcome: TaskOutcome; planned: PlanTask }) => object,
  ): void {
    calls.push(async () => {
      const found = member.task(taskKey);
      if (found === undefined) return;
      const { planned, task } = found;
      const answer = await options.execute(callOf(member, task, planned, false));
      if (answer === undefined) return;
      const event = { taskKey, ...eventOf({ outcome: answer.outcome, planned }) };
      happen(member.id, event as Json, { atMs: nowMs + Math.max(0, answer.durationMs) });
    });
  }

  function callOf(member: Member, task: TaskState, planned: PlanTask, undo: boolean): VirtualCall {
    const { agent, action } = undo && planned.compensate !== null ? planned.compensate : planned;
    return {
      workflowId: member.id,
      taskKey: task.key,
      plan: task.plan,
      kind: planned.kind === "sleep" ? "action" : planned.kind,
      agent,
      action,
      attempt: task.attempt,
      undo,
      index: task.index,
      input: member.inputOf(task, planned),
      atMs: nowMs,
    };
  }

  async function attempt(member: Member, taskKey: string, number: number, undo: boolean) {
    const found = member.task(taskKey);
    if (found === undefined || found.task.attempt !== number) return;
    if (!undo) {
      apply(member, { type: "task.started", taskKey, attempt: number, node: "virtual" }, "virtual");
    }
    const { planned, task } = found;
    const { agent, action } = undo && planned.compensate !== null ? planned.compensate : planned;
    const one: OpenAttempt = {
      workflowId: member.id,
      taskKey,
      agent,
      action,
      attempt: number,
      undo,
      readyAtMs: task.readyAtMs ?? nowMs,
      startMs: nowMs,
      stopped: false,
    };
    open.set(`${member.id}/${taskKey}/${number}`, one);
    const answer = await answered(member, task, planned, undo);
    if (answer === undefined) return;
    const { lost: reason, outcome } = answer;
    const event =
      reason === undefined
        ? { type: "task.finished", taskKey, attempt: number, outcome }
        : { type: "task.lost", taskKey, attempt: number, reason };
    happen(member.id, event as unknown as Json, {
      atMs: nowMs + answer.durationMs,
      attempt: one,
    });
  }

  /** An attempt whose input cannot be filled fails as it would for real; one that takes too long is timed out. */
  async function answered(
    member: Member,
    task: TaskState,
    planned: PlanTask,
    undo: boolean,
  ): Promise<VirtualAnswer | undefined> {
    let call: VirtualCall;
    try {
      call = callOf(member, task, planned, undo);
    } catch (error) {
      return { durationMs: 0, outcome: { type: "failed", error: toErrorRecord(error) } };
    }
    const answer = await options.execute(call);
    const limitMs = planned.timeouts.startToCloseMs;
    if (answer === undefined || answer.durationMs <= limitMs) {
      return answer && { ...answer, durationMs: Math.max(0, answer.durationMs) };
    }
    const message = `Cannot finish "${task.key}" in time: its start-to-close limit of ${limitMs} ms has passed`;
    const error = {
      name: "TimeoutError",
      code: "START_TO_CLOSE_TIMEOUT",
      message,
      retryable: true,
    };
    return { durationMs: limitMs, outcome: { type: "failed", error } };
  }

  function abort(member: Member, taskKey: string, number: number): void {
    const name = `${member.id}/${taskKey}/${number}`;
    const one = open.get(name);
    if (one === undefined) return;
    one.stopped = true;
    close(name, one, "stopped", null);
    happen(member.id, { type: "task.stopped", taskKey, attempt: number, how: "asked", afterMs: 0 });
  }

  function close(
    name: string,
    one: OpenAttempt,
    outcome: VirtualAttempt["outcome"],
    error: ErrorRecord | null,
  ): void {
    open.delete(name);
    const { stopped, ...attempted } = one;
    const ended = { finishMs: nowMs, outcome: stopped ? "stopped" : outcome, error } as const;
    const whole: VirtualAttempt = { ...attempted, ...ended };
    attempts.push(whole);
    options.attemptEnded?.(whole);
  }

  /** A timer that was cleared or moved, and the end of an attempt that was stopped, do not happen. */
  function isStale({ atMs, attempt: one, run, timer }: Happening): boolean {
    if (one?.stopped === true) return true;
    return timer !== undefined && members.get(run)?.state().timers.get(timer)?.dueAtMs !== atMs;
  }

  /** What happens next, without what has become stale. */
  function next(): Happening | undefined {
    let first = happenings.peek();
    while (first !== undefined && isStale(first)) {
      happenings.pop();
      first = happenings.peek();
    }
    return first;
  }

  function take({ attempt: one, by, event, run, timer }: Happening): void {
    const member = members.get(run);
    if (member === undefined) return;
    if (one !== undefined) {
      const { outcome } = event as unknown as { readonly outcome?: TaskOutcome };
      const error = outcome?.type === "failed" ? outcome.error : null;
      close(`${run}/${one.taskKey}/${one.attempt}`, one, outcome?.type ?? "stopped", error);
    }
    apply(member, event, by, timer);
  }

  /** Calls of turns may ask for further calls; then what is ready is dispatched, until nothing fits. */
  async function settle(): Promise<void> {
    for (;;) {
      for (const call of calls.splice(0)) await call();
      if (calls.length > 0) continue;
      const fitting = admission.admit();
      for (const { taskKey, workflowId } of fitting) {
        const member = members.get(workflowId);
        if (member !== undefined) apply(member, { type: "task.dispatch", taskKey }, "scheduler");
      }
      if (fitting.length === 0 || calls.length === 0) return;
    }
  }

  async function instant(): Promise<boolean> {
    const first = next();
    if (first === undefined) return false;
    nowMs = Math.max(nowMs, first.atMs);
    for (let due = next(); due !== undefined && due.atMs <= nowMs; due = next()) {
      happenings.pop();
      take(due);
    }
    await settle();
    return true;
  }

  function inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = turn.then(work);
    turn = result.catch(() => undefined);
    return result;
  }

  async function postNow(event: VirtualEvent, by: string, run: string): Promise<void> {
    happen(run, event, { by });
    await instant();
  }

  function view(member: Member): Pick<VirtualRun, "state" | "journal" | "outputs"> {
    return { state: member.state, journal: member.journal, outputs: member.outputs };
  }

  join(id, options.plan, options.input, options.priority, null);
  const root = members.get(id) as Member;
  return {
    id,
    nowMs: () => nowMs,
    ...view(root),
    attempts: () => attempts,
    runs: () => [...members.keys()],
    child: (childId) => {
      const member = members.get(childId);
      return member && view(member);
    },
    step: () => inTurn(instant),
    runUntilIdle: () =>
      inTurn(async () => {
        while (await instant());
        return root.state();
      }),
    advance: (ms) =>
      inTurn(async () => {
        const untilMs = nowMs + ms;
        while ((next()?.atMs ?? Number.POSITIVE_INFINITY) <= untilMs) await instant();
        nowMs = untilMs;
      }),
    signal: (name, payload = null) =>
      inTurn(() => postNow({ type: "run.signal", name, payload }, "test", id)),
    post: (event, by = "test", run = id) => inTurn(() => postNow(event, by, run)),
  };
}
