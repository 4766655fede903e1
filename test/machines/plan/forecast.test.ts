import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { criticalPath } from "../../../machines/plan/critical-path.ts";
import {
  actionEstimate,
  type DurationEstimate,
  type DurationStats,
  drawDurationMs,
  drawLongerThan,
  foldDuration,
  guessedEstimate,
  knownDuration,
  observedEstimate,
} from "../../../machines/plan/duration-estimate.ts";
import { type Forecast, forecastOf, type NodeForecast } from "../../../machines/plan/forecast.ts";
import { type Attempt, limitedSchedule } from "../../../machines/plan/limited-schedule.ts";
import { createRandom, drawGamma, type Random } from "../../../machines/plan/random-source.ts";
import { createWorkGraph, type WorkGraph } from "../../../machines/plan/work-graph.ts";
import type { RetryPlan } from "../../../machines/run/plan.ts";
import { anyWork, type DraftNode } from "../../support/random-graph.ts";

const retry: RetryPlan = {
  maxFailures: 5,
  kind: "fixed",
  initialMs: 20,
  maxMs: 20,
  jitter: 0,
  totalMs: null,
  nonRetryable: [],
};
const open: NodeForecast = {
  estimate: knownDuration(10),
  failureRate: 0,
  retry,
  longestMs: 600_000,
  state: { type: "open", notBeforeMs: 0 },
  elapsedMs: 0,
};

function chain(length: number): WorkGraph {
  return createWorkGraph(
    Array.from({ length }, (_, index) => ({
      key: `n${index}`,
      after: index === 0 ? [] : [`n${index - 1}`],
      kind: "task" as const,
      uses: [{ pool: "a", units: 1 }],
      priority: 3,
    })),
  );
}

function statsOf(durationsMs: readonly number[]): DurationStats {
  const [first, ...rest] = durationsMs;
  return rest.reduce(foldDuration, foldDuration(undefined, first!));
}

const around = (medianMs: number, count = 50) =>
  observedEstimate({ count, logMean: Math.log(medianMs), logM2: count * 0.04 });

describe("foldDuration()", () => {
  test("gives the mean and the squared distances of the logarithms", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 1e7 }), { minLength: 1 }), (durations) => {
        const logs = durations.map(Math.log);
        const mean = logs.reduce((sum, value) => sum + value, 0) / logs.length;
        const { count, logM2, logMean } = statsOf(durations);
        expect(count).toBe(durations.length);
        expect(logMean).toBeCloseTo(mean, 8);
        expect(logM2).toBeCloseTo(
          logs.reduce((sum, value) => sum + (value - mean) ** 2, 0),
          6,
        );
      }),
    );
  });
});

describe("random source", () => {
  test("repeats itself for the same seed, and gamma has its mean and variance", () => {
    const [one, two] = [createRandom(7), createRandom(7)];
    expect(Array.from({ length: 50 }, one)).toEqual(Array.from({ length: 50 }, two));
    const random = createRandom(1);
    const draws = Array.from({ length: 20_000 }, () => drawGamma(random, 4));
    const mean = draws.reduce((sum, value) => sum + value, 0) / draws.length;
    const variance = draws.reduce((sum, value) => sum + (value - mean) ** 2, 0) / draws.length;
    expect(mean).toBeCloseTo(4, 1);
    expect(Math.abs(variance - 4)).toBeLessThan(0.2);
  });
});

describe("drawLongerThan()", () => {
  test("is never shorter than what has passed, and expects more the more has passed", () => {
    const estimate = around(1_000);
    const medianLeft = (elapsedMs: number) => {
      const random = createRandom(3);
      const draws = Array.from({ length: 400 }, () => drawLongerThan(estimate, elapsedMs, random));
      expect(Math.min(...draws)).toBeGreaterThan(elapsedMs);
      return draws.toSorted((a, b) => a - b)[200]!;
    };
    const medians = [0, 500, 1_000, 1_500, 3_000, 60_000].map(medianLeft);
    expect(medians).toEqual(medians.toSorted((a, b) => a - b));
    // Half of what lasts longer than the median lasts not much longer; little has passed changes nothing.
    expect(Math.abs(medians[0]! - 1_000)).toBeLessThan(60);
  });
});

