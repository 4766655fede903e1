/**
 * TESTBED.test_deduplication_accuracy: measures the deduplication engine against planted truth.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { z } from "zod";
import { AgentError } from "../../../machines/error-code.ts";
import { sampleBodies } from "../../archive/body-sample.ts";
import { dedupSettings } from "../../archive/dedup-settings.ts";
import { removeScratch, runDedupTrial, type TrialScore } from "../../archive/dedup-trial.ts";
import { type Planted, plantDuplicates, truthMargin } from "../../archive/planted-duplicates.ts";
import { capability } from "../../define-agent.ts";
import type { AgentContext } from "../../ports.ts";

const sampleLimits = { bodies: 1_500, bytes: 6_000_000, bytesPerBody: 32_000 };
/** Fewer planted messages cannot show an accuracy of 99.5 %. */
const fewestPlanted = 200;

const input = z.object({
  settings: dedupSettings,
  targetAccuracy: z.number().min(0).max(1).default(0.995),
  /** Messages to plant; fewer where the archive holds too little text. */
  planted: z.number().int().min(fewestPlanted).max(10_000).default(1_200),
  seed: z.number().int().default(1_997),
});

type Input = z.output<typeof input>;

const output = z.object({
  accuracy: z.number(),
  precision: z.number(),
  recall: z.number(),
  targetAccuracy: z.number(),
  seed: z.number(),
  messages: z.number(),
  correct: z.number(),
  truePairs: z.number(),
  foundPairs: z.number(),
  correctPairs: z.number(),
  kinds: z.array(z.object({ kind: z.string(), planted: z.number(), correct: z.number() })),
  /** Real similarities of planted near duplicates and lookalikes; none lies closer to the threshold. */
  lowestNearSimilarity: z.number().nullable(),
  highestLookalikeSimilarity: z.number().nullable(),
  truthMargin: z.number(),
  candidates: z.number(),
  compared: z.number(),
  bloom: z.object({
    members: z.number(),
    falseNegatives: z.number(),
    probes: z.number(),
    falsePositives: z.number(),
  }),
  durationMs: z.number(),
});

/** A scratch schema of this task's own: the same for every attempt, so that leftovers are found. */
function scratchSchema(ctx: AgentContext): string {
  const digest = createHash("sha256").update(ctx.idempotencyKey).digest("hex");
  return `dedup_scratch_${digest.slice(0, 16)}`;
}

/** @throws {AgentError} `DEDUP_BELOW_TARGET` */
function requireTarget(score: TrialScore, targetAccuracy: number): void {
  if (score.accuracy >= targetAccuracy) return;
  const percent = (share: number): string => `${(share * 100).toFixed(2)} %`;
  throw new AgentError(
    "DEDUP_BELOW_TARGET",
    `Cannot accept the deduplication: ${score.correct} of ${score.messages} planted messages were judged right (${percent(score.accuracy)}), the target is ${percent(targetAccuracy)}; precision ${percent(score.precision)}, recall ${percent(score.recall)}; first wrong ids ${score.wrong.join(", ")}; look at threshold, bands and rows of the design`,
  );
}

async function plant(ctx: AgentContext, { settings, planted, seed }: Input) {
  const samples = await sampleBodies(ctx.sql, {
    trial: sampleLimits,
    training: sampleLimits,
  });
  const bodies = [...samples.trial, ...samples.training];
  const truth = plantDuplicates({ bodies, settings, seed, count: planted });
  if (truth.length >= fewestPlanted) return truth;
  throw new AgentError(
    "TOO_LITTLE_TEXT",
    `Cannot test the deduplication: the archive's text gave ${truth.length} planted messages, ${fewestPlanted} are needed to show the accuracy; test with a larger archive`,
  );
}

/** The extreme similarity of a kind, null when none was planted. */
function extreme(
  truth: readonly Planted[],
  kind: Planted["kind"],
  pick: (...values: number[]) => number,
): number | null {
  const values = truth.filter((item) => item.kind === kind).map(({ similarity }) => similarity);
  return values.length === 0 ? null : values.reduce((a, b) => pick(a, b));
}

async function run(ctx: AgentContext, goal: Input): Promise<z.input<typeof output>> {
  const startedMs = ctx.clock.monotonicMs();
  const truth = await plant(ctx, goal);
  const { score, counts, bloom } = await runDedupTrial(ctx.sql, truth, {
    schema: scratchSchema(ctx),
    settings: goal.settings,
    redisUrl: ctx.host.redisUrl,
    signal: ctx.signal,
    onProgress: (done) =>
      ctx.heartbeat({ done, total: truth.length, message: "deduplicating planted messages" }),
  });
  requireTarget(score, goal.targetAccuracy);
  return {
    accuracy: score.accuracy,
    precision: score.precision,
    recall: score.recall,
    targetAccuracy: goal.targetAccuracy,
    seed: goal.seed,
    messages: score.messages,
    correct: score.correct,
    truePairs: score.truePairs,
    foundPairs: score.foundPairs,
    correctPairs: score.correctPairs,
    kinds: score.kinds.map((kind) => ({ ...kind })),
    lowestNearSimilarity: extreme(truth, "near", Math.min),
    highestLookalikeSimilarity: extreme(truth, "lookalike", Math.max),
    truthMargin,
    candidates: counts.candidates,
    compared: counts.compared,
    bloom,
    durationMs: ctx.clock.monotonicMs() - startedMs,
  };
}

export const testDeduplicationAccuracy = capability({
  description:
    "Plants known duplicates, lookalikes and uniques in a scratch schema, runs the engine and measures accuracy.",
  input,
  output,
  connections: 2,
  run,
  compensate: (ctx) => removeScratch(ctx.sql, scratchSchema(ctx), ctx.host.redisUrl),
});
