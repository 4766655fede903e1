/**
 * DATASCIENCE.compare_profiles: how alike two texts are, from their profiles.
 *
 * @module
 */

import { z } from "zod";
import { capability } from "../../define-agent.ts";
import { textProfileSchema } from "./profile-text.ts";

export const compareProfiles = capability({
  description: "Measures how alike two texts are by the words that they share",
  input: z.object({ left: textProfileSchema, right: textProfileSchema }),
  output: z.object({
    /** Cosine of the word counts: 0 for no word in common, 1 for the same proportions. */
    similarity: z.number().min(0).max(1),
    sharedWords: z.array(z.string()),
    words: z.number(),
    entropyDifferenceBits: z.number(),
  }),
  connections: 0,
  run: async (_ctx, { left, right }) => {
    const shared = Object.keys(left.terms).filter((term) => Object.hasOwn(right.terms, term));
    const dot = shared.reduce(
      (sum, term) => sum + (left.terms[term] ?? 0) * (right.terms[term] ?? 0),
      0,
    );
    const norm = length(left.terms) * length(right.terms);
    return {
      similarity: norm === 0 ? 0 : Math.min(1, dot / norm),
      sharedWords: shared.slice(0, 20),
      words: left.words + right.words,
      entropyDifferenceBits: Math.abs(left.entropyBits - right.entropyBits),
    };
  },
});

function length(terms: Readonly<Record<string, number>>): number {
  return Math.sqrt(Object.values(terms).reduce((sum, count) => sum + count * count, 0));
}