describe("forecastOf()", () => {
  const finish = (nodes: readonly NodeForecast[], limit = 9): Forecast =>
    forecastOf({ graph: chain(nodes.length), pools: new Map([["a", limit]]), nodes, seed: 42 });

  test("of known durations is exact", () => {
    const { finish: interval } = finish([open, open, open]);
    expect(interval).toEqual({ expectedMs: 30, lowMs: 30, highMs: 30 });
  });

  test("is the same for the same seed", () => {
    const nodes = [
      { ...open, estimate: around(100) },
      { ...open, estimate: guessedEstimate(50) },
    ];
    expect(finish(nodes)).toEqual(finish(nodes));
  });

  test("is in order: low, expected, high; and wider the less is known", () => {
    const width = (estimate: DurationEstimate) => {
      const { expectedMs, highMs, lowMs } = finish([{ ...open, estimate }]).finish;
      expect(lowMs).toBeLessThan(expectedMs);
      expect(expectedMs).toBeLessThan(highMs);
      return highMs / lowMs;
    };
    const seen = { count: 3, logMean: Math.log(100), logM2: 0.12 };
    const widths = [
      around(100, 500),
      observedEstimate(seen),
      actionEstimate(seen),
      guessedEstimate(100),
    ].map(width);
    expect(widths).toEqual(widths.toSorted((a, b) => a - b));
  });

  test("is monotone: longer tasks, more failures, fewer slots do not make it earlier", () => {
    const three = (node: Partial<NodeForecast>) => [1, 2, 3].map(() => ({ ...open, ...node }));
    const base = { estimate: around(100) };
    const expected = finish(three(base)).finish;
    for (const other of [
      finish(three({ estimate: around(200) })),
      finish(three({ ...base, failureRate: 0.4 })),
    ]) {
      expect(other.finish.lowMs).toBeGreaterThanOrEqual(expected.lowMs);
      expect(other.finish.expectedMs).toBeGreaterThan(expected.expectedMs);
      expect(other.finish.highMs).toBeGreaterThan(expected.highMs);
    }
    const parallel = createWorkGraph(chain(6).nodes.map((node) => ({ ...node, after: [] })));
    const nodes = parallel.nodes.map(() => ({ ...open, estimate: around(100) }));
    const ends = [6, 3, 2, 1].map(
      (limit) =>
        forecastOf({ graph: parallel, pools: new Map([["a", limit]]), nodes, seed: 1 }).finish
          .expectedMs,
    );
    expect(ends).toEqual(ends.toSorted((a, b) => a - b));
  });

  test("what is done is taken as it is, what runs is conditioned on how long it has run", () => {
    const done: NodeForecast = { ...open, state: { type: "done" } };
    const running: NodeForecast = {
      ...open,
      estimate: around(1_000),
      state: { type: "running" },
      elapsedMs: 900,
    };
    const { finish: interval } = finish([done, running]);
    expect(interval.expectedMs).toBeGreaterThan(0);
    expect(interval.expectedMs).toBeLessThan(600);
    const late = finish([done, { ...running, elapsedMs: 5_000 }]).finish;
    expect(late.expectedMs).toBeGreaterThan(0);
  });

  test("a timeout bounds every attempt", () => {
    const node = { ...open, estimate: guessedEstimate(1_000), longestMs: 400 };
    expect(finish([node]).finish.highMs).toBeLessThanOrEqual(400);
  });

  test("counts failed attempts and their pauses", () => {
    const node = { ...open, failureRate: 0.999_999, retry: { ...retry, maxFailures: 3 } };
    // Three attempts of 10 ms, two pauses of 20 ms.
    expect(finish([node]).finish.expectedMs).toBe(70);
  });

  test("criticality of a chain is 1, and of a side branch that never matters 0", () => {
    const graph = createWorkGraph([
      ...chain(2).nodes,
      { key: "side", after: [], kind: "task", uses: [], priority: 3 },
    ]);
    const nodes = [around(1_000), around(1_000), around(1)].map((estimate) => ({
      ...open,
      estimate,
    }));
    const { nodes: found } = forecastOf({ graph, pools: new Map(), nodes, seed: 5 });
    expect(found.map(({ criticality }) => criticality)).toEqual([1, 1, 0]);
  });

  test("the interval contains the truth in at least 90 of 100 random executions", () => {
    let [inside, all] = [0, 0];
    fc.assert(
      fc.property(anyWork(12), fc.nat(1e9), (drafts, seed) => {
        const { actualMs, forecast } = world(drafts, createRandom(seed));
        all += 1;
        const { highMs, lowMs } = forecast.finish;
        if (lowMs <= actualMs && actualMs <= highMs) inside += 1;
      }),
      { numRuns: 400, seed: 20_261_123 },
    );
    expect(all).toBe(400);
    expect(inside / all).toBeGreaterThanOrEqual(0.9);
    // And not by being so wide that it says nothing: at 95 % some must fall outside.
    expect(inside).toBeLessThan(all);
  });

  test("without uncertainty it is what the critical path says", () => {
    fc.assert(
      fc.property(anyWork(15), (drafts) => {
        const graph = createWorkGraph(drafts.map(({ node }) => node));
        const nodes = drafts.map(({ durationMs }) => ({
          ...open,
          estimate: knownDuration(durationMs),
        }));
        const { finish: interval } = forecastOf({ graph, pools: new Map(), nodes, seed: 1 });
        const exact = criticalPath(graph, (index) => ({ durationMs: drafts[index]!.durationMs }));
        expect(interval.expectedMs).toBeCloseTo(exact.finishMs, 5);
      }),
      { numRuns: 30 },
    );
  });
});

/** A world with its own truth: past runs that are observed, and one more that the forecast must foresee. */
function world(drafts: readonly DraftNode[], random: Random) {
  const graph = createWorkGraph(drafts.map(({ node }) => node));
  const pools = new Map([0, 1, 2].map((agent) => [`agent/${agent}`, 1 + Math.floor(random() * 3)]));
  const truths = drafts.map(({ durationMs }) => ({
    mean: Math.log(durationMs + 1),
    deviation: 0.05 + random() * 0.75,
    failureRate: random() < 0.3 ? random() * 0.4 : 0,
    observations: 3 + Math.floor(random() * 27),
  }));
  const nodes = truths.map((truth): NodeForecast => {
    const seen = Array.from({ length: truth.observations }, () => drawDurationMs(truth, random));
    return { ...open, estimate: observedEstimate(statsOf(seen)), failureRate: truth.failureRate };
  });
  const attempts = truths.map((truth) => {
    const list: Attempt[] = [];
    do {
      const fails = list.length + 1 < retry.maxFailures && random() < truth.failureRate;
      const durationMs = drawDurationMs(truth, random);
      list.push({ durationMs, retryAfterMs: fails ? retry.initialMs : null });
    } while (list.at(-1)?.retryAfterMs !== null);
    return list;
  });
  const actual = limitedSchedule({
    graph,
    pools,
    startOf: () => open.state,
    attempt: (index, number) => attempts[index]![number - 1]!,
  });
  const forecast = forecastOf({ graph, pools, nodes, seed: Math.floor(random() * 1e9) });
  return { actualMs: actual.finishAllMs, forecast };
}
