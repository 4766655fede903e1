/**
 * DATASCIENCE.profile_text: term statistics and entropy of a text.
 *
 * @module
 */

import { z } from "zod";
import { capability } from "../../define-agent.ts";

/** Terms that a profile keeps, the most frequent first. */
const MAX_TERMS = 200;

export const textProfileSchema = z.object({
  characters: z.number(),
  words: z.number(),
  distinctWords: z.number(),
  sentences: z.number(),
  /** Shannon entropy of the characters, bits each: 0 for one repeated sign, about 4.2 for English. */
  entropyBits: z.number(),
  /** Counts by lower-case word, at most 200. */
  terms: z.record(z.string(), z.number()),
});

export const profileText = capability({
  description: "Counts words, distinct words and sentences of a text, and measures its entropy",
  input: z.object({ text: z.string().max(60_000) }),
  output: textProfileSchema,
  connections: 0,
  run: async (_ctx, { text }) => {
    const words = text.toLowerCase().match(/\p{L}[\p{L}\p{M}\p{N}'’-]*/gu) ?? [];
    const counts = [...countOf(words)].toSorted(
      ([a, countA], [b, countB]) => countB - countA || (a < b ? -1 : 1),
    );
    return {
      characters: sum(countOf(text)),
      words: words.length,
      distinctWords: counts.length,
      sentences: (text.match(/[^.!?\s][^.!?]*[.!?]+(?=\s|$)/g) ?? []).length,
      entropyBits: entropyBits(countOf(text)),
      terms: Object.fromEntries(counts.slice(0, MAX_TERMS)),
    };
  },
});

function countOf(values: Iterable<string>): Map<string, number> {
  const counts = new Map<string, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return counts;
}

function sum(counts: ReadonlyMap<string, number>): number {
  return [...counts.values()].reduce((total, count) => total + count, 0);
}

function entropyBits(counts: ReadonlyMap<string, number>): number {
  const total = sum(counts);
  let bits = 0;
  for (const count of counts.values()) bits -= (count / total) * Math.log2(count / total);
  return bits;
}
