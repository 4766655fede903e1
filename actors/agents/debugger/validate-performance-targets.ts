/**
 * DEBUGGER.validate_performance_targets: runs the declared queries again, compares them with the baseline
 * and the target, and names what costs time.
 *
 * @module
 */

import type { Sql } from "postgres";
import { z } from "zod";
import { AgentError } from "../../../machines/error-code.ts";
import {
  chooseSubjects,
  measureQueries,
  type QueryTiming,
  queryTimingSchema,
} from "../../archive/measure-queries.ts";
import { declaredQueries, type QuerySubject } from "../../archive/queries.ts";
import { capability } from "../../define-agent.ts";
import { readPlan } from "./plan-bottlenecks.ts";

/** Per query, as for the baseline. */
const BUDGET_MS = 220;
/** Slow: this many times its baseline, and by more than the clock's noise. */
const REGRESSION_FACTOR = 2;
const NOISE_MS = 1;
/** The slowest queries are explained, whatever their figures. */
const EXPLAINED_ANYWAY = 2;
const WARM_UP_RUNS = 2;

const input = z.object({
  /** `read_speedup` among the criteria of the phase. */
  criteria: z.array(z.object({ name: z.string(), unit: z.string(), required: z.number() })),
  baseline: z.object({
    reads: z.array(z.object({ name: z.string(), p50Ms: z.number() })),
    sourceScan: z.object({ scanMs: z.number() }),
  }),
});

const output = z.object({
  queries: z.array(
    queryTimingSchema.extend({
      baselineP50Ms: z.number().nullable(),
      /** Time of the source's full scan over this query's median. */
      speedup: z.number(),
      regressed: z.boolean(),
    }),
  ),
  readSpeedup: z.number(),
  requiredSpeedup: z.number(),
  met: z.boolean(),
  explained: z.array(
    z.object({
      name: z.string(),
      executionMs: z.number(),
      slowestStep: z.string(),
      slowestStepMs: z.number(),
      slowestStepShare: z.number(),
    }),
  ),
  /** One sentence each, with figures. */
  bottlenecks: z.array(z.string()),
  durationMs: z.number(),
});

type Query = z.infer<typeof output>["queries"][number];

export const validatePerformanceTargets = capability({
  description:
    "Times the declared queries again, compares with baseline and target, explains the slow",
  input,
  output,
  async run(ctx, { criteria, baseline }) {
    const startMs = ctx.clock.monotonicMs();
    const required = criteria.find((one) => one.name === "read_speedup")?.required;
    if (required === undefined) {
      throw new AgentError(
        "CRITERION_MISSING",
        "Cannot validate the performance: the phase has no criterion read_speedup",
      );
    }
    const subjects = await chooseSubjects(ctx.sql);
    ctx.heartbeat({ percent: 10, message: "measuring the declared queries" });
    const options = { signal: ctx.signal, clock: ctx.clock, budgetMs: BUDGET_MS };
    const timings = await measureQueries(ctx.sql, subjects, options);
    const queries = timings.map((timing) => compare(timing, baseline));
    const slow = slowQueries(queries, required);
    const explained: z.infer<typeof output>["explained"] = [];
    const bottlenecks: string[] = [];
    for (const query of slow) {
      ctx.signal.throwIfAborted();
      ctx.heartbeat({ percent: 80, message: `explaining ${query.name}` });
      const facts = await explain(ctx.sql, query.name, subjects);
      const { step, ownMs, share } = facts.slowest;
      explained.push({
        name: query.name,
        executionMs: facts.executionMs,
        slowestStep: step,
        slowestStepMs: ownMs,
        slowestStepShare: share,
      });
      bottlenecks.push(
        ...bottlenecksOf(query, required),
        ...facts.bottlenecks.map((one) => `${query.name}: ${one}`),
      );
    }
    const readSpeedup = Math.min(...queries.map((query) => query.speedup));
    return {
      queries,
      readSpeedup,
      requiredSpeedup: required,
      met: readSpeedup >= required,
      explained,
      bottlenecks,
      durationMs: ctx.clock.monotonicMs() - startMs,
    };
  },
});

function compare(timing: QueryTiming, baseline: z.infer<typeof input>["baseline"]): Query {
  const before = baseline.reads.find((read) => read.name === timing.name)?.p50Ms;
  const speedup = baseline.sourceScan.scanMs / Math.max(timing.p50Ms, 0.001);
  const regressed =
    before !== undefined &&
    timing.p50Ms > before * REGRESSION_FACTOR &&
    timing.p50Ms - before > NOISE_MS;
  return { ...timing, baselineP50Ms: before ?? null, speedup, regressed };
}

/** Those that miss the target or regressed, and the slowest ones. */
function slowQueries(queries: readonly Query[], required: number): Query[] {
  const slowest = queries.toSorted((a, b) => b.p50Ms - a.p50Ms).slice(0, EXPLAINED_ANYWAY);
  return queries.filter(
    (query) => query.regressed || query.speedup < required || slowest.includes(query),
  );
}

function bottlenecksOf(query: Query, required: number): string[] {
  const { name, p50Ms, baselineP50Ms, speedup, regressed } = query;
  return [
    ...(regressed && baselineP50Ms !== null
      ? [`${name}: ${p50Ms.toFixed(2)} ms, ${baselineP50Ms.toFixed(2)} ms at the baseline`]
      : []),
    ...(speedup < required
      ? [
          `${name}: ${speedup.toFixed(1)} times as fast as the source's scan, ${required} are asked for`,
        ]
      : []),
  ];
}

/** Runs first without explaining, so that the plan is measured on warm pages as the timings are. */
async function explain(sql: Sql, name: string, subjects: readonly QuerySubject[]) {
  const query = declaredQueries.find((one) => one.name === name);
  const [subject] = subjects;
  if (query === undefined || subject === undefined) {
    throw new TypeError(`Cannot explain "${name}": it is no declared query`);
  }
  const parameters = [...query.parameters(subject)];
  for (let run = 0; run < WARM_UP_RUNS; run += 1) await sql.unsafe(query.sql, parameters);
  const [row] = await sql.unsafe<{ "QUERY PLAN": unknown }[]>(
    `explain (analyze, buffers, format json) ${query.sql}`,
    parameters,
  );
  return readPlan(row?.["QUERY PLAN"]);
}
