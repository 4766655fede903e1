/**
 * ARCHITECT.design_deduplication_system: layers and thresholds from what the bodies are really like.
 *
 * @module
 */

import { z } from "zod";
import { AgentError } from "../../../machines/error-code.ts";
import { bloomSize, expectedFalsePositiveRate } from "../../archive/bloom-filter.ts";
import { sampleBodies } from "../../archive/body-sample.ts";
import { dedupSettings } from "../../archive/dedup-settings.ts";
import { hashNormalised, normaliseBody } from "../../archive/dedup-text.ts";
import { candidateProbability, chooseBands } from "../../archive/lsh.ts";
import { createMinHasher, estimateSimilarity, shinglesOf } from "../../archive/minhash.ts";
import { percentile } from "../../archive/percentile.ts";
import { capability } from "../../define-agent.ts";
import type { AgentContext } from "../../ports.ts";

const shingleWords = 4;
const permutations = 128;
const seed = 20_021_010;
const minShingles = 12;
/** Share of the pairs exactly at the threshold that the bands must bring together. */
const recallAtThreshold = 0.999;
const falsePositiveRate = 0.01;
/** Thresholds that may be chosen, in hundredths. Below, texts only share a template; above, edits are missed. */
const thresholdRange = { from: 70, to: 90, preferred: 80 };
const sampleLimits = { bodies: 700, bytes: 6_000_000, bytesPerBody: 200_000 };
const noTraining = { bodies: 1, bytes: 1, bytesPerBody: 1 };

const output = z.object({
  settings: dedupSettings,
  layers: z.array(z.object({ name: z.string(), rule: z.string() })),
  profile: z.object({
    messages: z.number(),
    sampled: z.number(),
    sampledPairs: z.number(),
    shinglesP10: z.number(),
    shinglesP50: z.number(),
    shinglesP90: z.number(),
    /** Share of sampled bodies with too little text for the near layer. */
    tooShortShare: z.number(),
    exactDuplicatesInSample: z.number(),
    /** Pairs of the sample by estimated similarity, from 0.3 in steps of 0.05. */
    histogram: z.array(z.object({ from: z.number(), pairs: z.number() })),
  }),
  sCurve: z.array(z.object({ similarity: z.number(), candidateProbability: z.number() })),
  expected: z.object({
    /** Of the MinHash estimate at the threshold. */
    standardError: z.number(),
    recallAtThreshold: z.number(),
    bloomBits: z.number(),
    bloomHashes: z.number(),
    bloomFalsePositiveRate: z.number(),
    bloomFalsePositiveRateAtCapacity: z.number(),
  }),
  reasons: z.array(z.string()),
  durationMs: z.number(),
});

/**
 * The threshold around which the fewest pairs lie, so that few are decided by a hair; nearest to the
 * preferred one among equals. `similarities` are of pairs. Pure.
 */
export function chooseThreshold(similarities: readonly number[]): {
  threshold: number;
  pairsNearby: number;
} {
  let best = { threshold: thresholdRange.preferred, pairsNearby: Number.POSITIVE_INFINITY };
  for (let hundredths = thresholdRange.from; hundredths <= thresholdRange.to; hundredths += 5) {
    const threshold = hundredths / 100;
    const pairsNearby = similarities.filter((s) => Math.abs(s - threshold) < 0.03).length;
    const closer =
      Math.abs(hundredths - thresholdRange.preferred) <
      Math.abs(best.threshold - thresholdRange.preferred);
    if (pairsNearby < best.pairsNearby || (pairsNearby === best.pairsNearby && closer)) {
      best = { threshold: hundredths, pairsNearby };
    }
  }
  return { threshold: best.threshold / 100, pairsNearby: best.pairsNearby };
}

/** Estimated similarities of all pairs of the sample that have text enough, from 0.3 up. */
function similaritiesOf(ctx: AgentContext, signatures: readonly Uint32Array[]): readonly number[] {
  const similarities: number[] = [];
  for (const [at, signature] of signatures.entries()) {
    ctx.signal.throwIfAborted();
    ctx.heartbeat({ done: at, total: signatures.length, message: "comparing sampled bodies" });
    for (let other = 0; other < at; other += 1) {
      const similarity = estimateSimilarity(signature, signatures[other] ?? new Uint32Array(0));
      if (similarity >= 0.3) similarities.push(similarity);
    }
  }
  return similarities;
}

function histogramOf(similarities: readonly number[]) {
  return Array.from({ length: 15 }, (_, at) => {
    const from = (30 + at * 5) / 100;
    const below = at === 14 ? Number.POSITIVE_INFINITY : from + 0.05;
    return { from, pairs: similarities.filter((s) => s >= from && s < below).length };
  });
}

