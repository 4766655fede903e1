import { describe, expect, test } from "vitest";
import {
  advance,
  backfill,
  dueMs,
  newScheduleState,
  nextDueMs,
  noteStarted,
  noteStartFailed,
  pause,
  resume,
  trigger,
} from "../../machines/schedule.ts";
import {
  type Fire,
  isBusy,
  type NextTime,
  type OverlapPolicy,
  type ScheduleChange,
  type ScheduleSpec,
  type ScheduleState,
  timesPerTurn,
} from "../../machines/schedule-spec.ts";

const minuteMs = 60_000;
const everyMinute: NextTime = (afterMs) => (Math.floor(afterMs / minuteMs) + 1) * minuteMs;

/** A schedule of every minute from minute 0 on, with a row for each time and a status for each run. */
function schedule(spec: Partial<ScheduleSpec> = {}, next: NextTime = everyMinute) {
  const whole: ScheduleSpec = { workflow: "w", everyMs: minuteMs, ...spec };
  const rows = new Map<number, Fire>();
  const statuses = new Map<string, string>();
  let state = newScheduleState(whole, 0);
  let more = false;
  const take = (change: ScheduleChange): void => {
    state = change.state;
    more = change.more;
    for (const fire of change.fires) rows.set(fire.timeMs / minuteMs, fire);
  };
  const facts = (minute: number) => ({ id: "s", nowMs: minute * minuteMs, next, statuses });
  return {
    state: () => state,
    more: () => more,
    rows,
    /** One turn at this minute; then starts what it wants started, as `run-MINUTE`. */
    at(minute: number, taken: readonly number[] = []): void {
      take(
        advance(whole, state, {
          ...facts(minute),
          taken: new Set(taken.map((one) => one * minuteMs)),
        }),
      );
      for (const { runId, timeMs } of state.open) {
        if (runId !== null) continue;
        statuses.set(`run-${timeMs / minuteMs}`, "running");
        take(noteStarted(whole, state, timeMs, `run-${timeMs / minuteMs}`));
      }
    },
    turn(minute: number): void {
      take(advance(whole, state, { ...facts(minute), taken: new Set() }));
    },
    cannotStart(minute: number, reason: string): void {
      take(noteStartFailed(whole, state, minute * minuteMs, reason));
    },
    end(minute: number, status = "completed"): void {
      statuses.set(`run-${minute}`, status);
    },
    forget(minute: number): void {
      statuses.delete(`run-${minute}`);
    },
    trigger(minute: number, overlap: OverlapPolicy): void {
      take(trigger(whole, state, facts(minute), overlap));
    },
    backfill(minute: number, from: number, to: number, overlap: OverlapPolicy): void {
      const range = { fromMs: from * minuteMs, toMs: to * minuteMs, overlap };
      take(backfill(whole, state, facts(minute), range));
    },
    pause(note: string): void {
      state = pause(state, note);
    },
    resume(minute: number): void {
      take(resume(whole, state, facts(minute), "go on"));
    },
    open: () => state.open.map(({ timeMs }) => timeMs / minuteMs),
    waiting: () => state.waiting.map(({ timeMs }) => timeMs / minuteMs),
    outcomes: () =>
      [...rows.entries()].sort(([a], [b]) => a - b).map(([at, { outcome }]) => `${at} ${outcome}`),
  };
}

