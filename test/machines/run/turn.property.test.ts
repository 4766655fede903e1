import fc from "fast-check";
import { expect, test } from "vitest";
import { fold } from "../../../machines/run/fold.ts";
import type { RunPlan } from "../../../machines/run/plan.ts";
import {
  initialRun,
  type JournalDraft,
  type RunEffect,
  type RunEvent,
  type RunState,
  type TaskState,
} from "../../../machines/run/state.ts";
import { beginTurn } from "../../../machines/run/turn.ts";
import { isInFlight, isOpen, isSatisfied } from "../../../machines/task.ts";
import { event, planOf, type Stages, type TaskOptions, task } from "../../support/run-events.ts";

/** What a random walk may do next; `pick` chooses among the tasks that the step fits. */
const steps = [
  "dispatch",
  "started",
  "succeeded",
  "failed for good",
  "failed",
  "lost",
  "due",
  "again",
  "stale",
  "pause",
  "resume",
  "cancel",
  "retry",
  "retry one",
] as const;
type Step = (typeof steps)[number];

const often: Step[] = ["dispatch", "succeeded", "started", "failed", "due"];
const anyStep = fc.record({
  step: fc.oneof(
    { weight: 3, arbitrary: fc.constantFrom(...often) },
    { weight: 2, arbitrary: fc.constantFrom(...steps) },
  ),
  pick: fc.nat(1_000),
  /** Whether the next event belongs to the same turn. */
  joined: fc.boolean(),
});

/** Tasks wait only for tasks before them: of their own stage or an earlier one. */
const anyStages = fc
  .array(
    fc.record({
      stage: fc.nat(2),
      after: fc.array(fc.nat(1_000), { maxLength: 3 }),
      maxFailures: fc.integer({ min: 1, max: 3 }),
      onFailure: fc.constantFrom("fail", "fail", "skip"),
    }),
    { minLength: 1, maxLength: 10 },
  )
  .map((drafts): Stages => {
    const sorted = [...drafts].sort((a, b) => a.stage - b.stage);
    const stages: Record<string, Record<string, TaskOptions>> = {};
    for (const [index, { stage, after, maxFailures, onFailure }] of sorted.entries()) {
      const earlier = index === 0 ? [] : [...new Set(after.map((n) => `t${n % index}`))];
      const tasks = stages[`s${stage}`] ?? {};
      tasks[`t${index}`] = { after: earlier, maxFailures, onFailure: onFailure as "fail" | "skip" };
      stages[`s${stage}`] = tasks;
    }
    return stages;
  });

function eventFor(step: Step, pick: number, state: RunState, sent: RunEvent[]): RunEvent {
  const tasks = [...state.tasks.values()];
  const among = (fits: (status: TaskState["status"]) => boolean): TaskState => {
    const fitting = tasks.filter(({ status }) => fits(status));
    const pool = fitting.length === 0 ? tasks : fitting;
    return pool[pick % pool.length] as TaskState;
  };
  const flying = among(isInFlight);
  switch (step) {
    case "dispatch":
      return event.dispatch(among((status) => status === "ready").key);
    case "started":
      return event.started(flying.key, flying.attempt);
    case "succeeded":
      return event.succeeded(flying.key, flying.attempt);
    case "failed for good":
      return event.failed(flying.key, flying.attempt);
    case "failed":
      return event.failed(flying.key, flying.attempt, true);
    case "lost":
      return event.lost(flying.key, flying.attempt);
    case "due": {
      const waiting = among((status) => status === "retrying");
      return event.due(waiting.key, waiting.attempt);
    }
    case "again":
      return sent[pick % sent.length] ?? event.start;
    case "stale":
      return event.succeeded(flying.key, flying.attempt - 1 - (pick % 2));
    case "retry":
      return event.retry(null);
    case "retry one":
      return event.retry((tasks[pick % tasks.length] as TaskState).key);
    case "pause":
    case "resume":
    case "cancel":
      return event[step];
  }
}

function statuses(state: RunState) {
  return [...state.tasks.values()].map(({ key, status, attempt }) => [key, status, attempt]);
}

