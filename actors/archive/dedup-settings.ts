/**
 * The settings of deduplication: what ARCHITECT designs and every run of the engine keeps to.
 *
 * @module
 */

import { z } from "zod";

export const dedupSettings = z.object({
  /** Words of a shingle. */
  shingleWords: z.number().int().min(1).max(10),
  /** Numbers of a signature. */
  permutations: z.number().int().min(16).max(512),
  bands: z.number().int().min(1),
  rows: z.number().int().min(1),
  /** Jaccard similarity of shingles from which two bodies are near duplicates. */
  threshold: z.number().min(0.1).max(1),
  /** Bodies with fewer shingles are compared exactly only: too little text to judge. */
  minShingles: z.number().int().min(1),
  /** Names the hash functions. */
  seed: z.number().int(),
  bloom: z.object({
    expectedMembers: z.number().int().min(1),
    falsePositiveRate: z.number().min(1e-6).max(0.5),
  }),
});

export type DedupSettings = z.output<typeof dedupSettings>;