describe("a schedule", () => {
  test("starts one run for each time, and decides about no time twice", () => {
    const one = schedule();
    one.at(0.5);
    expect(one.outcomes()).toEqual([]);
    one.at(1);
    one.at(1.5);
    expect(one.outcomes()).toEqual(["1 started"]);
    one.end(1);
    one.at(2);
    expect(one.outcomes()).toEqual(["1 started", "2 started"]);
    expect(one.state().counts).toMatchObject({ started: 2, completed: 1 });
  });

  test("changes nothing, not even the state, while nothing is due", () => {
    const one = schedule({ overlap: "bufferAll", bufferLimit: 1 });
    one.at(1);
    one.at(2);
    one.backfill(2.5, -9, 0, "bufferAll");
    one.at(2.5);
    const before: ScheduleState = one.state();
    expect(isBusy(before)).toBe(true);
    one.turn(2.7);
    expect(one.state()).toBe(before);
    expect(one.more()).toBe(false);
  });

  test("starts by one commit and names the run by the next: in between it stays to be started", () => {
    const one = schedule();
    one.turn(1);
    expect(one.outcomes()).toEqual(["1 starting"]);
    one.turn(1.5);
    expect(one.state().open).toEqual([
      { timeMs: minuteMs, kind: "scheduled", runId: null, cancel: false },
    ]);
    one.at(1.6);
    expect(one.rows.get(1)).toMatchObject({ outcome: "started", runId: "run-1" });
  });

  test("skip leaves times out while a run is open", () => {
    const one = schedule({ overlap: "skip" });
    one.at(3.5);
    expect(one.outcomes()).toEqual(["1 started", "2 skipped", "3 skipped"]);
    expect(one.rows.get(2)?.reason).toBe("the run of 1970-01-01T00:01:00.000Z is open");
    one.end(1);
    one.at(4);
    expect(one.open()).toEqual([4]);
  });

  test("bufferOne keeps the first time, bufferAll as many as it may, in order", () => {
    const first = schedule({ overlap: "bufferOne" });
    first.at(4);
    expect(first.outcomes()).toEqual(["1 started", "2 buffered", "3 skipped", "4 skipped"]);
    first.end(1);
    first.at(4.5);
    expect([first.open(), first.waiting()]).toEqual([[2], []]);

    const all = schedule({ overlap: "bufferAll", bufferLimit: 2 });
    all.at(4);
    expect(all.outcomes()).toEqual(["1 started", "2 buffered", "3 buffered", "4 skipped"]);
    expect(all.rows.get(4)?.reason).toBe("2 times wait already");
    all.end(1);
    all.at(4.1);
    all.end(2);
    all.at(4.2);
    expect([all.open(), all.waiting()]).toEqual([[3], []]);
  });

  test("cancelOther asks the open run to end, and starts the newest time when it has", () => {
    const one = schedule({ overlap: "cancelOther", maxRuns: 5 });
    one.at(1);
    one.at(3);
    expect(one.state().open).toMatchObject([{ runId: "run-1", cancel: true }]);
    expect(one.outcomes()).toEqual(["1 started", "2 skipped", "3 buffered"]);
    // What was replaced was no run.
    expect(one.state().remaining).toBe(3);
    one.end(1, "cancelled");
    one.at(3.5);
    expect(one.state().open).toMatchObject([{ runId: "run-3", cancel: false }]);
    expect(one.state().counts).toMatchObject({ cancelled: 1, failed: 0 });
  });

  test("allowAll starts every time", () => {
    const one = schedule({ overlap: "allowAll" });
    one.at(3);
    expect(one.open()).toEqual([1, 2, 3]);
  });

  test("makes up for times within the catch-up window, and says what it has missed", () => {
    const one = schedule({ overlap: "allowAll", catchupWindowMs: 5 * minuteMs });
    one.at(100.5);
    expect(one.outcomes()).toEqual([
      "1 missed",
      "96 started",
      "97 started",
      "98 started",
      "99 started",
      "100 started",
    ]);
    expect(one.rows.get(1)?.reason).toContain("nor any other time before 1970-01-01T01:35:30.000Z");
    expect(one.state().counts.missed).toBe(1);
  });

  test("a long backlog is worked off in turns", () => {
    const one = schedule({ overlap: "skip" });
    one.turn(timesPerTurn * 2.5);
    expect(one.more()).toBe(true);
    one.turn(timesPerTurn * 2.5);
    one.turn(timesPerTurn * 2.5);
    expect(one.more()).toBe(false);
    expect(one.rows.size).toBe(timesPerTurn * 2.5);
  });

  test("a pause starts nothing, and its times are not made up for", () => {
    const one = schedule({ overlap: "bufferAll" });
    one.at(2);
    one.pause("holiday");
    one.end(1);
    one.at(5);
    expect(one.outcomes()).toEqual(["1 started", "2 buffered"]);
    expect(one.open()).toEqual([]);
    one.resume(5.5);
    one.at(5.5);
    // What waited before the pause is still owed.
    expect(one.outcomes()).toEqual(["1 started", "2 started", "3 skipped"]);
    expect(one.rows.get(3)?.reason).toContain("paused");
    one.end(2);
    one.at(6);
    expect(one.open()).toEqual([6]);
    expect(one.state()).toMatchObject({ paused: false, note: "go on" });
  });

  test("pauses itself on a failure when it is told to", () => {
    const one = schedule({ pauseOnFailure: true });
    one.at(1);
    one.end(1, "failed");
    one.at(2);
    expect(one.state()).toMatchObject({
      paused: true,
      note: "the run of 1970-01-01T00:01:00.000Z, run-1, is failed",
    });
    expect(one.outcomes()).toEqual(["1 started"]);
    const other = schedule({ pauseOnFailure: true });
    other.turn(1);
    other.cannotStart(1, "no such workflow");
    expect(other.outcomes()).toEqual(["1 failed"]);
    expect(other.state().paused).toBe(true);
  });

  test("a run that was removed, and a start that cannot be, make room for the next", () => {
    const one = schedule({ overlap: "bufferAll" });
    one.at(2);
    one.forget(1);
    one.at(2.5);
    expect(one.open()).toEqual([2]);
    const other = schedule({ overlap: "bufferAll" });
    other.turn(2);
    other.cannotStart(1, "refused");
    expect(other.state().open).toMatchObject([{ timeMs: 2 * minuteMs, runId: null }]);
  });

  test("ends after as many runs as it may start; backfills and manual ones do not count", () => {
    const one = schedule({ maxRuns: 2, overlap: "allowAll" });
    one.trigger(0.5, "allowAll");
    one.at(5);
    expect(one.outcomes().slice(1)).toEqual(["1 started", "2 started"]);
    expect(nextDueMs({ workflow: "w" }, "s", one.state(), everyMinute)).toBeNull();
    one.backfill(5, -1, 0, "allowAll");
    one.at(5);
    expect(one.open()).toHaveLength(5);
  });

  test("a manual start has a time of its own, never one of the schedule's", () => {
    const one = schedule({ overlap: "allowAll" });
    one.trigger(1, "allowAll");
    one.trigger(1, "allowAll");
    one.at(1);
    expect(one.state().open.map(({ kind, timeMs }) => `${kind} ${timeMs}`)).toEqual([
      "manual 60001",
      "manual 60002",
      "scheduled 60000",
    ]);
    one.trigger(1.5, "skip");
    expect(one.rows.get(1.5)).toMatchObject({ outcome: "skipped", kind: "manual" });
  });

  test("a backfill decides about the times of its range that have no run", () => {
    const one = schedule();
    one.at(3);
    one.backfill(3.5, -2, 99, "allowAll");
    one.at(3.5, [1]);
    expect(one.outcomes()).toEqual([
      "-2 started",
      "-1 started",
      "0 started",
      "1 started",
      "2 started",
      "3 started",
    ]);
    expect(one.rows.get(1)?.kind).toBe("scheduled");
    expect(one.rows.get(2)?.kind).toBe("backfill");
    expect(one.state().backfills).toEqual([]);
  });

  test("a backfill in a row waits for room in the buffer, and runs during a pause", () => {
    const one = schedule({ bufferLimit: 2 });
    one.pause("no");
    one.backfill(10.5, 1, 9, "bufferAll");
    const seen: number[] = [];
    for (let turn = 0; turn < 20 && isBusy(one.state()); turn += 1) {
      one.at(10.5);
      expect(one.waiting().length).toBeLessThanOrEqual(2);
      const [open] = one.open();
      if (open === undefined) break;
      seen.push(open);
      one.end(open);
    }
    expect(seen).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
    one.resume(11.5);
    one.at(11.5);
    // 1 to 9 keep their runs; the pause is noted at the first time that nobody has decided about.
    expect(one.outcomes().slice(-2)).toEqual(["9 started", "11 skipped"]);
  });

  test("jitter is the same at each look, spread, and never beyond the next time", () => {
    const spec: ScheduleSpec = { workflow: "w", everyMs: minuteMs, jitterMs: 10 * minuteMs };
    const delays = Array.from({ length: 500 }, (_, minute) => {
      const timeMs = minute * minuteMs;
      const due = dueMs(spec, "s", timeMs, everyMinute);
      expect(dueMs(spec, "s", timeMs, everyMinute)).toBe(due);
      return due - timeMs;
    });
    expect(Math.min(...delays)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...delays)).toBeLessThan(minuteMs);
    for (let tenth = 0; tenth < 10; tenth += 1) {
      const inTenth = delays.filter((delay) => Math.floor(delay / (minuteMs / 10)) === tenth);
      expect(inTenth.length).toBeGreaterThan(20);
    }
    const other = dueMs(spec, "t", 0, everyMinute);
    expect(other).not.toBe(delays[0]);
  });
});
