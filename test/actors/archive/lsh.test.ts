/**
 * Bands follow the S-curve.
 *
 * @module
 */

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { bucketKeys, candidateProbability, chooseBands } from "../../../actors/archive/lsh.ts";
import { mix32 } from "../../../actors/archive/minhash.ts";

describe("chooseBands()", () => {
  it("keeps the recall at the threshold within the numbers it has, and longer rows would not", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 32, max: 256 }),
        fc.integer({ min: 50, max: 95 }),
        (permutations, hundredths) => {
          const threshold = hundredths / 100;
          const { bands, rows } = chooseBands(permutations, threshold, 0.99);
          expect(bands * rows).toBeLessThanOrEqual(permutations);
          expect(candidateProbability(threshold, bands, rows)).toBeGreaterThanOrEqual(0.99);
          const longer = Math.floor(permutations / (rows + 1));
          expect(candidateProbability(threshold, longer, rows + 1)).toBeLessThan(0.99);
        },
      ),
    );
  });
});

describe("bucketKeys()", () => {
  const signature = (seed: number): Uint32Array =>
    Uint32Array.from({ length: 128 }, (_, at) => mix32(seed * 1_000 + at));

  it("shares exactly the keys of the bands that are equal", () => {
    const a = signature(1);
    const b = signature(2);
    b.set(a.subarray(20, 30), 20);
    const keys = bucketKeys(b, 25, 5);
    const shared = bucketKeys(a, 25, 5).map((key, band) => (key === keys[band] ? band : -1));
    expect(shared.filter((band) => band >= 0)).toEqual([4, 5]);
  });

  it("gives signed 64-bit numbers, different for equal numbers in different bands", () => {
    const keys = bucketKeys(new Uint32Array(128).fill(5), 32, 4);
    expect(new Set(keys).size).toBe(32);
    for (const key of keys) expect(BigInt.asIntN(64, BigInt(key)).toString()).toBe(key);
  });

  it("finds pairs as often as the S-curve says", () => {
    const [bands, rows, similarity] = [16, 4, 0.6];
    let found = 0;
    const pairs = 2_000;
    for (let pair = 0; pair < pairs; pair += 1) {
      const a = Uint32Array.from({ length: 64 }, (_, at) => mix32(pair * 64 + at));
      const b = a.map((value, at) =>
        mix32(value ^ (pair + at + 1)) / 2 ** 32 < similarity ? value : mix32(value + 1),
      );
      const keys = new Set(bucketKeys(b, bands, rows));
      if (bucketKeys(a, bands, rows).some((key) => keys.has(key))) found += 1;
    }
    expect(found / pairs).toBeCloseTo(candidateProbability(similarity, bands, rows), 1);
  });
});
