import fc from "fast-check";
import { expect, test } from "vitest";
import { refusalOf } from "../../../machines/run/command.ts";
import { fold } from "../../../machines/run/fold.ts";
import type { RunPlan } from "../../../machines/run/plan.ts";
import {
  initialRun,
  isAtWork,
  type JournalDraft,
  type RunEffect,
  type RunEvent,
  type RunState,
} from "../../../machines/run/state.ts";
import { beginTurn } from "../../../machines/run/turn.ts";
import { isOpen } from "../../../machines/task.ts";
import { anyPlan, planFrom } from "../../support/random-plan.ts";
import { commandOf } from "../../support/run-commands.ts";
import { choose, createWorld, type ModelAttempt } from "../../support/run-world.ts";
import { reportOf } from "../../support/walk-report.ts";

/**
 * Walks of a run through a world that delivers late, twice and out of order, with every command there
 * is. `SPECTRA_WALKS=20000` takes that many new ones; without it they are the same each time.
 */
const wanted = process.env["SPECTRA_WALKS"];
const walks = wanted === undefined ? { numRuns: 150, seed: 1 } : { numRuns: Number(wanted) };

const steps = {
  dispatch: 6,
  claim: 5,
  succeed: 5,
  fail: 2,
  "fail for good": 1,
  die: 1,
  "time out": 1,
  lose: 1,
  "end child": 2,
  "fail child": 1,
  deliver: 8,
  again: 2,
  stale: 1,
  "time passes": 3,
  timer: 4,
  command: 5,
} as const;
type Step = keyof typeof steps;

const anyStep = fc.record({
  step: fc.oneof(
    ...Object.entries(steps).map(([step, weight]) => ({
      weight,
      arbitrary: fc.constant(step as Step),
    })),
  ),
  pick: fc.nat(10_000),
  /** Whether the next event belongs to the same turn. */
  joined: fc.boolean(),
});

const isOver = (status: string) => ["completed", "failed", "cancelled"].includes(status);

/** A stage whose tasks all ended well counts nothing, whether it was ever counted or not. */
function comparable(state: RunState): Omit<RunState, "outputs"> {
  const { outputs: _, ...rest } = state;
  const counts = [...state.counts].filter(
    ([, { moving, blocked, bad }]) => moving + blocked + bad > 0,
  );
  return unstacked({ ...rest, counts: new Map(counts) });
}

/** Without the stacks of errors, which tell where the test called. */
function unstacked<T>(value: T): T {
  if (value instanceof Map) {
    return new Map([...value].map(([key, one]) => [key, unstacked(one)])) as T;
  }
  if (Array.isArray(value)) return value.map(unstacked) as T;
  if (typeof value !== "object" || value === null || value instanceof Set) return value;
  const fields = Object.entries(value).filter(([name]) => name !== "stack");
  return Object.fromEntries(fields.map(([name, one]) => [name, unstacked(one)])) as T;
}

interface Applied {
  readonly event: RunEvent;
  readonly timer: string | undefined;
}

