import fc from "fast-check";
import { expect, test } from "vitest";
import { advance, newScheduleState, noteStarted, pause, resume } from "../../machines/schedule.ts";
import {
  type FireOutcome,
  overlapPolicies,
  type ScheduleChange,
  type ScheduleSpec,
} from "../../machines/schedule-spec.ts";

/** Which outcome may follow which, for one time. */
const mayFollow: Readonly<Record<FireOutcome | "none", readonly FireOutcome[]>> = {
  none: ["starting", "buffered", "skipped", "missed"],
  buffered: ["starting", "skipped"],
  starting: ["started", "failed"],
  started: [],
  skipped: [],
  missed: [],
  failed: [],
};

const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ type: fc.constant("wait" as const), by: fc.nat(40) }) },
  { weight: 3, arbitrary: fc.record({ type: fc.constant("end" as const), at: fc.nat(20) }) },
  { weight: 3, arbitrary: fc.record({ type: fc.constant("started" as const), at: fc.nat(5) }) },
  { weight: 1, arbitrary: fc.constant({ type: "pause" as const }) },
  { weight: 1, arbitrary: fc.constant({ type: "resume" as const }) },
);

test("whatever happens, a time is decided once, runs start in order, and limits hold", () => {
  const property = fc.property(
    fc.constantFrom(...overlapPolicies),
    fc.record({
      catchupWindowMs: fc.integer({ min: 5, max: 60 }),
      bufferLimit: fc.integer({ min: 1, max: 4 }),
      jitterMs: fc.nat(9),
    }),
    fc.option(fc.integer({ min: 1, max: 6 }), { nil: undefined }),
    fc.array(step, { maxLength: 60 }),
    (overlap, numbers, maxRuns, steps) => {
      const spec: ScheduleSpec = {
        workflow: "w",
        overlap,
        ...numbers,
        ...(maxRuns === undefined ? {} : { maxRuns }),
      };
      const next = (afterMs: number): number => (Math.floor(afterMs / 10) + 1) * 10;
      let state = newScheduleState(spec, 0);
      let nowMs = 0;
      const last = new Map<number, FireOutcome>();
      const statuses = new Map<string, string>();
      const begun: number[] = [];
      const take = ({ fires, state: after }: ScheduleChange): void => {
        state = after;
        for (const { outcome, timeMs } of fires) {
          expect(mayFollow[last.get(timeMs) ?? "none"]).toContain(outcome);
          last.set(timeMs, outcome);
          if (outcome === "starting") begun.push(timeMs);
        }
      };
      for (const one of steps) {
        if (one.type === "wait") nowMs += one.by;
        if (one.type === "pause") state = pause(state, null);
        if (one.type === "resume") take(resume(spec, state, { nowMs, next }, null));
        const running = state.open.filter(({ runId }) => runId !== null);
        const starting = state.open.filter(({ runId }) => runId === null);
        if (one.type === "end") {
          const fire = running[one.at % running.length];
          if (fire !== undefined) statuses.set(String(fire.runId), "completed");
        }
        if (one.type === "started") {
          const fire = starting[one.at % starting.length];
          if (fire !== undefined) {
            statuses.set(`run-${fire.timeMs}`, "running");
            take(noteStarted(spec, state, fire.timeMs, `run-${fire.timeMs}`));
          }
        }
        take(advance(spec, state, { id: "s", nowMs, next, statuses, taken: new Set() }));
        expect(state.waiting.length).toBeLessThanOrEqual(numbers.bufferLimit);
        if (overlap !== "allowAll") expect(state.open.length).toBeLessThanOrEqual(1);
        if (overlap === "skip") expect(state.waiting).toEqual([]);
      }
      expect(begun).toEqual(begun.toSorted((a, b) => a - b));
      if (maxRuns !== undefined) expect(begun.length).toBeLessThanOrEqual(maxRuns);
      // Decided means that there is a row, or one row that stands for a gap.
      const gaps = [...last.values()].filter((outcome) => outcome === "missed").length;
      if (gaps === 0 && !steps.some(({ type }) => type === "pause")) {
        const decided = Array.from(
          { length: Math.floor(state.decidedMs / 10) },
          (_, at) => (at + 1) * 10,
        );
        expect([...last.keys()].toSorted((a, b) => a - b)).toEqual(decided);
      }
    },
  );
  fc.assert(property, { numRuns: 2_000 });
});
