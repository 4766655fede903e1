import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { criticalPath } from "../../../machines/plan/critical-path.ts";
import { limitedSchedule, type NodeStart } from "../../../machines/plan/limited-schedule.ts";
import { createWorkGraph } from "../../../machines/plan/work-graph.ts";
import { anyWork, type DraftNode } from "../../support/random-graph.ts";

const open: NodeStart = { type: "open", notBeforeMs: 0 };

function scheduleOf(
  drafts: readonly DraftNode[],
  pools: ReadonlyMap<string, number>,
  startOf: (index: number) => NodeStart = () => open,
) {
  return limitedSchedule({
    graph: createWorkGraph(drafts.map(({ node }) => node)),
    pools,
    startOf,
    attempt: (index) => ({ durationMs: drafts[index]!.durationMs, retryAfterMs: null }),
  });
}

function sameAgent(priorities: readonly number[]): DraftNode[] {
  return priorities.map((priority, index) => ({
    durationMs: 10,
    node: { key: `n${index}`, after: [], kind: "task", uses: [{ pool: "a", units: 1 }], priority },
  }));
}

const limitsOf = (limit: number) =>
  new Map([0, 1, 2].map((agent) => [`agent/${agent}`, limit] as const));

describe("limitedSchedule()", () => {
  test("without limits it is the critical path method", () => {
    fc.assert(
      fc.property(anyWork(30), (drafts) => {
        const graph = createWorkGraph(drafts.map(({ node }) => node));
        const exact = criticalPath(graph, (index) => ({ durationMs: drafts[index]!.durationMs }));
        const schedule = scheduleOf(drafts, new Map());
        expect(schedule.finishAllMs).toBe(exact.finishMs);
        expect([...schedule.startMs]).toEqual(exact.times.map(({ startMs }) => startMs));
      }),
    );
  });

  test("takes the higher priority first, then the older, then the first", () => {
    const schedule = scheduleOf(sameAgent([3, 5, 3, 4]), new Map([["a", 1]]));
    expect([...schedule.startMs]).toEqual([20, 0, 30, 10]);
  });

  test("never exceeds a limit, begins nothing too early, and ends within Graham's bound", () => {
    fc.assert(
      fc.property(anyWork(30, 1), fc.integer({ min: 1, max: 4 }), (drafts, limit) => {
        const schedule = scheduleOf(drafts, limitsOf(limit));
        expect(schedule.use.get("agent/0")?.peak ?? 0).toBeLessThanOrEqual(limit);
        const work = drafts.reduce((sum, { durationMs }) => sum + durationMs, 0);
        const chain = scheduleOf(drafts, new Map()).finishAllMs;
        expect(schedule.finishAllMs).toBeGreaterThanOrEqual(Math.max(chain, work / limit));
        expect(schedule.finishAllMs).toBeLessThanOrEqual(chain + (work - chain) / limit + 1e-6);
        const indexOf = new Map(drafts.map(({ node }, index) => [node.key, index]));
        for (const [index, { node }] of drafts.entries()) {
          for (const key of node.after) {
            const before = indexOf.get(key)!;
            expect(schedule.startMs[index]).toBeGreaterThanOrEqual(schedule.finishMs[before]!);
          }
        }
      }),
    );
  });

  test("the chain of who let whom begin leads from the end to the beginning without gaps", () => {
    fc.assert(
      fc.property(anyWork(30), (drafts) => {
        const schedule = scheduleOf(drafts, limitsOf(1));
        let node = schedule.last;
        expect(schedule.finishMs[node]).toBe(schedule.finishAllMs);
        while (node >= 0) {
          const before = schedule.drivenBy[node]!;
          expect(schedule.startMs[node]).toBe(before < 0 ? 0 : schedule.finishMs[before]);
          node = before;
        }
      }),
    );
  });

  test("what alone asks for more than a pool has runs when nothing else does", () => {
    const [one, two] = sameAgent([3, 3]);
    const wide = { ...two!, node: { ...two!.node, uses: [{ pool: "a", units: 9 }] } };
    expect([...scheduleOf([one!, wide], new Map([["a", 2]])).startMs]).toEqual([0, 10]);
  });

  test("gives a slot back between two attempts", () => {
    const drafts = sameAgent([5, 3]);
    const schedule = limitedSchedule({
      graph: createWorkGraph(drafts.map(({ node }) => node)),
      pools: new Map([["a", 1]]),
      startOf: () => open,
      attempt: (index, number) => ({
        durationMs: 10,
        retryAfterMs: index === 0 && number === 1 ? 5 : null,
      }),
    });
    // n0 fails at 10, n1 takes the slot until 20, n0 was due at 15.
    expect([...schedule.startMs]).toEqual([0, 10]);
    expect([...schedule.finishMs]).toEqual([30, 20]);
    expect(schedule.use.get("a")).toEqual({ peak: 1, busyMs: 30 });
  });

  test("continues from where a run stands", () => {
    const drafts = sameAgent([3, 3, 3]);
    const states: NodeStart[] = [
      { type: "done" },
      { type: "running" },
      { type: "open", notBeforeMs: 25 },
    ];
    const schedule = scheduleOf(drafts, new Map([["a", 1]]), (index) => states[index]!);
    expect([...schedule.startMs]).toEqual([0, 0, 25]);
    expect(schedule.finishAllMs).toBe(35);
  });
});