function walk(plan: RunPlan) {
  const world = createWorld();
  const parent = { workflowId: "above", taskKey: "child" };
  let state = initialRun("run", plan, { parent });
  let folded = state;
  let before = structuredClone(state);
  let turn = beginTurn(state, plan);
  let nowMs = 1_000;
  const turns: Applied[][] = [[]];
  /** What happened, for the report of a failure. */
  const told: string[] = [];
  const journal: JournalDraft[] = [];
  const effects: RunEffect[] = [];
  const delivered: RunEvent[] = [];
  const dispatched = new Set<string>();
  /** Attempts of at-most-once tasks before somebody decided about them. */
  const decided = new Map<string, number>();

  function apply(event: RunEvent, timer?: string): void {
    const isCommand = "reason" in event && event.type !== "task.lost" && event.type !== "run.undo";
    if (isCommand || event.type === "run.signal") {
      if (refusalOf(event, { plan, run: turn.run, task: turn.task }) !== null) return;
    }
    const was = structuredClone(turn.state());
    const known = turn.effects().length;
    turn.apply(event, timer);
    turns.at(-1)?.push({ event, timer });
    told.push(JSON.stringify(event));
    for (const { type, payload } of turn.journal().slice(was.seq - state.seq)) {
      told.push(`    ${type} ${JSON.stringify(payload)}`);
    }
    check(event, was, turn.state(), turn.effects().slice(known));
  }

  function check(event: RunEvent, was: RunState, now: RunState, fresh: readonly RunEffect[]): void {
    decide(event, was, now);
    for (const effect of fresh) {
      if (effect.type === "abort") {
        expect(dispatched, "only what was dispatched is stopped").toContain(
          `${effect.taskKey}/${effect.attempt}`,
        );
      }
      if (effect.type === "dispatch") checkDispatch(effect, now);
    }
    for (const task of now.tasks.values()) {
      const old = was.tasks.get(task.key);
      const step = task.attempt - (old?.attempt ?? 0);
      expect([0, 1], `attempts of ${task.key} grow by one`).toContain(step);
      if (old?.status === "succeeded") {
        expect(["succeeded", "compensating", "compensated", "parked"]).toContain(task.status);
      }
      const mayChange = event.type === "run.retry" || event.type === "run.undo";
      if (isOver(was.status) && !mayChange) {
        expect(task.status, "nothing of an ended run moves").toBe(old?.status);
        expect(task.attempt).toBe(old?.attempt);
      }
    }
    checkTimers(now);
    checkClocks(event, was, now);
  }

  function checkDispatch(effect: RunEffect & { type: "dispatch" }, now: RunState): void {
    const { taskKey, attempt } = effect;
    const id = `${taskKey}/${attempt}`;
    expect(dispatched, "an attempt is dispatched once").not.toContain(id);
    dispatched.add(id);
    expect(now.status, "nothing begins unless the run runs").toBe("running");
    const planned = plan.tasks.get(now.tasks.get(taskKey)?.plan ?? "");
    if (planned?.atMostOnce !== true || effect.undo === true) return;
    const earlier = [...world.attempts].filter(
      (one) => one.key === taskKey && !one.undo && one.attempt > (decided.get(taskKey) ?? 0),
    );
    for (const one of earlier) {
      expect(mayHaveWorked(one), `${taskKey} runs at most once`).toBe(false);
    }
  }

  /** People may repeat what may have happened, and what was undone may be done again. */
  function decide(event: RunEvent, was: RunState, now: RunState): void {
    for (const { key, attempt, status } of now.tasks.values()) {
      const isAsked =
        (event.type === "task.resolve" && event.as === "retry" && event.taskKey === key) ||
        (event.type === "run.retry" && event.taskKey === key);
      const isUndone = status === "compensated" && was.tasks.get(key)?.status !== "compensated";
      // "It took no effect", says whoever decides that it failed.
      const isDenied =
        event.type === "task.resolve" && event.as === "failed" && event.taskKey === key;
      if (isAsked || isUndone || isDenied) decided.set(key, attempt);
    }
  }

  function checkTimers(now: RunState): void {
    for (const key of now.timers.keys()) {
      const [, taskKey] = /^(?:retry|schedule-to-start|schedule-to-close|sleep|undo)\/(.+)$/.exec(
        key,
      ) ?? [undefined, undefined];
      if (taskKey === undefined) continue;
      expect(isOpen(now.tasks.get(taskKey)?.status ?? "skipped"), `${key} is of an open task`).toBe(
        true,
      );
    }
    if (now.status === "completed") expect(now.timers.size).toBe(0);
  }

  /** Clocks stand still in a pause that stops them and after the end, and run otherwise. */
  function checkClocks(event: RunEvent, was: RunState, now: RunState): void {
    const stands = now.status === "paused" ? now.pause?.clocks === "stop" : isOver(now.status);
    const runs = now.status === "running";
    for (const [key, timer] of now.timers) {
      if (stands) expect(timer.dueAtMs, `${key} stands still`).toBeNull();
      if (runs) expect(timer.remainingMs, `${key} runs`).toBeNull();
      const old = was.timers.get(key);
      if (old === undefined || JSON.stringify(old.event) !== JSON.stringify(timer.event)) continue;
      if (key.startsWith("budget") || event.type === "task.lost") continue;
      if (old.dueAtMs !== null && timer.remainingMs !== null) {
        expect(timer.remainingMs).toBe(Math.max(0, old.dueAtMs - event.atMs));
      }
      if (old.remainingMs !== null && timer.dueAtMs !== null) {
        expect(timer.dueAtMs).toBe(event.atMs + old.remainingMs);
      }
    }
  }

  /** The turn is committed: memory and world follow. */
  function end(): void {
    expect(state, "a turn changes only its copy").toEqual(before);
    const fresh = turn.journal();
    state = turn.state();
    journal.push(...fresh);
    effects.push(...turn.effects());
    world.perform(turn.effects(), nowMs);
    folded = fold(
      folded,
      plan,
      fresh.map(({ patch }) => patch),
    );
    expect(comparable(folded), "the journal folds to the state").toEqual(comparable(state));
    expect(state.seq).toBe(journal.length);
    for (const one of world.attempts) checkKnown(one);
    if (isOver(state.status)) {
      for (const { id, ended, told } of world.children) {
        const isTold = told.includes("run.cancel") || told.includes("run.undo");
        expect(ended || isTold, `child ${id} is not left behind`).toBe(true);
      }
    }
    before = structuredClone(state);
    turn = beginTurn(state, plan);
    turns.push([]);
  }

  /** What runs, and was not told to stop, is known to run. */
  function checkKnown({ key, attempt, stage, told, heard }: ModelAttempt): void {
    const task = state.tasks.get(key);
    if (stage !== "running" || told || heard !== null || task?.attempt !== attempt) return;
    expect(isAtWork(task, plan), `${key}/${attempt} holds its slot`).toBe(true);
  }

  /** The oldest of its attempt, since a node tells one thing after the other. */
  function deliver(pick: number): void {
    const chosen = choose(world.mail, pick);
    if (chosen === undefined) return;
    const same = (one: RunEvent): boolean =>
      "attempt" in one &&
      "attempt" in chosen &&
      one.taskKey === chosen.taskKey &&
      one.attempt === chosen.attempt;
    const first = world.mail.find((one) => one === chosen || same(one)) ?? chosen;
    world.mail.splice(world.mail.indexOf(first), 1);
    const told = { ...first, atMs: nowMs };
    delivered.push(told);
    apply(told);
  }

  function fire(pick: number): void {
    const waiting = [...state.timers].flatMap(([key, { dueAtMs, event }]) =>
      dueAtMs === null ? [] : [{ key, dueAtMs, event }],
    );
    const next = choose(waiting, pick);
    if (next === undefined) return;
    nowMs = Math.max(nowMs, next.dueAtMs);
    apply({ ...(next.event as unknown as RunEvent), atMs: nowMs }, next.key);
  }

  function dispatch(pick: number): void {
    const ready = [...state.tasks.values()].filter(({ status }) => status === "ready");
    const taskKey = choose(ready, pick)?.key;
    if (taskKey === undefined) return;
    apply({ type: "task.dispatch", taskKey, node: "n", by: "n", atMs: nowMs });
  }

  function stale(pick: number): void {
    const one = choose(world.attempts, pick);
    if (one === undefined) return;
    const { key: taskKey } = one;
    const attempt = one.attempt - 1 - (pick % 2);
    const outcome = { type: "succeeded", output: null } as const;
    apply({ type: "task.finished", taskKey, attempt, outcome, by: "n", atMs: nowMs });
  }

  function take(step: Step, pick: number): void {
    nowMs += 1;
    switch (step) {
      case "dispatch":
        return dispatch(pick);
      case "claim":
        return world.claim(pick, state, nowMs);
      case "lose":
        return world.lose(pick, nowMs);
      case "end child":
      case "fail child":
        return world.endChild(pick, step === "fail child", nowMs);
      case "deliver":
        return deliver(pick);
      case "again": {
        const old = choose(delivered, pick);
        return old === undefined ? undefined : apply({ ...old, atMs: nowMs });
      }
      case "stale":
        return stale(pick);
      case "time passes":
        nowMs += pick % 30;
        return;
      case "timer":
        return fire(pick);
      case "command":
        return apply(commandOf(pick, turn.state(), nowMs));
      case "succeed":
      case "fail":
      case "fail for good":
      case "die":
      case "time out":
        return world.end(pick, step, nowMs);
      default:
        step satisfies never;
    }
  }

  /** Everything that is owed comes, and people decide what waits for them. */
  function drain(): void {
    for (let round = 0; round < 400; round += 1) {
      end();
      nowMs += 1;
      const isQuiet = world.mail.length === 0 && state.inFlight === 0;
      if (isOver(state.status) && isQuiet && !isOwed()) return;
      while (world.mail.length > 0) deliver(0);
      end();
      const common = { by: "test", atMs: nowMs, reason: null };
      if (state.status === "paused") {
        const limits = { coins: 1e6, tasks: 1e6, wallMs: 10 * nowMs };
        apply({ ...common, type: "run.budget", limits });
        apply({ ...common, type: "run.resume" });
        end();
      }
      for (const { key, status } of state.tasks.values()) {
        if (status === "ready") {
          apply({ type: "task.dispatch", taskKey: key, node: "n", by: "n", atMs: nowMs });
        }
        const waits = status === "running" && plan.tasks.get(key)?.kind === "approval";
        if (status !== "parked" && !waits) continue;
        apply({ ...common, type: "task.resolve", taskKey: key, as: "succeeded" });
      }
      end();
      world.settle(state, nowMs);
      if (world.mail.length > 0 || state.inFlight > 0 || isOver(state.status)) continue;
      if (hasDue() && round % 2 === 0) fire(round);
      else apply({ by: "test", atMs: nowMs, type: "run.signal", name: "go", payload: null });
    }
  }

  const hasDue = () => [...state.timers.values()].some(({ dueAtMs }) => dueAtMs !== null);
  const isOwed = () =>
    world.attempts.some(({ stage }) => stage === "queued" || stage === "running") ||
    world.children.some(({ ended }) => !ended);

  return {
    take,
    apply,
    end,
    drain,
    turns,
    told,
    journal,
    effects,
    world,
    now: () => state,
    start: (paused: boolean) => apply({ type: "run.start", paused, by: "test", atMs: nowMs }),
  };
}

