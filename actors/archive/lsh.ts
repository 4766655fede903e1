/**
 * Finds pairs of similar signatures without comparing all: locality-sensitive hashing in bands.
 *
 * Leskovec, Rajaraman, Ullman: "Mining of Massive Datasets", 3.4. Signatures are cut into `bands` of
 * `rows` numbers; two that agree in a whole band become candidates, with the probability
 * 1 - (1 - s^rows)^bands at the similarity s, an S-curve.
 *
 * @module
 */

import { mix32 } from "./minhash.ts";

/** The S-curve at `similarity`. */
export function candidateProbability(similarity: number, bands: number, rows: number): number {
  return 1 - (1 - similarity ** rows) ** bands;
}

/**
 * The bands with the fewest false candidates that still find a pair at the threshold with `recall`:
 * the longest rows that allow it. Falls back to rows of 1.
 */
export function chooseBands(
  permutations: number,
  threshold: number,
  recall: number,
): { bands: number; rows: number } {
  for (let rows = Math.floor(permutations / 2); rows > 1; rows -= 1) {
    const bands = Math.floor(permutations / rows);
    if (candidateProbability(threshold, bands, rows) >= recall) return { bands, rows };
  }
  return { bands: permutations, rows: 1 };
}

/** One key per band as a signed 64-bit decimal string; equal bands give equal keys. */
export function bucketKeys(signature: Uint32Array, bands: number, rows: number): string[] {
  const keys: string[] = [];
  for (let band = 0; band < bands; band += 1) {
    let high = mix32(band + 1);
    let low = mix32(~band);
    for (let row = 0; row < rows; row += 1) {
      const value = signature[band * rows + row] ?? 0;
      high = mix32(Math.imul(high, 31) + value);
      low = mix32(Math.imul(low, 0x01000193) ^ value);
    }
    keys.push(BigInt.asIntN(64, (BigInt(high) << 32n) | BigInt(low)).toString());
  }
  return keys;
}