/** Takes turns, and checks after each event what must hold at every moment. */
function walk(plan: RunPlan) {
  let state = initialRun("run", plan);
  let turn = beginTurn(state, plan);
  let before = structuredClone(state);
  const sent: RunEvent[] = [];
  const turns: RunEvent[][] = [[]];
  const journal: JournalDraft[] = [];
  const effects: RunEffect[] = [];
  const dispatched = new Set<string>();
  const succeeded = new Set<string>();

  function check(
    applied: RunEvent,
    was: RunState,
    now: RunState,
    fresh: readonly RunEffect[],
  ): void {
    const wasOver = ["completed", "failed", "cancelled"].includes(was.status);
    if (wasOver && applied.type !== "run.retry") {
      expect(statuses(now)).toEqual(statuses(was));
      expect(now.status).toBe(was.status);
      expect(fresh).toEqual([]);
    }
    for (const effect of fresh) {
      if (effect.type !== "abort" && effect.type !== "dispatch") continue;
      const id = `${effect.taskKey}/${effect.attempt}`;
      if (effect.type === "abort") expect(dispatched).toContain(id);
      if (effect.type !== "dispatch") continue;
      expect(dispatched).not.toContain(id);
      dispatched.add(id);
      expect(was.status).toBe("running");
      const after = plan.tasks.get(effect.taskKey)?.after ?? [];
      expect(after.every((key) => isSatisfied(task(was, key).status))).toBe(true);
      expect(plan.tasks.get(effect.taskKey)?.stage).toBe(was.place);
    }
    for (const { key, status } of now.tasks.values()) {
      if (status === "succeeded") succeeded.add(key);
      else expect(succeeded).not.toContain(key);
    }
    const all = [...now.tasks.values()];
    if (now.status === "completed")
      expect(all.every(({ status }) => isSatisfied(status))).toBe(true);
    if (now.status === "cancelled") expect(all.some(({ status }) => isOpen(status))).toBe(false);
    if (now.status === "failed") {
      expect(now.error).not.toBeNull();
      const stage = all.filter(({ key }) => plan.tasks.get(key)?.stage === now.place);
      expect(stage.some(({ status }) => isOpen(status))).toBe(false);
    }
  }

  function end(): void {
    expect(state, "a turn changes only its copy").toEqual(before);
    state = turn.state();
    journal.push(...turn.journal());
    effects.push(...turn.effects());
    before = structuredClone(state);
    turn = beginTurn(state, plan);
    turns.push([]);
  }

  return {
    journal,
    effects,
    turns,
    sent,
    now: () => turn.state(),
    end,
    apply: (one: RunEvent) => {
      const was = structuredClone(turn.state());
      const known = turn.effects().length;
      turn.apply(one);
      sent.push(one);
      turns.at(-1)?.push(one);
      check(one, was, turn.state(), turn.effects().slice(known));
    },
  };
}

/** Delivers every outcome that is still due, as a healthy node would. */
function drain(run: ReturnType<typeof walk>): void {
  run.apply(event.start);
  run.apply(event.resume);
  for (let round = 0; round < 100; round += 1) {
    const tasks = [...run.now().tasks.values()];
    if (!tasks.some(({ status }) => isOpen(status))) break;
    for (const { key, status, attempt } of tasks) {
      if (status === "ready") run.apply(event.dispatch(key));
      if (isInFlight(status)) run.apply(event.succeeded(key, attempt));
      if (status === "retrying") run.apply(event.due(key, attempt));
    }
  }
  run.end();
}

/** A stage whose tasks all ended well counts nothing, whether it was ever counted or not. */
function withoutEmptyCounts(state: RunState): RunState {
  const counts = [...state.counts].filter(
    ([, { moving, blocked, bad }]) => moving + blocked + bad > 0,
  );
  return { ...state, counts: new Map(counts) };
}

test("beginTurn() keeps its promises in any graph, under any order of events", () => {
  const given = fc.tuple(anyStages, fc.array(anyStep, { maxLength: 60 }));
  const property = fc.property(given, ([stages, walked]) => {
    const plan = planOf(stages);
    const run = walk(plan);
    run.apply(event.start);
    for (const { step, pick, joined } of walked) {
      run.apply(eventFor(step, pick, run.now(), run.sent));
      if (!joined) run.end();
    }
    drain(run);

    expect(["completed", "failed", "cancelled"]).toContain(run.now().status);
    expect(run.journal.map(({ seq }) => seq)).toEqual(run.journal.map((_, index) => index + 1));
    expect(run.now().seq).toBe(run.journal.length);
    const successes = run.journal
      .filter(({ type }) => type === "task.succeeded")
      .map(({ payload }) => (payload as { task: string }).task);
    expect(new Set(successes).size).toBe(successes.length);

    // Folding the journal's patches gives the state, bit for bit.
    const folded = fold(
      initialRun("run", plan),
      plan,
      run.journal.map(({ patch }) => patch),
    );
    expect(withoutEmptyCounts({ ...folded, outputs: run.now().outputs })).toEqual(
      withoutEmptyCounts(run.now()),
    );

    // The same events give the same, also when they share turns in another way.
    for (const turns of [run.turns, run.sent.map((one) => [one]), [run.sent]]) {
      let state = initialRun("run", plan);
      const journal: unknown[] = [];
      const effects: unknown[] = [];
      for (const events of turns) {
        const turn = beginTurn(state, plan);
        for (const one of events) turn.apply(one);
        state = turn.state();
        journal.push(...turn.journal());
        effects.push(...turn.effects());
      }
      expect(state).toEqual(run.now());
      expect(journal).toEqual(run.journal);
      expect(effects).toEqual(run.effects);
    }
  });
  fc.assert(property, { numRuns: 100 });
});