interface Profile {
  readonly messages: number;
  readonly sampled: number;
  readonly shingleCounts: readonly number[];
  readonly longEnough: number;
  readonly distinct: number;
  readonly similarities: readonly number[];
}

async function profileSample(ctx: AgentContext): Promise<Profile> {
  const samples = await sampleBodies(ctx.sql, { trial: sampleLimits, training: noTraining });
  if (samples.trial.length === 0) {
    throw new AgentError(
      "ARCHIVE_EMPTY",
      "Cannot design the deduplication: the archive has no bodies, run the migration first",
    );
  }
  const normalised = samples.trial.map(normaliseBody);
  const sets = normalised.map((text) => shinglesOf(text, shingleWords));
  const hasher = createMinHasher(permutations, seed);
  const signatures = sets
    .filter((set) => set.length >= minShingles)
    .map((set) => hasher.signature(set));
  return {
    messages: samples.messages,
    sampled: normalised.length,
    shingleCounts: sets.map((set) => set.length),
    longEnough: signatures.length,
    distinct: new Set(normalised.map(hashNormalised)).size,
    similarities: similaritiesOf(ctx, signatures),
  };
}

function decide(profile: Profile) {
  const { threshold, pairsNearby } = chooseThreshold(profile.similarities);
  const { bands, rows } = chooseBands(permutations, threshold, recallAtThreshold);
  // Room for the archive to double before the filter must be made anew.
  const expectedMembers = Math.max(10_000, profile.messages * 2);
  const bloom = { expectedMembers, falsePositiveRate };
  const size = bloomSize(expectedMembers, falsePositiveRate);
  const recall = candidateProbability(threshold, bands, rows);
  return {
    settings: { shingleWords, permutations, bands, rows, threshold, minShingles, seed, bloom },
    layers: [
      { name: "bloom filter", rule: "a hash that it does not hold belongs to a new body" },
      { name: "exact", rule: "equal SHA-256 of the normalised body" },
      {
        name: "near",
        rule: `one of ${bands} bands of ${rows} numbers in common, then a real Jaccard similarity of ${shingleWords}-word shingles of at least ${threshold}`,
      },
    ],
    sCurve: [0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95].map((similarity) => ({
      similarity,
      candidateProbability: candidateProbability(similarity, bands, rows),
    })),
    expected: {
      standardError: Math.sqrt((threshold * (1 - threshold)) / permutations),
      recallAtThreshold: recall,
      bloomBits: size.bits,
      bloomHashes: size.hashes,
      bloomFalsePositiveRate: expectedFalsePositiveRate(size.bits, size.hashes, profile.messages),
      bloomFalsePositiveRateAtCapacity: expectedFalsePositiveRate(
        size.bits,
        size.hashes,
        expectedMembers,
      ),
    },
    reasons: [
      `${pairsNearby} of ${profile.similarities.length} sampled pairs at or above 0.3 lie within 0.03 of ${threshold}, the fewest of the thresholds between 0.70 and 0.90`,
      `${bands} bands of ${rows} numbers are the longest that find ${(recall * 100).toFixed(3)} % of the pairs at the threshold, at least ${recallAtThreshold * 100} %`,
      `bodies with fewer than ${minShingles} shingles are compared exactly only: one changed word would decide`,
      "candidates are checked with their real similarity, so the estimate costs no precision",
    ],
  };
}

async function run(ctx: AgentContext): Promise<z.input<typeof output>> {
  const startedMs = ctx.clock.monotonicMs();
  const profile = await profileSample(ctx);
  const { shingleCounts, longEnough } = profile;
  return {
    ...decide(profile),
    profile: {
      messages: profile.messages,
      sampled: profile.sampled,
      sampledPairs: (longEnough * (longEnough - 1)) / 2,
      shinglesP10: percentile(shingleCounts, 0.1),
      shinglesP50: percentile(shingleCounts, 0.5),
      shinglesP90: percentile(shingleCounts, 0.9),
      tooShortShare: 1 - longEnough / profile.sampled,
      exactDuplicatesInSample: profile.sampled - profile.distinct,
      histogram: histogramOf(profile.similarities),
    },
    durationMs: ctx.clock.monotonicMs() - startedMs,
  };
}

export const designDeduplicationSystem = capability({
  description:
    "Profiles a sample and chooses the layers, the threshold, the bands and the bloom filter of deduplication.",
  input: z.object({}),
  output,
  run,
});
