/**
 * One run of a workflow test, or one of its child runs: what it is, and what people do to it.
 *
 * @module
 */

import type { WorkflowDefinition } from "../../actors/define-workflow.ts";
import { AgentError, type ErrorRecord, type Json } from "../../machines/error-code.ts";
import type { JournalDraft, RunState, RunStatus, TaskState } from "../../machines/run/state.ts";
import type { VirtualEvent, VirtualRun } from "../../machines/virtual/virtual-run.ts";
import type { RecordedHistory } from "./recorded-history.ts";

export interface TestTask {
  readonly key: string;
  readonly status: TaskState["status"];
  /** Newest attempt, from 1; 0: none yet. */
  readonly attempt: number;
  /** Undefined until it has succeeded. */
  readonly output: Json | undefined;
  readonly error: ErrorRecord | null;
  /** Epoch ms of the test's clock. */
  readonly readyAtMs: number | null;
  readonly startedAtMs: number | null;
  readonly finishedAtMs: number | null;
}

export interface TestRun {
  readonly id: string;
  readonly status: RunStatus;
  /** Active states of the chart: `week2`, or `build.test + deploy`. */
  readonly place: string;
  /** Null until it has completed. */
  readonly output: Json;
  readonly error: ErrorRecord | null;
  readonly journal: readonly JournalDraft[];
  readonly tasks: readonly TestTask[];
  /** @param key Of a list's or a loop's instances: `render[3]`, `scan#2`. */
  task(key: string): TestTask;
  /** The run that a task of kind `workflow` started. */
  child(taskKey: string): TestRun;
  signal(name: string, payload?: Json): Promise<void>;
  /** Answers an approval that waits; `payload` is the task's output. */
  approve(taskKey: string, payload?: Json): Promise<void>;
  reject(taskKey: string, reason?: string): Promise<void>;
  /** Its clocks stand still meanwhile, unless they are told to run on. */
  pause(options?: { readonly reason?: string; readonly clocks?: "stop" | "run" }): Promise<void>;
  resume(): Promise<void>;
  cancel(options?: { readonly reason?: string; readonly rollback?: boolean }): Promise<void>;
  /** Tries again what failed; with a key only that task. */
  retry(taskKey?: string): Promise<void>;
  /** Decides about a parked task. */
  resolve(
    taskKey: string,
    as: "succeeded" | "failed" | "retry" | "skip",
    output?: Json,
  ): Promise<void>;
  /** Raises hard limits of its budget. */
  raiseBudget(limits: Readonly<Record<string, number>>): Promise<void>;
  /** For `replayHistory`. Plain JSON. */
  history(): RecordedHistory;
}

export interface TestRunOptions {
  readonly run: VirtualRun;
  readonly id: string;
  readonly view: Pick<VirtualRun, "state" | "journal" | "outputs">;
  definitionOf(id: string): WorkflowDefinition;
}

export function testRun({ definitionOf, id, run, view }: TestRunOptions): TestRun {
  /** What follows at the same instant has happened as well when it resolves. */
  async function post(event: VirtualEvent): Promise<void> {
    await Promise.all([run.post(event, "test", id), run.advance(0)]);
  }

  function stateOf(key: string): TaskState {
    const found = view.state().tasks.get(key);
    if (found !== undefined) return found;
    const known = [...view.state().tasks.keys()].join(", ");
    throw new AgentError("TASK_UNKNOWN", `Cannot find task "${key}" in run ${id}: it has ${known}`);
  }

  function taskOf({ key, ...task }: TaskState): TestTask {
    const { attempt, error, finishedAtMs, readyAtMs, startedAtMs, status } = task;
    const output = status === "succeeded" ? view.outputs().get(key) : undefined;
    return { key, status, attempt, output, error, readyAtMs, startedAtMs, finishedAtMs };
  }

  /** Somebody who answers what nobody asked has a mistake in the test. */
  async function decide(
    taskKey: string,
    verb: string,
    statuses: readonly TaskState["status"][],
    event: Extract<VirtualEvent, { readonly type: "task.resolve" }>,
  ): Promise<void> {
    // What was asked of the run before this happens first.
    await run.advance(0);
    const { status } = stateOf(taskKey);
    if (!statuses.includes(status)) {
      const message = `Cannot ${verb} "${taskKey}": it is ${status}, not ${statuses.join(" or ")}; run or advance the test until it waits`;
      throw new AgentError("NOT_WAITING", message);
    }
    await post(event);
  }

  return {
    id,
    get status() {
      return view.state().status;
    },
    get place() {
      return view.state().place;
    },
    get output() {
      return view.state().output;
    },
    get error() {
      return view.state().error;
    },
    get journal() {
      return view.journal();
    },
    get tasks() {
      return [...view.state().tasks.values()].map(taskOf);
    },
    task: (key) => taskOf(stateOf(key)),
    child: (taskKey) => {
      const { childId } = stateOf(taskKey);
      const child = childId === null ? undefined : run.child(childId);
      if (childId === null || child === undefined) {
        throw new AgentError("NO_CHILD", `Cannot find the child run of "${taskKey}": it has none`);
      }
      return testRun({ definitionOf, run, id: childId, view: child });
    },
    signal: (name, payload = null) => post({ type: "run.signal", name, payload }),
    approve: (taskKey, output = null) => {
      const event = { type: "task.resolve", taskKey, as: "succeeded", output } as const;
      return decide(taskKey, "approve", ["running"], { ...event, reason: null });
    },
    reject: (taskKey, reason) => {
      const event = { type: "task.resolve", taskKey, as: "failed" } as const;
      return decide(taskKey, "reject", ["running"], { ...event, reason: reason ?? null });
    },
    pause: ({ clocks = "stop", reason } = {}) =>
      post({ type: "run.pause", clocks, reason: reason ?? null }),
    resume: () => post({ type: "run.resume", reason: null }),
    cancel: ({ reason, rollback = false } = {}) =>
      post({ type: "run.cancel", rollback, reason: reason ?? null }),
    retry: (taskKey) => post({ type: "run.retry", taskKey: taskKey ?? null, reason: null }),
    resolve: (taskKey, as, output = null) =>
      decide(taskKey, "decide about", ["parked"], {
        type: "task.resolve",
        taskKey,
        as,
        output,
        reason: null,
      }),
    raiseBudget: (limits) => post({ type: "run.budget", limits, reason: null }),
    history: () => historyOf(view.state(), view, definitionOf(id)),
  };
}

function historyOf(
  state: RunState,
  view: Pick<VirtualRun, "journal" | "outputs">,
  definition: WorkflowDefinition,
): RecordedHistory {
  const { id, input, parent, priority } = state;
  const outputs = Object.fromEntries(view.outputs());
  // As if it had been stored, so that nothing in it changes with the run.
  return JSON.parse(
    JSON.stringify({ id, definition, input, parent, priority, outputs, journal: view.journal() }),
  );
}
