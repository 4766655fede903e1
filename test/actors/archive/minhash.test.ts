/**
 * Signatures estimate the real similarity within the bound of the theory.
 *
 * @module
 */

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  createMinHasher,
  estimateSimilarity,
  jaccard,
  mix32,
  shinglesOf,
} from "../../../actors/archive/minhash.ts";

const permutations = 256;
const hasher = createMinHasher(permutations, 7);
const sorted = (values: Iterable<number>): Uint32Array => Uint32Array.from(values).sort();
const set = fc.uniqueArray(fc.nat(500), { maxLength: 120 }).map((values) => sorted(values));

describe("jaccard()", () => {
  it("agrees with the definition on sets", () => {
    fc.assert(
      fc.property(set, set, (a, b) => {
        const [left, right] = [new Set(a), new Set(b)];
        const union = new Set([...left, ...right]).size;
        const both = [...left].filter((value) => right.has(value)).length;
        expect(jaccard(a, b)).toBeCloseTo(union === 0 ? 0 : both / union, 12);
        expect(jaccard(a, b)).toBe(jaccard(b, a));
      }),
    );
  });
});

describe("createMinHasher()", () => {
  it("estimates within five standard errors", () => {
    const pair = fc.record({
      seed: fc.nat(1_000_000),
      both: fc.integer({ min: 0, max: 400 }),
      left: fc.integer({ min: 1, max: 400 }),
      right: fc.integer({ min: 1, max: 400 }),
    });
    fc.assert(
      fc.property(pair, ({ seed, both, left, right }) => {
        const run = (from: number, count: number): number[] =>
          Array.from({ length: count }, (_, at) => mix32(mix32(seed) + from + at));
        const shared = run(0, both);
        const a = sorted(new Set([...shared, ...run(1_000, left)]));
        const b = sorted(new Set([...shared, ...run(2_000, right)]));
        const real = jaccard(a, b);
        const estimate = estimateSimilarity(hasher.signature(a), hasher.signature(b));
        const bound = 5 * Math.sqrt((real * (1 - real)) / permutations) + 5 / permutations;
        expect(Math.abs(estimate - real)).toBeLessThanOrEqual(bound);
      }),
      { numRuns: 300 },
    );
  });

  it("has no bias over many pairs", () => {
    let sum = 0;
    const pairs = 300;
    for (let seed = 0; seed < pairs; seed += 1) {
      const values = Array.from({ length: 300 }, (_, at) => mix32(seed * 1_000 + at));
      const [a, b] = [sorted(values.slice(0, 200)), sorted(values.slice(100))];
      sum += estimateSimilarity(hasher.signature(a), hasher.signature(b)) - jaccard(a, b);
    }
    expect(Math.abs(sum / pairs)).toBeLessThan(0.01);
  });
});

describe("shinglesOf()", () => {
  it("does not depend on case, punctuation or white space", () => {
    const a = shinglesOf(Buffer.from("The quick, brown fox\n jumps!"), 3);
    const b = shinglesOf(Buffer.from("the QUICK brown -- fox jumps"), 3);
    expect([...a]).toEqual([...b]);
    expect(a).toHaveLength(3);
  });

  it("depends on the order of words, and is empty for too few", () => {
    const a = shinglesOf(Buffer.from("one two three"), 3);
    const b = shinglesOf(Buffer.from("three two one"), 3);
    expect(jaccard(a, b)).toBe(0);
    expect(shinglesOf(Buffer.from("one two"), 3)).toHaveLength(0);
  });

  it("holds each shingle once, in order", () => {
    const set = shinglesOf(Buffer.from("a b c d ".repeat(50)), 4);
    expect(set).toHaveLength(4);
    expect([...set]).toEqual([...set].sort((x, y) => x - y));
  });
});