/** What an attempt of an at-most-once task did, or may have done, is not to be done again. */
function mayHaveWorked({ stage, heard, unknown }: ModelAttempt): boolean {
  if (stage === "gone" || heard === "never began") return false;
  if (stage === "queued") return false;
  return stage === "running" || unknown || heard !== "finished";
}

/** The same events give the same, however they share turns. */
function replay(plan: RunPlan, turns: readonly (readonly Applied[])[]) {
  const parent = { workflowId: "above", taskKey: "child" };
  let state = initialRun("run", plan, { parent });
  const journal: unknown[] = [];
  const effects: unknown[] = [];
  for (const events of turns) {
    const turn = beginTurn(state, plan);
    for (const { event, timer } of events) turn.apply(event, timer);
    state = turn.state();
    journal.push(...turn.journal());
    effects.push(...turn.effects());
  }
  return { state, journal, effects };
}

const given = fc.tuple(anyPlan, fc.array(anyStep, { maxLength: 80 }), fc.boolean());
type Given = typeof given extends fc.Arbitrary<infer T> ? T : never;

test("a run keeps its promises in any plan, whatever the world does to it", () => {
  let last: readonly string[] = [];
  const prove = ([draft, walked, paused]: Given): void => {
    const plan = planFrom(draft);
    const run = walk(plan);
    last = run.told;
    run.start(paused);
    run.end();
    for (const { step, pick, joined } of walked) {
      run.take(step, pick);
      if (!joined) run.end();
    }
    run.drain();

    const now = run.now();
    expect(isOver(now.status), `the run ends; it is ${now.status} at ${now.place}`).toBe(true);
    expect(now.rollback, "nothing is left to undo").toBeNull();
    expect(now.pause).toBeNull();
    expect(now.inFlight, "all slots are released").toBe(0);
    expect([...now.tasks.values()].filter(({ stopping }) => stopping)).toEqual([]);
    expect([...now.waiting.keys()]).toEqual([]);
    expect(run.journal.map(({ seq }) => seq)).toEqual(run.journal.map((_, index) => index + 1));
    const { attempts, children } = run.world;
    expect(now.spent["coins"] ?? 0, "what is spent counts once").toBeLessThanOrEqual(
      attempts.length + children.length,
    );
    const all = run.turns.flat();
    for (const turns of [all.map((one) => [one]), [all]]) {
      const again = replay(plan, turns);
      expect(comparable(again.state)).toEqual(comparable(now));
      expect(unstacked(again.journal)).toEqual(unstacked(run.journal));
      expect(again.effects).toEqual(run.effects);
    }
  };
  const found = fc.check(fc.property(given, prove), walks);
  const [smallest] = found.counterexample ?? [];
  if (smallest === undefined) return;
  expect(() => prove(smallest), "it fails again").toThrow();
  throw new Error(reportOf(smallest[0], smallest[2], found, last));
}, 3_600_000);
